"""Soak: half of what this machine can serve, for ten minutes, through rollouts.

First the most is found that the front door and one version's servers answer; then half of it comes
at a steady rate, whether or not earlier requests were answered, while two good versions are rolled
out and promoted and a slow one is rolled back. Asked are whether a request failed, whether memory
grows in the servers that are left, and how much longer the longest waits are than the usual one.
`python -m benchmarks.soak` takes eleven minutes and prints the section for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import psutil

from benchmarks import load
from benchmarks.chaos import Rollouts, Verdict, body, failed, loaded
from benchmarks.chaos_place import MODEL, PLAN, Place
from benchmarks.load import Seen
from contracts.rollout import RolloutSpec

EVERY = 2.0
"""Seconds between two looks at memory."""
SETTLED = 60.0
"""Seconds of a process's life that do not count: what it takes once, it keeps."""
SHARE = 0.5
"""Of what was found to be the most."""
PLANNED = RolloutSpec.parse(
    {**PLAN.model_dump(mode="json"), "weight": {"start": "1%", "max": "50%"}}
)
"""A slow version computes in vain, on the cores of all others: it begins with little."""


@dataclass
class Memory(threading.Thread):
    """The resident memory of each model server, in bytes, by its process and its age in seconds."""

    place: Place
    samples: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(name="memory", daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Look until it is over."""
        while not self.over.wait(EVERY):
            for one in self.place.host.supervisor.status():
                if one.name.startswith(f"serving.{MODEL}.") and one.pid:
                    self._look(one.pid)

    def _look(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            age, held = time.time() - process.create_time(), process.memory_info().rss
        except psutil.Error:
            return
        self.samples.setdefault(pid, []).append((age, held))

    def growth(self) -> list[tuple[float, int, int]]:
        """Of each server that lived long enough: the seconds that were looked at, and the median
        memory of their first and of their last quarter, in bytes.
        """
        grown = []
        for samples in self.samples.values():
            settled = [(age, held) for age, held in samples if age > SETTLED]
            if len(settled) < 20:
                continue
            quarter = len(settled) // 4
            first = statistics.median(held for _, held in settled[:quarter])
            last = statistics.median(held for _, held in settled[-quarter:])
            grown.append((settled[-1][0] - settled[0][0], int(first), int(last)))
        return grown


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A run.

    Args:
        most: requests a second that were answered at most, before it began.
        seen: each request.
        verdicts: the rollouts.
        grown: see `Memory.growth`.
    """

    most: float
    seen: list[Seen]
    verdicts: list[Verdict]
    grown: list[tuple[float, int, int]]


def most(place: Place, seconds: float = 8.0) -> float:
    """The most requests a second that the front door answers, by a closed loop."""
    port, path = place.front_door()
    content = body(9).encode()
    found = load.wrk(port, path, content, connections=16, seconds=seconds) or load.run(
        port, load.post(path, content), connections=16, seconds=seconds
    )
    if found.failed:
        raise RuntimeError(f"{found.failed} requests failed before it began")
    return found.per_second


def run(place: Place, seconds: float) -> Outcome:
    """Load the place, and roll out two good versions and a slow one meanwhile."""
    found = most(place)
    memory, rollouts = Memory(place), Rollouts(place, 0)
    with loaded(place, SHARE * found, 10.0) as read:
        memory.start()
        until = time.monotonic() + seconds
        verdicts = []
        for slow in (False, False, True):
            time.sleep(5.0)
            verdicts.append(rollouts.one(slow=slow))
        time.sleep(max(0.0, until - time.monotonic()))
        memory.over.set()
        memory.join()
    return Outcome(most=found, seen=sorted(read()), verdicts=verdicts, grown=memory.growth())


def quantile(seen: Sequence[Seen], share: float) -> float:
    """Milliseconds within which this share of the requests was answered."""
    waits = sorted(one.seconds for one in seen)
    return 1000 * waits[min(len(waits) - 1, int(share * len(waits)))]


def section(outcome: Outcome, given: argparse.Namespace) -> str:
    """The section of docs/benchmarks.md."""
    seen = outcome.seen
    how = (
        f"`python -m benchmarks.soak --seconds {given.seconds:g}`, {date.today().isoformat()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}: half of the most, through "
        "Envoy, two servers a version; the load and all that serves share the cores."
    )
    rows = [
        ("requests", f"{len(seen):,}"),
        ("a second; the most that was answered", f"{SHARE * outcome.most:.0f}; {outcome.most:.0f}"),
        ("failed", f"{failed(seen)}"),
        ("p50, p99, p99.9 ms", ", ".join(f"{quantile(seen, q):.1f}" for q in (0.5, 0.99, 0.999))),
        *(
            (
                f"rollout of a {'slow' if one.slow else 'good'} version",
                f"{one.phase} ({one.reason})",
            )
            for one in outcome.verdicts
        ),
        *(
            (f"memory of a server, {span:.0f} s apart", f"{first / 1e6:.1f} → {last / 1e6:.1f} MB")
            for span, first, last in outcome.grown
        ),
    ]
    lines = [
        "## Soak",
        "",
        how,
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Soak; 1 where a request failed, memory grew by more than 5 %, or a verdict was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    given = parser.parse_args(argv)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="millwright-soak-"))
        place = Place(Path(folder), PLANNED, replicas=2)
        stack.callback(place.stop)
        place.start()
        outcome = run(place, given.seconds)
    print(section(outcome, given))
    flat = all(last <= 1.05 * first for _, first, last in outcome.grown)
    right = all(one.right for one in outcome.verdicts)
    return 0 if flat and right and not failed(outcome.seen) else 1


if __name__ == "__main__":
    sys.exit(main())
