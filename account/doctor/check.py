"""One row of what the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["ok", "warning", "missing"]
SHOWN: Final = 3
"""How many names a row lists before it counts."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row.

    Args:
        about: what was looked at.
        state: whether it is there; a warning stops nothing.
        found: what was found.
        fix: what to do; empty where nothing has to be done.
    """

    about: str
    state: State
    found: str
    fix: str = ""


def some(names: list[str]) -> str:
    """The first names, and how many more."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
