"""The frame around a step that runs as its own process: what it says to whoever started it.

A step's process can only say two things to the outside: lines and an exit code. So that a failed
gate does not come out as "exit status 1", each step says in one marked line that it started, that
it finished, or which of our errors stopped it; whoever reads the log (a person, or the local
run) finds the sentence for a person there, and the error is the same on both sides.
"""

from __future__ import annotations

import errno
import json
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from contracts import errors
from contracts.errors import DocumentError, MillwrightError, PipelineError

MARK = "@millwright "


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say that the step started, and how it ended.

    Raises:
        SystemExit: with the exit code of the error that the step raised.
    """
    started = time.monotonic()
    say(step=name, event="started")
    try:
        yield
    except Exception as error:  # whatever it is, a person gets a sentence
        known = sentence(error)
        if known is not error:
            traceback.print_exc()
        say(step=name, event="failed", **describe(known))
        raise SystemExit(known.exit_code) from error
    say(step=name, event="finished", seconds=time.monotonic() - started)


def sentence(error: Exception) -> MillwrightError:
    """An exception of a step as a person reads it."""
    match error:
        case MillwrightError():
            return error
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            fix = "make room and train again: finished steps are kept"
            return PipelineError("the disk is full", where=str(error.filename or ""), fix=fix)
        case OSError(strerror=str(reason)) if reason:
            fix = "can the user of the run read and write it?"
            return PipelineError(reason.lower(), where=str(error.filename or ""), fix=fix)
        case MemoryError():
            return PipelineError("there is not enough memory", fix="give it more, or fewer rows")
    lines = str(error).strip().splitlines()
    return PipelineError(f"{type(error).__name__}: {lines[0] if lines else 'without a word'}")


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
