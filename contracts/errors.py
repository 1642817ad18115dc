"""Every error that a person can meet, in one hierarchy.

An error is a sentence with three parts: *what* went wrong, *where* (file and key, resource,
step), and *what to do*. The command line prints exactly these and exits with the class's code; a
stack trace is for ``--debug``. Without one hierarchy each room would invent its own way to fail,
and the reader would learn five.
"""

from __future__ import annotations


class MillwrightError(Exception):
    """Something a person can understand and act on.

    Args:
        what: what went wrong, a sentence without the trailing full stop.
        where: the file and key, the resource or the step; empty when there is no place to name.
        fix: what to do about it; empty only when nothing can be done.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.fix}" if self.fix else ""
        return f"{place}{self.what}{advice}"


class UsageError(MillwrightError):
    """The command's words are wrong: an unknown name, options that exclude each other."""

    exit_code = 2


class DocumentError(MillwrightError):
    """A document (environment, model, rollout) is not what its contract says.

    ``problems`` holds every problem found, each a sentence with its key, so that one run shows
    them all.
    """

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  - {problem}" for problem in self.problems)])


class InfrastructureError(MillwrightError):
    """A resource could not be planned, created, changed or removed."""


class ImageError(MillwrightError):
    """A container image could not be built, pushed or asked for."""


class LocalError(MillwrightError):
    """What runs on this machine could not start, answer or stop."""


class DataError(MillwrightError):
    """Data is missing, unreadable or not what the dataset's schema promises."""


class PipelineError(MillwrightError):
    """A pipeline step failed."""


class ServingError(MillwrightError):
    """A model server, its data plane or a client's request failed."""


class RolloutError(MillwrightError):
    """A rollout cannot be started, read or steered as asked."""


class RejectedError(MillwrightError):
    """The work was done, and its result rejected: a gate failed or a rollout was rolled back."""

    exit_code = 3
