"""What a run tells while it goes, and what it gives back: typed values for progress, tables and
tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pocket.engine.steps import Op, Step

Kind = Literal["preview", "up", "refresh", "destroy"]

UNCOUNTED = frozenset(
    {Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED, Op.REMOVE_PENDING, Op.READ_REPLACEMENT}
)
"""Parts of a replacement: it counts once, as the replacement."""


@dataclass(frozen=True)
class ResourcePre:
    """A step begins (in a preview: would begin)."""

    step: Step


@dataclass(frozen=True)
class ResourceOutputs:
    """A step has succeeded."""

    step: Step


@dataclass(frozen=True)
class Failed:
    """A step has failed."""

    step: Step
    message: str


@dataclass(frozen=True)
class Diagnostic:
    """A message from the program, a provider or the engine."""

    severity: Literal["debug", "info", "warning", "error"]
    message: str
    urn: str = ""


@dataclass(frozen=True)
class Result:
    """What an operation did, or would do.

    ``outputs`` are the stack's outputs in plain values; which of them are secret stands in
    ``secret_outputs``.
    """

    kind: Kind
    stack: str
    steps: tuple[Step, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()
    duration: float = 0.0

    @property
    def counts(self) -> dict[Op, int]:
        """How many resources each kind of step touched; a replacement counts once."""
        done = (step.op for step in self.steps if not step.error)
        return dict(Counter(op for op in done if op not in UNCOUNTED))

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.op not in (Op.SAME, Op.READ, Op.REFRESH))

    @property
    def changed(self) -> bool:
        return bool(self.changes)


Plan = Result
"""What `preview` gives: a result of which nothing has been done."""


@dataclass(frozen=True)
class Summary:
    """The run is over."""

    result: Result


Event = ResourcePre | ResourceOutputs | Failed | Diagnostic | Summary
Listener = Callable[[Event], None]
