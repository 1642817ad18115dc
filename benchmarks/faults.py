"""Every way in which a call can fail, at every call of an `up` of the whole local environment.

Each chain starts from nothing. Calls that may change something fail in turn, one kind of failure a
chain; whenever `up` gives up, it is run again, as a person would. At the end of each chain the
account is compared with the state, service by service: no duplicate, no orphan, nothing missing,
and another `up` with nothing to do. Then all is destroyed, and the account must be empty.

    python -m benchmarks.faults [--only lost_answer] [--shifts 2]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local import cloud
from local.engine import up
from tests.integration.infra.standing import Standing, kill_in_turn, run_until_settled

TRIES = 60
"""Runs of `up` until a chain is given up."""
STEPS = {"throttle": 2, "server_error": 3, "lost_answer": 4}
"""Each so-manyth call that may change something fails."""
CALLS_BETWEEN_KILLS = 10

console = Console()


@dataclass
class Chain:
    """What one chain did."""

    kind: str
    points: int = 0
    runs: int = 0
    operations: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0


@contextmanager
def standing() -> Iterator[Standing]:
    """An empty environment of its own."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    made = Standing(folder / "project")
    os.environ.update(cloud.environment(made.endpoints))
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def injected(kind: str, shift: int) -> Callable[[Standing, Chain], None]:
    """A chain of failures that the local cloud makes."""

    def go(made: Standing, chain: Chain) -> None:
        step = STEPS[kind]
        made.faults({"kind": kind, "changes_only": True, "nth": 1 + shift % step, "step": step})

        def run() -> object:
            chain.runs += 1
            return up(made.workspace)

        run_until_settled(run, TRIES)
        struck: Counter[str] = made.struck()
        chain.points, chain.operations = struck.total(), set(struck)
        made.faults()

    return go


def killed(shift: int) -> Callable[[Standing, Chain], None]:
    """A chain of processes that are killed, by turns before a call is sent and after its answer."""

    def go(made: Standing, chain: Chain) -> None:
        statuses = kill_in_turn(made, CALLS_BETWEEN_KILLS + shift, limit=TRIES)
        chain.runs, chain.points = len(statuses), sum(status < 0 for status in statuses)
        if statuses[-1] != 0:
            chain.wrong.append(f"the last run ended with {statuses[-1]}")

    return go


def run_chain(kind: str, shift: int) -> Chain:
    """One chain, from nothing to nothing."""
    chain, started = Chain(kind), time.perf_counter()
    disturb = killed(shift) if kind == "killed" else injected(kind, shift)
    with standing() as made:
        disturb(made, chain)
        chain.wrong += made.wrong()
        chain.left = [str(one) for one in made.destroy()]
    chain.seconds = time.perf_counter() - started
    return chain


def show(chains: list[Chain]) -> None:
    table = Table(title="Fault points in `up` of the whole local environment")
    for name in ("failure", "points", "operations", "runs of up", "wrong", "left", "seconds"):
        table.add_column(name, justify="left" if name == "failure" else "right")
    for one in chains:
        counts = (one.points, len(one.operations) or "-", one.runs, len(one.wrong), len(one.left))
        table.add_row(one.kind, *map(str, counts), f"{one.seconds:.0f}")
    points = sum(one.points for one in chains)
    every = set().union(*(one.operations for one in chains))
    wrong, left = (sum(len(getattr(one, k)) for one in chains) for k in ("wrong", "left"))
    table.add_section()
    table.add_row("all", str(points), str(len(every)), "", str(wrong), str(left), "")
    console.print(table)
    for one in chains:
        for problem in [*one.wrong, *one.left]:
            console.print(f"{one.kind}: {problem}", style="red", markup=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[*STEPS, "killed"])
    parser.add_argument("--shifts", type=int, default=1, help="chains of each kind, shifted by one")
    options = parser.parse_args()
    chains = []
    for kind in [options.only] if options.only else [*STEPS, "killed"]:
        for shift in range(options.shifts):
            chains.append(run_chain(kind, shift))
            told = f"{kind}: {chains[-1].points} points, {len(chains[-1].wrong)} wrong"
            console.print(told, style="dim")
    show(chains)
    return int(any(one.wrong or one.left for one in chains))


if __name__ == "__main__":
    sys.exit(main())
