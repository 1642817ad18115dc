"""What a step of a rollout is told, and what it asks for: values, and nothing that acts on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from contracts.rollout import Counters, Decision, Target

Command = Literal["pause", "resume", "abort", "promote", "retry", "judge"]
"""What a person may say to a rollout."""
BEGINNING: Final[tuple[Command, ...]] = ("retry", "judge")
"""Those that are said of a version that is only wanted: they wait until its rollout begins."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One predictor as the data plane has it."""

    ready: bool
    weight: int
    """The weight in use, in 1/10000."""
    refusal: str = ""
    """Why its servers cannot start, once that is certain."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """All that is known from outside at one moment. None is *cannot be read now*."""

    wanted: Target | None = None
    """The version that is asked for; None when nothing is asked."""
    predictors: Mapping[str, Observed] | None = None
    counters: Mapping[str, Counters] | None = None
    aliases: Mapping[str, str | None] | None = None
    """The model registry's aliases `stable` and `candidate`."""
    commands: frozenset[Command] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """One predictor as it should be."""

    target: Target
    weight: int
    shadow: bool = False
    """It gets copies of the requests."""


@dataclass(frozen=True, kw_only=True)
class Apply:
    """Make the deployment exactly this: other predictors are drained and removed. Idempotent."""

    predictors: tuple[Predictor, ...]


@dataclass(frozen=True, kw_only=True)
class SetAlias:
    """Point an alias of the model registry at a version, or remove it. Idempotent."""

    alias: str
    version: str | None


@dataclass(frozen=True, kw_only=True)
class RecordDecision:
    """Tell people (an event, a line of history)."""

    decision: Decision


Action = Apply | SetAlias | RecordDecision
