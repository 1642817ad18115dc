"""Recorded rows as live traffic, with their true outcomes coming back as feedback.

A rollout on a laptop has no users, so the past plays them: rows of an engineered table are sent
to the front door at a steady rate, as any client would send them, and some time after each answer
the outcome that really happened is reported for it. Runs as a process of its own (``python -m
laptop.replay``), because a load that shares a process with the loop it loads measures itself.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import datetime as dt
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.artifact import Artifact, Tensor
from contracts.errors import ServingError
from contracts.features import FeatureTable
from serving.bodies import Input, inference_body


@dataclass
class ReplayTally:
    """What a replay saw, by the version that answered."""

    requests: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    feedback: int = 0
    unreachable: int = 0
    seconds: float = 0.0

    def text(self) -> str:
        """As the replay's process prints it."""
        return json.dumps(vars(self))

    @classmethod
    def read(cls, text: str, log: Path) -> Self:
        """A tally as the replay's process printed it.

        Raises:
            ServingError: it printed none, because it failed.
        """
        if not text.strip():
            said = log.read_text(encoding="utf-8").strip().splitlines()[-1:] or ["nothing"]
            raise ServingError(f"the replay failed: {said[0]}", where=str(log))
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is replayed, where to and how fast.

    ``rate`` is in requests a second; ``feedback_after`` in seconds; ``feedback_share`` of the
    answers get their outcome reported.
    """

    url: str
    model: str
    rate: float
    feedback_after: float = 1.0
    feedback_share: float = 1.0
    concurrency: int = 64


def recorded_rows(
    table: Path, document: FeatureTable, start: dt.date, until: dt.date
) -> list[dict[str, Any]]:
    """The rows of the period whose outcome is known, in the order of their time.

    Raises:
        ServingError: there is none.
    """
    data = pq.read_table(table)
    times = data[document.time].cast("timestamp[us]")
    chosen = pc.and_(
        pc.and_(
            pc.greater_equal(times, dt.datetime.combine(start, dt.time())),
            pc.less(times, dt.datetime.combine(until, dt.time())),
        ),
        pc.is_valid(data[document.label]),
    )
    rows: list[dict[str, Any]] = data.filter(chosen).sort_by(document.time).to_pylist()
    if not rows:
        raise ServingError(
            f"no row from {start} to {until} has a known outcome",
            where=str(table),
            fix="choose a period that the table covers",
        )
    return rows


def request_body(row: dict[str, Any], inputs: tuple[Tensor, ...], request_id: str) -> bytes:
    """One row as an Open Inference Protocol request; what is missing is null."""
    wanted = (Input(tensor.name, tensor.datatype, tensor.shape) for tensor in inputs)
    return json.dumps(inference_body([row], wanted, request_id)).encode()


def outcome_of(label: float) -> int | float:
    """A label as feedback has it: a class is a whole number, a measurement what it is."""
    return int(label) if label == int(label) else label


class Replay:
    """Sends the rows round and round until it is stopped."""

    def __init__(
        self,
        traffic: Traffic,
        rows: list[dict[str, Any]],
        inputs: tuple[Tensor, ...],
        label: str,
    ) -> None:
        self.traffic = traffic
        self.rows = rows
        self.inputs = inputs
        self.label = label
        self.tally = ReplayTally()
        self.stopped = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.slots = asyncio.Semaphore(traffic.concurrency)

    async def run(self) -> ReplayTally:
        """Until :attr:`stopped` is set; then waits for what is under way."""
        began = time.monotonic()
        connections = aiohttp.TCPConnector(limit=self.traffic.concurrency)
        patience = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(
            self.traffic.url, connector=connections, timeout=patience
        ) as client:
            for number, row in self.endless():
                due = began + number / self.traffic.rate
                if await self.stops_before(due):
                    break
                await self.slots.acquire()
                self.begin(self.ask(client, row, f"replay-{time.time_ns():x}-{number}", number))
            if self.tasks:
                await asyncio.wait(self.tasks, timeout=15)
        self.tally.seconds = time.monotonic() - began
        return self.tally

    def endless(self) -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        while True:
            for row in self.rows:
                yield number, row
                number += 1

    async def stops_before(self, due: float) -> bool:
        """Wait until a request is due; true when the replay is stopped meanwhile."""
        delay = due - time.monotonic()
        if delay <= 0:
            await asyncio.sleep(0)
            return self.stopped.is_set()
        try:
            await asyncio.wait_for(self.stopped.wait(), delay)
        except TimeoutError:
            return False
        return True

    def begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def ask(
        self, client: aiohttp.ClientSession, row: dict[str, Any], request_id: str, number: int
    ) -> None:
        """One request, and its feedback later."""
        path = f"v2/models/{self.traffic.model}"
        headers = {"x-request-id": request_id}
        body = request_body(row, self.inputs, request_id)
        try:
            async with client.post(f"{path}/infer", data=body, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            self.tally.unreachable += 1
            return
        finally:
            self.slots.release()
        predictor = answer.headers.get("x-millwright-predictor", "unknown")
        self.tally.requests[predictor] += 1
        if answer.status != 200:
            self.tally.failures[predictor] += 1
            return
        if self.stopped.is_set() or (number % 100) >= self.traffic.feedback_share * 100:
            return
        await asyncio.sleep(self.traffic.feedback_after)
        headers["x-millwright-predictor"] = predictor
        outcome = {"id": request_id, "outcome": [outcome_of(row[self.label])]}
        try:
            async with client.post(f"{path}/feedback", json=outcome, headers=headers) as reply:
                await reply.read()
        except (aiohttp.ClientError, TimeoutError):
            return
        self.tally.feedback += reply.status == 200


@contextmanager
def replaying(
    root: Path,
    *,
    url: str,
    artifact: Artifact,
    table: Path,
    document: FeatureTable,
    start: dt.date,
    until: dt.date,
    rate: float,
) -> Iterator[Callable[[], ReplayTally]]:
    """Replay in a process of its own while the block runs.

    Args:
        root: the environment's folder; the log goes to its ``logs``.
        url: the model's address at the front door.
        artifact: whose inputs the requests have.
        table, document: the engineered table.
        start, until: the period that is replayed.
        rate: requests a second.

    Yields:
        A function that gives the tally once the block has ended.

    Raises:
        ServingError: the replay ended by itself; with the end of its log.
    """
    folder = root / "replay"
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("artifact.json", artifact), ("table.json", document)):
        (folder / name).write_text(value.model_dump_json(), encoding="utf-8")
    log = folder / "replay.log"
    command = [
        *(sys.executable, "-m", "laptop.replay", "--url", url, "--rate", str(rate)),
        *("--artifact", str(folder / "artifact.json"), "--table", str(table)),
        *("--document", str(folder / "table.json")),
        *("--start", start.isoformat(), "--until", until.isoformat()),
    ]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    answers: list[str] = []
    try:
        yield lambda: ReplayTally.read(answers[0], log)
    finally:
        process.terminate()
        try:
            answers.append(process.communicate(timeout=30)[0])
        except subprocess.TimeoutExpired:
            process.kill()
            answers.append(process.communicate()[0])


async def replay_until_stopped(replay: Replay, seconds: float | None) -> ReplayTally:
    """Run until SIGTERM, SIGINT or the given time."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, replay.stopped.set)
    if seconds is not None:
        loop.call_later(seconds, replay.stopped.set)
    return await replay.run()


def main(arguments: list[str] | None = None) -> int:
    """``python -m laptop.replay``: prints its tally as JSON when it ends."""
    parser = argparse.ArgumentParser(prog="replay", description=__doc__.split("\n")[0])
    parser.add_argument("--url", required=True, help="the model's address at the front door")
    parser.add_argument("--artifact", required=True, type=Path, help="an artifact.json")
    parser.add_argument("--table", required=True, type=Path, help="the engineered Parquet table")
    parser.add_argument("--document", required=True, type=Path, help="the table's document")
    parser.add_argument("--start", required=True, type=dt.date.fromisoformat)
    parser.add_argument("--until", required=True, type=dt.date.fromisoformat)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--feedback-after", type=float, default=1.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=None, help="stop after this long")
    given = parser.parse_args(arguments)
    artifact = Artifact.load(given.artifact)
    document = FeatureTable.load(given.document)
    traffic = Traffic(
        url=given.url.rstrip("/") + "/",
        model=artifact.name,
        rate=given.rate,
        feedback_after=given.feedback_after,
    )
    rows = recorded_rows(given.table, document, given.start, given.until)
    replay = Replay(traffic, rows, artifact.inputs, document.label)
    tally = asyncio.run(replay_until_stopped(replay, given.seconds))
    sys.stdout.write(tally.text() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
