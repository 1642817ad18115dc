"""One call of `decide` in progress: the status as it becomes, and the moves that rules make."""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.rollout import (
    JUDGED_KEPT,
    WHOLE,
    GuardNumbers,
    Phase,
    RolloutSpec,
    RolloutStatus,
    Target,
)
from serving.rollout.core.observations import Observation

BEFORE_PROMOTION = (Phase.PENDING, Phase.SHADOW, Phase.RAMPING)
"""The phases in which the stable version has the traffic and a candidate is under way."""


@dataclass(kw_only=True)
class Step:
    """One call of `decide` in progress: the status as it becomes, and what rules need at hand."""

    spec: RolloutSpec
    status: RolloutStatus
    seen: Observation
    now: float
    guards: dict[str, GuardNumbers] = field(default_factory=dict)
    looked: bool = False
    notes: list[str] = field(default_factory=list)

    def set(self, **changes: object) -> None:
        self.status = self.status.model_copy(update=changes)

    def enter(self, phase: Phase, reason: str, **changes: object) -> None:
        """Go to a phase."""
        self.set(phase=phase, reason=reason, resume=None, phase_since=self.status.clock, **changes)
        self.notes.append(reason)

    def hold(self, reason: str) -> None:
        """Stay where it is, for a reason."""
        status = self.status
        resume = status.resume if status.phase is Phase.HELD else status.phase
        if status.phase is not Phase.HELD or status.reason != reason:
            self.notes.append(reason)
        self.set(phase=Phase.HELD, resume=resume, reason=reason)

    def go_on(self, reason: str) -> None:
        """Be in the phase that was held, or stay in it."""
        if self.status.phase is Phase.HELD and self.status.resume:
            self.notes.append("goes on")
            self.set(phase=self.status.resume, resume=None)
        self.set(reason=reason)

    @property
    def phase(self) -> Phase:
        """The phase whose rules apply: a held rollout's is the one it was held in."""
        return self.status.resume or self.status.phase

    @property
    def elapsed(self) -> float:
        """Seconds in this phase."""
        return self.status.clock - self.status.phase_since

    def ready(self, target: Target | None) -> bool:
        """Whether a version's predictor can take requests, as far as is known."""
        predictors = self.seen.predictors or {}
        return (
            target is not None
            and target.predictor in predictors
            and (predictors[target.predictor].ready)
        )

    def refusal(self, target: Target | None) -> str:
        """Why a version's servers cannot start, once that is certain."""
        predictors = self.seen.predictors or {}
        seen = predictors.get(target.predictor) if target else None
        return seen.refusal if seen else ""

    @property
    def confirmed(self) -> bool:
        """Whether the data plane has exactly the wanted weights."""
        return self.status.confirmed == self.status.wanted


def weights_with(status: RolloutStatus, weight: int) -> dict[str, int]:
    """The candidate's weight, and the rest for the stable version."""
    assert status.candidate is not None
    weights = {status.candidate.predictor: weight}
    if status.stable:
        weights[status.stable.predictor] = WHOLE - weight
    return weights


def roll_back(step: Step, reason: str, *, condemned: bool = True) -> None:
    """Decide to go back. With no stable version to go back to, nothing is served."""
    status = step.status
    weights = weights_with(status, 0) if status.stable else {}
    changes = {"condemned": condemned, "paused": False, "promotion_asked": False}
    step.enter(Phase.ROLLING_BACK, reason, wanted=weights, **changes)


def promote(step: Step, reason: str, *, by: str) -> None:
    """Decide to give the candidate all traffic."""
    changes = {"promoted_by": by, "promotion_asked": False}
    step.enter(Phase.PROMOTING, reason, wanted=weights_with(step.status, WHOLE), **changes)


def settle(step: Step, reason: str, *, by: str) -> None:
    """The candidate is the stable version now."""
    candidate = step.status.candidate
    assert candidate is not None
    step.enter(
        Phase.PROMOTED,
        f"version {candidate.version}: {reason}",
        stable=candidate,
        candidate=None,
        wanted={candidate.predictor: WHOLE},
        promoted_by=by,
        judged=judged_with(step.status, candidate),
        returning=False,
    )


def judged_with(status: RolloutStatus, promoted: Target) -> tuple[Target, ...]:
    """What can be returned to after a promotion: no version that was just returned from."""
    judged = status.judged
    if status.returning and promoted in judged:
        return judged[: judged.index(promoted) + 1]
    if status.stable and status.stable not in judged:  # It was promoted before this was kept.
        judged = (*judged, status.stable)
    others = (each for each in judged if each.version != promoted.version)
    return (*others, promoted)[-JUDGED_KEPT:]


def predictor_names(status: RolloutStatus) -> set[str]:
    """The predictors of both versions, as far as there are any."""
    return {target.predictor for target in (status.stable, status.candidate) if target}
