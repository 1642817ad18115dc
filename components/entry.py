"""The frame around a step that runs as its own process: what it says to whoever started it.

A step's process can only say two things to the outside: lines and an exit code. So that a failed
gate does not come out as "exit status 1", each step says in one marked line that it started, that
it finished, or which of our errors stopped it; whoever reads the log (a person, or the local
run) finds the sentence for a person there, and the error is the same on both sides.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from contracts import errors
from contracts.errors import DocumentError, MillwrightError

MARK = "@millwright "


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say that the step started, and how it ended.

    Raises:
        SystemExit: with the error's exit code, where the step raised one of ours.
    """
    started = time.monotonic()
    say(step=name, event="started")
    try:
        yield
    except MillwrightError as error:
        say(step=name, event="failed", **describe(error))
        raise SystemExit(error.exit_code) from error
    say(step=name, event="finished", seconds=time.monotonic() - started)


def say(**fields: object) -> None:
    """One marked line."""
    sys.stdout.write(f"{MARK}{json.dumps(fields)}\n")
    sys.stdout.flush()


def warn(step: str, sentences: Iterable[str]) -> None:
    """What a person should know of a step that goes on: a marked line each."""
    for sentence in sentences:
        say(step=step, event="warning", text=sentence)


def heard(line: str) -> dict[str, object] | None:
    """What a marked line says; None for every other line."""
    _, mark, text = line.partition(MARK)
    if not mark:
        return None
    try:
        said = json.loads(text)
    except json.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def describe(error: MillwrightError) -> dict[str, object]:
    """An error as fields."""
    problems = list(error.problems) if isinstance(error, DocumentError) else []
    return {
        "error": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "problems": problems,
    }


def restore(fields: dict[str, object]) -> MillwrightError:
    """The error that ``describe`` described; of the base class where its own is not known here."""
    kind = getattr(errors, str(fields.get("error")), MillwrightError)
    text = {name: str(fields.get(name, "")) for name in ("where", "fix")}
    if isinstance(kind, type) and issubclass(kind, DocumentError):
        listed = fields.get("problems")
        problems = tuple(str(one) for one in listed) if isinstance(listed, list) else ()
        return kind(str(fields.get("what", "")), problems=problems, **text)
    if not (isinstance(kind, type) and issubclass(kind, MillwrightError)):
        kind = MillwrightError
    return kind(str(fields.get("what", "")), **text)
