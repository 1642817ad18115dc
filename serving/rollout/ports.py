"""What a rollout needs from the world, and the one step that joins the two.

The laptop and a cluster differ in how a deployment is read and changed and in who counts requests.
These protocols are all of that difference; `step` is the same for both, so that the order that
makes a kill harmless (read, decide, save, act) is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import structlog

from contracts.errors import MillwrightError
from contracts.rollout import Counters, Decision, RolloutSpec, RolloutStatus, Target
from serving.rollout.core.controller import decide
from serving.rollout.core.observations import (
    Action,
    Apply,
    Command,
    Observation,
    Observed,
    Predictor,
    RecordDecision,
    SetAlias,
)

log = structlog.get_logger(__name__)
Value = TypeVar("Value")


class Deployment(Protocol):
    """The serving state of one model."""

    def read(self) -> Mapping[str, Observed] | None:
        """Each predictor that has servers or traffic, with the weight in use; None when unknown."""

    def apply(self, predictors: Sequence[Predictor]) -> None:
        """Make the deployment exactly these predictors; idempotent, does not wait."""


class Telemetry(Protocol):
    """Who counts."""

    def read(self) -> Mapping[str, Counters] | None:
        """Raw counters by predictor; None when nobody can be asked."""


class AliasRegistry(Protocol):
    """The model registry's aliases of one model."""

    def read(self) -> Mapping[str, str | None] | None:
        """The versions that `stable` and `candidate` point at; None when it cannot be read."""

    def set_alias(self, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it; idempotent."""


class NoRegistry:
    """Where no registry keeps aliases."""

    def read(self) -> None:
        """Nothing is known, so nothing is set."""

    def set_alias(self, alias: str, version: str | None) -> None:
        """Never asked for."""


def step(
    spec: RolloutSpec,
    status: RolloutStatus,
    *,
    wanted: Target | None,
    commands: frozenset[Command],
    deployment: Deployment,
    telemetry: Telemetry,
    registry: AliasRegistry,
    clock: Callable[[], float],
    save: Callable[[RolloutStatus], None],
    record: Callable[[Decision], None],
) -> RolloutStatus:
    """Read, decide, save, act: once.

    What cannot be read is *no data*; what cannot be done is tried again at the next step. Killed
    before `save`, nothing has happened; killed after it, the next step does what is missing.

    Args:
        spec: the plan.
        status: what the last step returned.
        wanted: the version that is asked for.
        commands: what a person has said since the last step.
        deployment: the serving state.
        telemetry: who counts.
        registry: the aliases.
        clock: seconds since 1970.
        save: makes the status durable before it returns.
        record: tells people of a decision.
    """
    observation = Observation(
        wanted=wanted,
        commands=commands,
        predictors=_or_none(deployment.read, "deployment"),
        counters=_or_none(telemetry.read, "telemetry"),
        aliases=_or_none(registry.read, "registry"),
    )
    status, actions = decide(spec, status, observation, clock())
    save(status)
    for action in actions:
        try:
            _act(action, deployment, registry, record)
        except MillwrightError as error:
            log.warning("rollout action failed", action=type(action).__name__, error=str(error))
    return status


def _or_none(read: Callable[[], Value | None], what: str) -> Value | None:
    try:
        return read()
    except MillwrightError as error:
        log.warning("no data", source=what, error=str(error))
        return None


def _act(
    action: Action,
    deployment: Deployment,
    registry: AliasRegistry,
    record: Callable[[Decision], None],
) -> None:
    match action:
        case Apply(predictors=predictors):
            deployment.apply(predictors)
        case SetAlias(alias=alias, version=version):
            registry.set_alias(alias, version)
        case RecordDecision(decision=decision):
            record(decision)
