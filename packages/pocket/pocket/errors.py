"""Every error that a person can meet here, in one hierarchy.

An error is a sentence with three parts: *what* went wrong, *where* (a resource, a file, a process)
and *what to do*. A program that uses this package catches `PocketError` and shows the three.
"""

from __future__ import annotations


class PocketError(Exception):
    """Something a person can understand and act on.

    Args:
        what: what went wrong, a sentence without the trailing full stop.
        where: the file and key, the resource or the process; empty when there is no place to name.
        fix: what to do about it; empty only when nothing can be done.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.fix}" if self.fix else ""
        return f"{place}{self.what}{advice}"


class DeploymentError(PocketError):
    """A resource could not be planned, created, changed or removed."""


class ProcessError(PocketError):
    """A process of the emulator could not start, answer or stop."""


class OptionError(PocketError):
    """What the caller asked for does not go together, or needs what is not installed."""


def explains_itself(error: BaseException) -> bool:
    """Whether a program's own error has the three parts, whatever hierarchy it is of."""
    return all(isinstance(getattr(error, part, None), str) for part in ("what", "where", "fix"))
