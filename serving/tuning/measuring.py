"""Measures a model's servers under settings, beside each other, in a bounded time.

All servers run at once, and each load is tried on one after the other, so that what else the
machine does hits all of them alike.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import numpy as np
import psutil  # type: ignore[import-untyped,unused-ignore]

from contracts.artifact import DOCUMENT_FILE, MODEL_FILE, Artifact, Tensor
from contracts.errors import ServingError, UsageError
from contracts.model import Batch, ServingSpec
from pocket import patience
from pocket.supervisor import free_port
from serving import protocol
from serving.rollout.pods import options
from serving.runtime.model import Answer, Model, Prepared
from serving.tuning.load import Order, Seen
from serving.tuning.proposing import PLAIN, Cell, Load, Setting

ROWS = (1, 8, 64)
CONNECTIONS = (1, 16, 64)
_THREADED: tuple[Load, ...] = ((64, 1), (1, 16))
"""The loads that say whether another thread pays."""
_BODIES = 16
"""Different requests of each size."""
_SHORTEST = 0.2
"""Seconds of a measurement, below which it says nothing."""
_ENDING = 2.0
"""Seconds at the end for processes to end in."""


def check_measurable(artifact: Artifact) -> None:
    """Refuse a model for which there is nothing to choose.

    Raises:
        UsageError: it is a person's own code.
    """
    if artifact.format == "predictor":
        raise UsageError(
            "the model is a person's own code, which shares no calls and has its own processes",
            where=f"{artifact.name} {artifact.version}",
            fix="There is nothing to tune for it.",
        )


def settings_for(*, joins: bool, shares: bool, processors: int) -> list[Setting]:
    """What is tried beside the defaults.

    Args:
        joins: whether rows of different requests can be put into one call at all.
        shares: whether they are anyway, because that changes no bit.
        processors: of this machine.
    """
    waits = () if not joins else (0.002,) if shares else (0.0, 0.002)
    batches = [Setting(batch=Batch(wait=wait)) for wait in waits]
    return [PLAIN, *batches, *([Setting(threads=2)] if processors > 1 else [])]


def bodies(artifact: Artifact, rows: int, random: np.random.Generator) -> list[bytes]:
    """Requests made up from the signature: texts that training saw, numbers in the range it saw."""
    return [
        json.dumps({"inputs": [_input(own, rows, random) for own in artifact.inputs]}).encode()
        for _ in range(_BODIES)
    ]


def _input(tensor: Tensor, rows: int, random: np.random.Generator) -> dict[str, Any]:
    shape = [rows if size == -1 else size for size in tensor.shape]
    count = math.prod(shape)
    data: list[Any]
    if tensor.datatype == "BYTES":
        data = random.choice(tensor.categories or ("",), count).tolist()
    elif tensor.datatype == "BOOL":
        data = (random.random(count) < 0.5).tolist()
    else:
        low = tensor.minimum if tensor.minimum is not None else 0.0
        high = tensor.maximum if tensor.maximum is not None else low + 1.0
        data = random.uniform(low, high, count).round(4).tolist()
        if not tensor.datatype.startswith("FP"):
            data = [int(value) for value in data]
    return {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data}


def difference(model: Model, texts: Sequence[bytes]) -> float:
    """By how much rows differ that are answered in company and alone, at the most, relative to the
    largest output. Infinite where one is answered in one way alone.

    Raises:
        ServingError: the model answers no request at all.
    """
    asked = [model.prepared(text, str(number)) for number, text in enumerate(texts)]
    alone = [model.answers([prepared])[0] for prepared in asked]
    together = model.answers(asked)
    if not any(isinstance(answer, Answer) for answer in alone):
        raise ServingError(
            "the model fails on rows made up from its signature",
            where=f"{model.name} {model.version}",
            fix="Ask it for a prediction to see why.",
        )
    return max(_apart(*both) for both in zip(together, alone, strict=True))


def _apart(together: object, alone: object) -> float:
    if not isinstance(together, Answer) or not isinstance(alone, Answer):
        return 0.0 if type(together) is type(alone) else math.inf
    apart = 0.0
    for ours, own in zip(*(_outputs(answer) for answer in (together, alone)), strict=True):
        if ours == own:
            continue
        try:
            left, right = np.array(ours, float), np.array(own, float)
        except (TypeError, ValueError):
            return math.inf
        apart = max(apart, float(np.abs(left - right).max() / max(np.abs(right).max(), 1e-30)))
    return apart


def _outputs(answer: Answer) -> list[list[Any]]:
    return [output["data"] for output in json.loads(answer.body)["outputs"]]


def seconds_of_a_call(model: Model, prepared: Prepared) -> float:
    """How long one takes, at the least of three."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        model.answers([prepared])
        times.append(time.perf_counter() - began)
    return min(times)


@dataclass(frozen=True, kw_only=True)
class _Server:
    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        try:
            used = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            raise _ended(self.process.poll()) from None
        return float(used.user + used.system)


def _ended(code: int | None) -> ServingError:
    return ServingError(
        f"a server that was measured ended by itself, with {code}",
        fix="Is there memory for one server a setting? `millwright rollout start` shows its log.",
    )


def measure(
    artifact: Artifact,
    content: bytes,
    settings: Sequence[Setting],
    *,
    seconds: float,
    say: Callable[[str], None] = lambda _: None,
) -> list[Cell]:
    """Measure each setting under each load.

    Args:
        artifact: the model's document.
        content: the bytes of its ``model.onnx``.
        settings: what is tried.
        seconds: for all of it; loads that take too long for it are left out.
        say: is told what goes on.

    Raises:
        ServingError: a server did not start, or ended, or there is too little time.
    """
    until = time.monotonic() + seconds
    random = np.random.default_rng(0)
    model = Model(artifact.name, artifact, content)
    texts = {rows: bodies(artifact, rows, random) for rows in ROWS}
    calls = {
        rows: seconds_of_a_call(model, model.prepared(own[0], "")) for rows, own in texts.items()
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="millwright-tune-")))
        (folder / MODEL_FILE).write_bytes(content)
        (folder / DOCUMENT_FILE).write_text(artifact.model_dump_json())
        for rows, own in texts.items():
            (folder / f"{rows}.jsonl").write_bytes(b"\n".join(own))
        say(f"starting {len(settings)} servers")
        servers = stack.enter_context(_servers(folder, artifact.name, settings))
        ask = stack.enter_context(_loader())
        cells: list[Cell] = []
        path = protocol.INFER.of(artifact.name)
        left = until - _ENDING - time.monotonic()
        loads = list(_loads(settings, left, calls))[: max(0, int(left / _SHORTEST))]
        if not loads:
            raise ServingError(
                f"{seconds:.0f} s are too short to start {len(settings)} servers and measure",
                where=f"{artifact.name} {artifact.version}",
                fix="Give it more by --seconds.",
            )
        for done, (setting, (rows, connections)) in enumerate(loads):
            left = until - _ENDING - time.monotonic()
            time_each = max(left / (len(loads) - done), _SHORTEST)
            say(f"{setting.title}: {rows} rows, {connections} connections")
            order = Order(
                port=servers[setting].port,
                path=path,
                bodies=str(folder / f"{rows}.jsonl"),
                connections=connections,
                seconds=0.8 * time_each,
            )
            ask(msgspec.structs.replace(order, seconds=0.15 * time_each))
            before = servers[setting].cpu()
            seen = ask(order)
            used = servers[setting].cpu() - before
            if seen.failed:
                raise ServingError(
                    f"{seen.failed} of {seen.failed + seen.answered} requests failed",
                    where=f"{artifact.name} {artifact.version}: {setting.title}",
                    fix="Ask it for a prediction to see why.",
                )
            if seen.answered:
                cells.append(_cell(setting, (rows, connections), seen, used))
    return cells


def _cell(setting: Setting, load: Load, seen: Seen, used: float) -> Cell:
    return Cell(
        setting=setting,
        load=load,
        per_second=seen.answered / seen.seconds,
        cpu=1e6 * used / seen.answered,
        p50=seen.p50,
        p99=seen.p99,
    )


def _loads(
    settings: Sequence[Setting], seconds: float, calls: Mapping[int, float]
) -> Iterator[tuple[Setting, Load]]:
    """Setting by load, beside each other; without loads of which a round takes too long."""
    every = [
        (setting, (rows, connections))
        for rows in ROWS
        for connections in CONNECTIONS
        for setting in settings
        if setting.threads == 1 or (rows, connections) in _THREADED
    ]
    each = seconds / len(every)
    for setting, (rows, connections) in every:
        if connections * calls[rows] < each:
            yield setting, (rows, connections)


@contextmanager
def _servers(
    folder: Path, name: str, settings: Sequence[Setting]
) -> Iterator[dict[Setting, _Server]]:
    """A server a setting, all ready."""
    servers: dict[Setting, _Server] = {}
    logs = {setting: folder / f"{number}.log" for number, setting in enumerate(settings)}
    try:
        for setting in settings:
            spec = ServingSpec(batch=setting.batch, threads=setting.threads)
            port = free_port()
            command = (
                *(sys.executable, "-m", "serving.runtime", "--artifact", str(folder)),
                *("--name", name, "--port", str(port), "--grace", "0s", *options(spec)),
            )
            with logs[setting].open("wb") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
            servers[setting] = _Server(port=port, process=process)
        for setting, server in servers.items():
            if not patience.until(partial(_ready, server), within=30.0, pause=0.1):
                said = logs[setting].read_text(errors="replace").strip().splitlines()[-1:]
                raise ServingError(
                    f"a server did not start: {' '.join(said) or 'it said nothing'}",
                    where=f"{name}: {setting.title}",
                    fix="Is there memory for one server a setting?",
                )
        yield servers
    finally:
        for server in servers.values():
            server.process.kill()
        for server in servers.values():
            server.process.wait()


def _ready(server: _Server) -> bool:
    if server.process.poll() is not None:
        raise _ended(server.process.returncode)
    try:
        url = f"http://127.0.0.1:{server.port}/v2/health/ready"
        return (
            httpx.get(url, trust_env=False, verify=False, timeout=2).status_code == httpx.codes.OK
        )
    except httpx.HTTPError:
        return False


@contextmanager
def _loader() -> Iterator[Callable[[Order], Seen]]:
    """The process that asks."""
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.tuning.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(order: Order) -> Seen:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise ServingError(
                f"the process that asks ended by itself, with {process.wait()}",
                fix="What it said is above.",
            )
        return msgspec.json.decode(line, type=Seen)

    try:
        yield ask
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()
