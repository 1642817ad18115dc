"""The errors of the package `pocket` as Millwright's own.

`pocket` knows nothing of Millwright, so what it raises is mapped where it is called; a caller above
this room meets one hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import InfrastructureError, LocalError, MillwrightError, UsageError
from pocket.errors import DeploymentError, OptionError, PocketError, ProcessError

KINDS: dict[type[PocketError], type[MillwrightError]] = {
    DeploymentError: InfrastructureError,
    ProcessError: LocalError,
    OptionError: UsageError,
}
"""Each kind of error there, and what it is here."""


def from_pocket(error: PocketError) -> MillwrightError:
    """The same sentence as an error of Millwright's."""
    kind = next((ours for theirs, ours in KINDS.items() if isinstance(error, theirs)), LocalError)
    return kind(error.what, where=error.where, fix=error.fix)


@contextmanager
def mapped() -> Iterator[None]:
    """What `pocket` raises inside leaves as Millwright's; also a decorator."""
    try:
        yield
    except PocketError as error:
        raise from_pocket(error) from error
