"""Kills runs of the engine at every point there is, resumes each, and reports what is left.

Run as a script by test_engine_crashes.py. It imports everything once and forks for each case; a
child kills itself with SIGKILL, so nothing in it gets a chance to tidy up.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pocket.engine import destroy, resources, up
from pocket.engine.journal import JournalFile
from pocket.engine.secrets import derive, salt_bytes
from pocket.errors import DeploymentError
from pocket_testing import shelf as cloud
from pocket_testing.stacks import PASSPHRASE, SALT, Stack

FIRST = """
    a = Thing("a", size=1, password=Output.secret("hush"))
    group = Group("g")
    b = Thing("b", Opts(parent=group), size=a.size)
    c = Thing("c", kind="round", links=[b.label])
    d = Thing("d", kind="flat", links=[c.label])
    e = Thing("e", size=5)
    export("label", c.label)
"""
SECOND = """
    a = Thing("a", size=2, password=Output.secret("hush"))
    group = Group("g")
    b = Thing("b", Opts(parent=group), name="b-renamed", size=a.size)
    c = Thing("c", kind="square", links=[b.label])
    d = Thing("d", kind="flat", links=[c.label])
    f = Thing("f", size=6, links=[d.label])
    export("label", c.label)
"""

STAGES: dict[str, tuple[str | None, str | None]] = {
    "create": (None, FIRST),
    "change": (FIRST, SECOND),
    "destroy": (SECOND, None),
}
"""Each stage: the program that was up before, and the one to bring up (None: nothing)."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(point: str, number: int) -> None:
    """Arm this process to die at the n-th journal write (before or after it) or provider effect."""
    count = iter(range(sys.maxsize))
    if point == "effect":
        put, remove = cloud.Shelf.put, cloud.Shelf.remove
        cloud.Shelf.put = lambda self, one: (put(self, one), hit(count, number))  # type: ignore
        cloud.Shelf.remove = lambda self, one: (remove(self, one), hit(count, number))  # type: ignore
        return
    write = JournalFile.write

    def wrapped(self: JournalFile, record: Any, **how: bool) -> None:
        if point == "before":
            hit(count, number)
        write(self, record, **how)
        if point == "after":
            hit(count, number)

    JournalFile.write = wrapped  # type: ignore[method-assign]


def hit(count: Iterator[int], number: int) -> None:
    if next(count) == number:
        die()


def run(stack: Stack, program: str | None) -> None:
    if program is None:
        destroy(stack.workspace)
    else:
        up(stack.write(program))


def in_child(action: Callable[[], None]) -> int:
    """Do something in a child; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except DeploymentError as error:
            print(error, file=sys.stderr)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def case(stage: str, point: str, number: int, prepared: Path, directory: Path) -> dict[str, Any]:
    """Kill one run at one point, resume it, and report."""
    shutil.copytree(prepared, directory)
    stack = Stack(directory, parallel=2)
    program = STAGES[stage][1]

    def killed() -> None:
        kill_at(point, number)
        run(stack, program)

    status = in_child(killed)
    resumed = in_child(lambda: run(stack, program)) if status else 0
    states = resources(stack.workspace)
    report = {
        "case": f"{stage} {point} {number}",
        "killed": status == -signal.SIGKILL,
        "resumed": resumed,
        "state": sorted(one.id for one in states if one.type == "shelf:index:Thing"),
        "cloud": sorted(stack.shelf.things()),
        "twice": [urn for urn, n in Counter(one.urn for one in states).items() if n > 1],
        "names": sorted(one.name for one in states if one.type == "shelf:index:Thing"),
    }
    shutil.rmtree(directory)
    return report


def main(root: Path, stage: str, points: list[str]) -> None:
    os.environ["PULUMI_CONFIG_PASSPHRASE"] = PASSPHRASE
    derive(PASSPHRASE, salt_bytes(SALT)).result()
    prepared = root / "prepared"
    stack = Stack(prepared)
    stack.write(STAGES[stage][0] or "")
    before = STAGES[stage][0]
    if before is not None and in_child(lambda: run(stack, before)):
        raise SystemExit("the preparation failed")
    for point in points:
        for number in range(200):
            report = case(stage, point, number, prepared, root / f"{point}-{number}")
            print(json.dumps(report), flush=True)
            if not report["killed"]:
                break


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
