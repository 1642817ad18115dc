"""What happens next in a rollout: a pure function of the plan, the status and an observation.

The laptop's loop and the operator in a cluster both call `decide`; neither decides anything
itself. So one rule book is tested, without a network, and a rollout that is killed at any point
goes on from its status: what should be (weights, predictors, aliases) is part of the status, and
each call compares it with what is observed and asks again for what differs. Nothing is remembered
anywhere else.

The rules, in their order of importance:

1. The stable version always serves. Only a confirmed promotion takes its traffic away.
2. After a rollback is decided the candidate gets no traffic again.
3. No data is no verdict: without telemetry, traffic or a readable deployment nothing moves.
4. A weight moves only when the data plane has confirmed the last one, and only onto a ready
   predictor.
5. Promotion needs evidence in every guard, or a person's word; which of them is in the status.
6. A person's word is not lost: what cannot be done at once waits in the status.
"""

from __future__ import annotations

from contracts.rollout import HISTORY, TERMINAL, Decision, Phase, RolloutSpec, RolloutStatus
from serving.rollout.core import drift
from serving.rollout.core.judging import LARGEST_STEP
from serving.rollout.core.observations import (
    Action,
    Apply,
    Observation,
    Predictor,
    RecordDecision,
    SetAlias,
)
from serving.rollout.core.rules import RULES, at_rest
from serving.rollout.core.step import BEFORE_PROMOTION, Step, promote, roll_back


def decide(
    spec: RolloutSpec, status: RolloutStatus, observation: Observation, now: float
) -> tuple[RolloutStatus, tuple[Action, ...]]:
    """The next status, and what has to be done for it.

    The status is to be saved before the actions are carried out; they are asked for again as long
    as the observation differs from the status, so losing them loses nothing.

    Args:
        spec: the plan; may differ from the last call's (an edit counts from the next look on).
        status: what the last call returned.
        observation: what is known from outside.
        now: seconds since 1970; may jump.
    """
    step = Step(spec=spec, status=status, seen=observation, now=now)
    _tick(step)
    _observe(step)
    if step.phase in TERMINAL:  # What is said with a wish is about the rollout that it begins.
        _forgive(step)
        at_rest(step)
        _obey(step)
    else:
        _obey(step)
        _answer_new_wish(step)
        RULES[step.phase](step)
    _write_down(step)
    return step.status, _actions(step)


# --- Before the rules -----------------------------------------------------------------------------


def _tick(step: Step) -> None:
    """Move the rollout's own clock; a wall clock that jumps moves it little or not at all."""
    status, limit = step.status, max(LARGEST_STEP, 10 * step.spec.interval)
    passed = 0.0 if status.updated is None else min(limit, max(0.0, step.now - status.updated))
    step.set(clock=status.clock + passed, updated=step.now)
    if status.paused and status.ramping_since is not None:
        step.set(ramping_since=status.ramping_since + passed)
    if status.looked is not None and step.now < status.looked:
        step.set(looked=step.now)  # The counters stay: evidence does not depend on clocks.


def _observe(step: Step) -> None:
    """Note the weights that the data plane uses."""
    seen = step.seen.predictors
    weights = None if seen is None else {name: predictor.weight for name, predictor in seen.items()}
    step.set(confirmed=weights)


def _forgive(step: Step) -> None:
    """Try a version again that was rolled back before."""
    wanted, status = step.seen.wanted, step.status
    if "retry" in step.seen.commands and wanted:
        step.set(
            rejected=tuple(version for version in status.rejected if version != wanted.version)
        )


def _obey(step: Step) -> None:
    """Do what a person says; of words that contradict each other, the safest.

    A promotion that cannot be done yet (the candidate starts, or a weight is not confirmed) waits
    in the status, until it can, or until a pause or a rollback.
    """
    commands = step.seen.commands
    _forgive(step)
    if step.phase in TERMINAL or step.phase is Phase.ROLLING_BACK:
        return
    if "abort" in commands:
        roll_back(step, "a person aborted it")
        return
    if "pause" in commands:
        step.set(paused=True, promotion_asked=False)
    elif "resume" in commands:
        step.set(paused=False, uncounted=(), quiet=0.0)
    if "promote" in commands and "pause" not in commands and step.phase in BEFORE_PROMOTION:
        step.set(paused=False, promotion_asked=True)
    if step.status.promotion_asked:
        _promote_as_asked(step)


def _promote_as_asked(step: Step) -> None:
    """Promote on a person's word, or say for what it waits."""
    status = step.status
    if status.stable is None:
        step.set(promotion_asked=False)  # The first version needs nobody's word.
    elif step.ready(status.candidate) and step.confirmed:
        promote(step, "a person promoted it", by="a person")
    elif "promote" in step.seen.commands:
        step.notes.append("is promoted as asked once the candidate is ready and confirmed")


def _answer_new_wish(step: Step) -> None:
    """Another version is wanted while one is rolled out: that one goes back first.

    From the promotion on it is finished first: the new wish waits.
    """
    wanted, candidate = step.seen.wanted, step.status.candidate
    if wanted is None or candidate is None or wanted.version == candidate.version:
        return
    if step.phase in BEFORE_PROMOTION:
        roll_back(step, f"version {wanted.version} is wanted instead", condemned=False)


# --- After the rules ------------------------------------------------------------------------------


def _write_down(step: Step) -> None:
    """Record the decision: every look, and everything that changed."""
    if not (step.looked or step.notes):
        return
    status = step.status
    reason = "; ".join(dict.fromkeys(step.notes)) or status.reason
    decision = Decision(
        at=step.now,
        look=status.look,
        phase=status.phase,
        weight=status.weight,
        reason=reason,
        candidate=status.candidate.version if status.candidate else None,
        harm=status.harm,
        guards=step.guards,
        drift=drift.log_drift(status.drift) if step.spec.guards.drift else None,
    )
    step.set(decisions=(*status.decisions, decision)[-HISTORY:])


def _actions(step: Step) -> tuple[Action, ...]:
    """What has to be done so that the world becomes as the status says."""
    status, seen, actions = step.status, step.seen, list[Action]()
    shadow = step.phase is Phase.SHADOW
    served = bool(status.wanted) or status.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
    if served and (seen.predictors is None or status.confirmed != status.wanted or shadow):
        actions.append(_apply(status, shadow=shadow))
    if seen.aliases is not None:
        wishes = {"stable": status.stable, "candidate": status.candidate}
        for alias, target in wishes.items():
            version = target.version if target else None
            if seen.aliases.get(alias) != version:
                actions.append(SetAlias(alias=alias, version=version))
    if step.looked or step.notes:
        actions.append(RecordDecision(decision=status.decisions[-1]))
    return tuple(actions)


def desired(status: RolloutStatus) -> tuple[Predictor, ...]:
    """The predictors that a status asks for, for those who repair what was changed behind it."""
    phase = status.resume or status.phase
    return _apply(status, shadow=phase is Phase.SHADOW).predictors


def _apply(status: RolloutStatus, *, shadow: bool) -> Apply:
    """The whole deployment as it should be."""
    known = {target.predictor: target for target in (status.stable, status.candidate) if target}
    return Apply(
        predictors=tuple(
            Predictor(
                target=known[name],
                weight=weight,
                shadow=shadow and known[name] is status.candidate,
            )
            for name, weight in sorted(status.wanted.items())
        )
    )
