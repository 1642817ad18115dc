"""Chaos: a hundred requests a second through the front door while what serves them is broken.

In turn the rollout's loop is killed, model servers are killed, Envoy's configuration changes every
second and telemetry disappears, while versions are rolled out one after the other: good ones,
which have to be promoted, and slow ones, which have to be rolled back. Real processes all along:
the ones that `millwright rollout start` leaves running. `python -m benchmarks.chaos` is the run of
two minutes; the tests do a shorter one with the same code.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.chaos_place import MODEL, ROOT, Place
from benchmarks.load import Seen
from contracts.rollout import Decision, Phase

SLOW = 200
"""Multiplications of matrices that a slow version does for each request: 50 ms or more."""
SPACING = 6.0
"""Seconds between two deaths of the same kind at least."""


# --- Disturbances ---------------------------------------------------------------------------------

Disturbance = Callable[[Place, float], None]
"""Acts for so many seconds."""


def calm(place: Place, seconds: float) -> None:
    """Nothing happens."""
    time.sleep(seconds)


def loop_killed(place: Place, seconds: float) -> None:
    """The loop dies, again and again."""
    for _ in times(seconds):
        place.kill(f"rollout.{MODEL}")


def servers_killed(place: Place, seconds: float) -> None:
    """A model server dies, another one each time."""
    for number in times(seconds):
        place.kill(f"serving.{MODEL}.", nth=number)


def times(seconds: float) -> Iterator[int]:
    """Counts, at moments spread over the time: at least once, and at most every `SPACING`."""
    often = max(1, int(seconds / SPACING))
    for number in range(often):
        yield number
        time.sleep(seconds / often)


def configuration_changes(place: Place, seconds: float) -> None:
    """Envoy gets other routes every second."""
    until = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() >= until:
            return
        place.disturb_configuration(1000 + 800 * (number % 10))
        time.sleep(1.0)


def telemetry_gone(place: Place, seconds: float) -> None:
    """Nobody can be asked what the data plane does or counted."""
    with place.without_telemetry():
        time.sleep(seconds)


IN_TURN: tuple[tuple[str, Disturbance], ...] = (
    ("the rollout's loop is killed", loop_killed),
    ("model servers are killed", servers_killed),
    ("Envoy's configuration changes", configuration_changes),
    ("telemetry disappears", telemetry_gone),
)


# --- What is seen ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one version's rollout ended."""

    version: str
    slow: bool
    phase: Phase
    reason: str
    began: float
    ended: float
    decisions: int
    gaps: str
    """What is wrong with its history; empty when nothing is."""

    @property
    def right(self) -> bool:
        """Whether it is what the version deserves."""
        return self.phase is (Phase.ROLLED_BACK if self.slow else Phase.PROMOTED)


@dataclass(kw_only=True)
class Outcome:
    """A run."""

    seen: list[Seen]
    verdicts: list[Verdict]
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    """What happened, from when until when."""

    def within(self, start: float, end: float) -> list[Seen]:
        """The requests that were due in a time."""
        return [one for one in self.seen if start <= one.at < end]


def failed(seen: Sequence[Seen]) -> int:
    """How many had no good answer."""
    return sum(one.status != 200 for one in seen)


def success(seen: Sequence[Seen]) -> float:
    """The share that had a good answer."""
    return 1 - failed(seen) / len(seen)


def p95(seen: Sequence[Seen]) -> float:
    """The 95th percentile of the time to an answer, in seconds."""
    return statistics.quantiles([one.seconds for one in seen], n=20)[-1]


def outage(seen: Sequence[Seen]) -> float:
    """The longest time in which no request succeeded, in seconds."""
    good = [one.at for one in seen if one.status == 200]
    every = [seen[0].at, *good, seen[-1].at]
    return max(after - before for before, after in itertools.pairwise(every))


def gaps(history: Sequence[Decision]) -> str:
    """What is wrong with the decisions of one rollout; empty when nothing is."""
    looks = [one.look for one in history]
    counted = sorted(set(looks))
    if not history or not history[0].reason.startswith(f"version {history[0].candidate} starts"):
        return "the first decision is missing"
    if looks != sorted(looks):
        return f"looks out of order: {looks}"
    if counted != list(range(counted[0], counted[-1] + 1)):
        return f"looks are missing: {counted}"
    if [one.at for one in history] != sorted(one.at for one in history):
        return "times out of order"
    again = len(history) - len({one.model_dump_json() for one in history})
    return f"{again} decisions were told twice" if again else ""


# --- The run --------------------------------------------------------------------------------------


class Rollouts(threading.Thread):
    """One version after the other is rolled out: a good one, a slow one, and again."""

    def __init__(self, place: Place, least: int) -> None:
        super().__init__(name="rollouts")
        self.verdicts: list[Verdict] = []
        self.problem: BaseException | None = None
        self._place = place
        self._least = least
        self._enough = threading.Event()

    def run(self) -> None:
        """Until it is enough, and the one under way is over."""
        try:
            for number in itertools.count():
                self.verdicts.append(self.one(slow=number % 2 == 1))
                if self._enough.is_set() and len(self.verdicts) >= self._least:
                    return
        except BaseException as problem:  # noqa: BLE001  given to who waits for it
            self.problem = problem

    def one(self, *, slow: bool) -> Verdict:
        """Roll out one version and wait for its verdict."""
        place = self._place
        target = place.make(work=SLOW if slow else 0)
        began = time.time()
        place.roll_out(target)
        place.wait(lambda: target.version in place.versions and place.over(), within=180)
        status = place.status()
        history = place.history(target.version)
        return Verdict(
            version=target.version,
            slow=slow,
            phase=status.phase,
            reason=status.reason,
            began=began,
            ended=time.time(),
            decisions=len(history),
            gaps=gaps(history),
        )

    def finish(self) -> list[Verdict]:
        """Wait for the verdict of the one under way."""
        self._enough.set()
        self.join()
        if self.problem:
            raise self.problem
        return self.verdicts


@contextmanager
def loaded(place: Place, rate: float, patience: float) -> Iterator[Callable[[], list[Seen]]]:
    """Requests at a steady rate while the block runs; gives a function that reads them after."""
    port, path = place.front_door()
    folder = place.host.root
    bodies = folder / "bodies.jsonl"
    bodies.write_text("\n".join(body(hour) for hour in range(5, 24)))
    out = folder / "seen.jsonl"
    command = (sys.executable, "-m", "benchmarks.load", "--port", str(port), "--path", path)
    options = ("--bodies", str(bodies), "--rate", str(rate), "--patience", str(patience))
    with out.open("w") as file:
        process = subprocess.Popen((*command, *options), cwd=ROOT, stdout=file)
    try:
        yield lambda: [Seen(*json.loads(line)) for line in out.read_text().splitlines()]
    finally:
        process.terminate()
        process.wait(60)


def body(hour: int) -> str:
    """A request about a flight at that hour."""
    values: Mapping[str, tuple[str, object]] = {
        "hour": ("FP32", float(hour)),
        "carrier": ("BYTES", "B6" if hour % 3 else "AA"),
        "distance": ("FP32", 90.0 * hour),
    }
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": datatype, "data": [value]}
        for name, (datatype, value) in values.items()
    ]
    return json.dumps({"inputs": inputs})


def run(
    place: Place,
    happenings: Sequence[tuple[str, Disturbance]],
    *,
    seconds: float,
    rate: float,
    rollouts: int = 1,
    patience: float = 10.0,
) -> Outcome:
    """Load the place, roll out versions, and let things happen one after the other.

    Args:
        place: which serves.
        happenings: what happens, with its name.
        seconds: for which each of them lasts.
        rate: requests a second.
        rollouts: how many there are at least; another one starts as long as something happens.
        patience: seconds after which a request counts as failed for want of an answer.
    """
    spans = []
    with loaded(place, rate, patience) as read:
        time.sleep(0.5)
        running = Rollouts(place, rollouts)
        running.start()
        for name, happens in happenings:
            began = time.time()
            happens(place, seconds)
            spans.append((name, began, time.time()))
        verdicts = running.finish()
    return Outcome(seen=sorted(read()), verdicts=verdicts, spans=spans)


# --- The table ------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Two minutes of chaos; prints the section for docs/benchmarks.md, and 1 if it was too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="for each disturbance")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--replicas", type=int, default=2, help="servers of each version")
    given = parser.parse_args(argv)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="millwright-chaos-"))
        place = Place(Path(folder), replicas=given.replicas)
        stack.callback(place.stop)
        place.start()
        outcome = run(place, IN_TURN, seconds=given.seconds, rate=given.rate)
        print(section(outcome, given))
    return 0 if passed(outcome) else 1


def passed(outcome: Outcome) -> bool:
    """Whether it stood what it must stand."""
    seen = outcome.seen
    stood = success(seen) >= 0.99 and p95(seen) < 0.25 and outage(seen) <= 10
    return stood and all(one.right and not one.gaps for one in outcome.verdicts)


WHAT = """
In turn the rollout's loop is killed again and again, model servers are, Envoy gets other routes
every second, and nobody can ask Envoy for counters or weights; meanwhile versions are rolled out
one after the other. To pass: 99 % of requests succeed, 95 % of them within 250 ms, no outage is
longer than 10 s, every verdict is the right one, and its history has no gap.
"""


def section(outcome: Outcome, given: argparse.Namespace) -> str:
    """The section of docs/benchmarks.md."""
    whole = ("in all", outcome.seen[0].at, outcome.seen[-1].at + 1)
    how = (
        f"`python -m benchmarks.chaos`, {date.today().isoformat()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}: {given.rate:g} requests a second through Envoy, whether or "
        f"not earlier ones were answered, {given.replicas} servers a version."
    )
    lines = [
        "## Chaos",
        "",
        how,
        WHAT,
        "| | requests | failed | succeeded | p50 ms | p95 ms | longest outage s |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(row(name, outcome.within(start, end)) for name, start, end in (*outcome.spans, whole)),
        "",
        "| version | rollout | seconds | decisions | history | failed requests meanwhile |",
        "|---|---|---:|---:|---|---:|",
        *(
            f"| {'slow' if one.slow else 'good'} | {one.phase}{'' if one.right else ' (wrong)'} "
            f"| {one.ended - one.began:.0f} | {one.decisions} | {one.gaps or 'complete'} "
            f"| {failed(outcome.within(one.began, one.ended))} |"
            for one in outcome.verdicts
        ),
    ]
    return "\n".join(lines) + "\n"


def row(name: str, seen: Sequence[Seen]) -> str:
    """A line of the table."""
    median = statistics.median(one.seconds for one in seen)
    return (
        f"| {name} | {len(seen):,} | {failed(seen)} | {success(seen):.2%} | {1000 * median:.1f} "
        f"| {1000 * p95(seen):.1f} | {outage(seen):.2f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
