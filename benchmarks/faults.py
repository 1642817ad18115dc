"""Every way in which a call can fail, at every call of an `up` of the whole local environment.

Each chain starts from nothing. Calls that may change something fail in turn, one kind of failure a
chain; whenever `up` gives up, it is run again, as a person would. At the end of each chain the
account is compared with the state, service by service: no duplicate, no orphan, nothing missing,
and another `up` with nothing to do. Then all is destroyed, and the account must be empty.

Calls that the local cloud fails are every second, third or fourth, so that `up` comes on; `--all`
has as many chains of each kind, shifted by one call, so that each call fails in one of them.
Killed is each call, before it is sent and after it is answered: with one call at a time, and with
sixteen resources at once.

    python -m benchmarks.faults [--only lost_answer] [--all]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
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

from pocket import emulator as cloud
from pocket.engine import Result, up
from tests.integration.infra.standing import PROJECT, Standing, run_until_settled

TRIES = 60
"""Runs of `up` until a chain is given up."""
STEPS = {"throttle": 2, "server_error": 3, "lost_answer": 4}
"""Each so-manyth call that may change something fails."""
KILLED = {"killed": 1, "killed, 16 at once": 16}
"""How many resources are worked on at once by the processes that are killed."""

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

        def run() -> Result:
            chain.runs += 1
            return up(made.workspace)

        run_until_settled(run, TRIES)
        struck: Counter[str] = made.struck()
        chain.points, chain.operations = struck.total(), set(struck)
        made.faults()

    return go


def killed(parallel: int) -> Callable[[Standing, Chain], None]:
    """A chain of processes that are killed, by turns before a call is sent and after its answer."""

    def go(made: Standing, chain: Chain) -> None:
        command = [sys.executable, "-m", "tests.integration.infra.kills", str(made.project)]
        # Forked from a process without threads, which this one is not.
        done = subprocess.run(
            [*command, f"--parallel={parallel}"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=PROJECT,
        )
        statuses: list[int] = json.loads(done.stdout.splitlines()[-1])
        chain.runs, chain.points = len(statuses), sum(status < 0 for status in statuses)
        if statuses[-1] != 0:
            chain.wrong.append(f"the last run ended with {statuses[-1]}")

    return go


def run_chain(kind: str, shift: int) -> Chain:
    """One chain, from nothing to nothing."""
    chain, started = Chain(kind), time.perf_counter()
    disturb = killed(KILLED[kind]) if kind in KILLED else injected(kind, shift)
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
    parser.add_argument("--only", choices=[*STEPS, *KILLED])
    parser.add_argument("--all", action="store_true", help="each call fails in one of the chains")
    options = parser.parse_args()
    chains = []
    for kind in [options.only] if options.only else [*STEPS, *KILLED]:
        for shift in range(STEPS.get(kind, 1) if options.all else 1):
            chains.append(run_chain(kind, shift))
            last = chains[-1]
            told = f"{kind}: {last.points} points, {len(last.wrong)} wrong, {last.seconds:.0f} s"
            console.print(told, style="dim")
    show(chains)
    return int(any(one.wrong or one.left for one in chains))


if __name__ == "__main__":
    sys.exit(main())
