"""What happens in each phase of a rollout: the rule book's pages."""

from __future__ import annotations

from collections.abc import Callable

from contracts.rollout import WHOLE, Counters, Phase, RolloutStatus, percent
from contracts.signals import signal
from serving.rollout.core import judge, ramp
from serving.rollout.core.judging import (
    SILENCE,
    collapsed,
    drifted,
    harmful,
    measure_rate,
    take_look,
    unjudged,
)
from serving.rollout.core.signals import awaited
from serving.rollout.core.step import (
    Step,
    predictor_names,
    promote,
    roll_back,
    settle,
    weights_with,
)

BLIND = 2
"""So many looks in a row without outcomes are *no data*. One alone is not: a version's first look
often finds its counters only just begun, and a scrape can fail."""


def at_rest(step: Step) -> None:
    """Promoted, RolledBack or Rejected: wait for a wish."""
    status, wanted = step.status, step.seen.wanted
    if wanted is None or (status.stable and wanted.version == status.stable.version):
        return
    if wanted.version in status.rejected:
        just_now = status.phase is Phase.ROLLED_BACK and status.returned_from == wanted.version
        if not just_now and status.phase is not Phase.REJECTED:
            step.enter(
                Phase.REJECTED,
                f"version {wanted.version} was rolled back before; it is tried again when a "
                "person says so",
            )
        return
    weights = {wanted.predictor: 0 if status.stable else WHOLE}
    if status.stable:
        weights[status.stable.predictor] = WHOLE
    blank = RolloutStatus(model=status.model)
    kept = {"model", "stable", "rejected", "judged", "decisions", "clock", "updated", "confirmed"}
    step.status = blank.model_copy(update={name: getattr(status, name) for name in kept})
    returning = status.returns_to(wanted) and "judge" not in step.seen.commands
    step.enter(
        Phase.PENDING,
        f"version {wanted.version} starts" + (", which was judged before" if returning else ""),
        returning=returning,
        candidate=wanted,
        wanted=weights,
        started=step.now,
        counters=dict(step.seen.counters or {}),
        looked=step.now,
    )


def _pending(step: Step) -> None:
    """The candidate starts."""
    status = step.status
    measure_rate(step)
    if step.seen.predictors is None:
        return step.hold("the deployment cannot be read")
    if not (step.ready(status.candidate) and step.confirmed):
        if refusal := step.refusal(status.candidate):
            return roll_back(step, f"the candidate cannot start: {refusal}")
        if step.elapsed > step.spec.startup:
            return roll_back(step, "the candidate did not become ready in time")
        return step.go_on("waits for the candidate to be ready")
    if status.stable is None:
        return settle(step, "the first version is ready", by="first version")
    if status.paused:
        return step.hold("a person holds it")
    if status.returning:  # The present version may be why: nothing is asked of it.
        return promote(step, "it was judged before", by="an earlier verdict")
    if not step.ready(status.stable):
        return step.hold("the stable version is not ready")
    if step.seen.counters is None:
        return step.hold("no telemetry")
    if step.status.rate is None:
        return step.go_on("measures the traffic, to choose the first weight")
    if step.spec.shadow is not None:
        fresh = {**_afresh(step), "mirroring": True}
        return step.enter(Phase.SHADOW, "the candidate gets copies of requests", **fresh)
    return _start_ramp(step)


def _start_ramp(step: Step) -> None:
    """Give the candidate its first weight."""
    status, rate = step.status, step.status.rate
    requests = None if rate is None else rate * step.spec.interval
    weight = ramp.next_weight(step.spec, 0, requests, 1.0, 0.0)
    step.enter(
        Phase.RAMPING,
        f"first weight {percent(weight)}",
        **_afresh(step),
        wanted=weights_with(status, weight),
        ramping_since=status.clock,
    )


def _afresh(step: Step) -> dict[str, object]:
    """No evidence yet, counted from now."""
    fresh = {name: judge.fresh(step.spec.tolerated(name)) for name in step.spec.guards.compared()}
    return {
        "guards": fresh,
        "drift": RolloutStatus(model="x").drift,
        "counters": dict(step.seen.counters or {}),
        "looked": step.now,
        "quiet": 0.0,
        "uncounted": (),
        "blind": 0,
        "missing": (),
    }


def _shadow(step: Step) -> None:
    """The candidate gets copies; nobody sees its answers, but bad ones send it back."""
    if _candidate_lost(step):
        return None
    take_look(step)
    if reason := harmful(step):
        return roll_back(step, reason)
    if obstacle := _obstacle(step):
        return step.hold(obstacle)
    if step.looked and not step.status.blind and step.elapsed >= (step.spec.shadow or 0.0):
        return _start_ramp(step)
    return step.go_on("the candidate gets copies of requests")


def _ramping(step: Step) -> None:
    """The candidate has a part of the traffic and is judged at each look."""
    _count_copies(step)
    if _candidate_lost(step):
        return None
    take_look(step)
    if reason := harmful(step):
        return roll_back(step, reason)
    overdue = _overdue(step)
    if overdue and step.spec.on_deadline == "rollback":
        return roll_back(step, "no verdict before the deadline")
    if reason := unjudged(step):
        step.set(wanted=weights_with(step.status, 0))
        return step.hold(reason)
    if overdue:
        return _await_a_person(step)
    if obstacle := _obstacle(step):
        return step.hold(obstacle)
    if not step.confirmed:
        return step.go_on("waits for the data plane to confirm the weights")
    if not step.looked:
        return step.go_on(step.status.reason if step.status.resume is None else "goes on")
    if step.status.blind:
        return step.go_on("waits for outcomes to judge by")
    if all(numbers.passed for numbers in step.guards.values()) and not drifted(step):
        return promote(step, "no worse than tolerated in every guard", by="evidence")
    return _move(step)


def _count_copies(step: Step) -> None:
    """Until its first weight is confirmed, what the candidate answers are copies."""
    status, counters = step.status, step.seen.counters
    if status.mirroring and status.candidate and counters:
        copies = counters.get(status.candidate.predictor, Counters())
        step.set(mirrored=copies, mirroring=not step.confirmed)


def _move(step: Step) -> None:
    """The next weight."""
    if step.status.weight == 0:  # It had been lost, or was not judged.
        return _start_again(step)
    step.set(wanted=weights_with(step.status, _fitting_weight(step)))
    return step.go_on("no verdict yet")


def _fitting_weight(step: Step) -> int:
    """The weight whose harm fits what is left of the budget."""
    status, rate = step.status, step.status.rate
    requests = None if rate is None else rate * step.spec.interval
    excess = ramp.excess_bound(step.guards.values())
    charged = status.harm.charged + _unknown_harm(step)
    return ramp.next_weight(step.spec, status.weight, requests, excess, charged)


def _await_a_person(step: Step) -> None:
    """The deadline is over: the weight may only shrink, as the budget does."""
    if step.looked and step.confirmed and not step.status.blind and not _obstacle(step):
        weight = min(step.status.weight, _fitting_weight(step))
        step.set(wanted=weights_with(step.status, weight))
    step.hold("no verdict before the deadline; a person decides")


def _unknown_harm(step: Step) -> float:
    """What predictions whose outcomes are still to come may have cost, at the upper bound."""
    status = step.status
    if status.candidate is None or status.stable is None:
        return 0.0
    own, other = (
        status.counters.get(target.predictor, Counters())
        for target in (status.candidate, status.stable)
    )
    copies = status.mirrored if status.mirrored.servers == own.servers else Counters()
    return sum(
        awaited(signal(name), own, other, copies) * ramp.excess_bound([numbers])
        for name, numbers in step.guards.items()
        if signal(name).due
    )


def _start_again(step: Step) -> None:
    rate = step.status.rate
    requests = None if rate is None else rate * step.spec.interval
    charged = step.status.harm.charged
    weight = ramp.next_weight(step.spec, 0, requests, 1.0, charged)
    step.go_on("the candidate gets traffic again")
    step.set(wanted=weights_with(step.status, weight))


def _promoting(step: Step) -> None:
    """All traffic goes over; until that is confirmed the way back is open."""
    status = step.status
    if step.seen.predictors is None:
        return step.hold("the deployment cannot be read")
    if not step.ready(status.candidate):
        return roll_back(step, "the candidate is no longer ready")
    take_look(step)
    if status.promoted_by == "evidence" and (reason := harmful(step)):
        return roll_back(step, reason)
    if not step.confirmed:
        return step.go_on("waits for the data plane to confirm the weights")
    return step.enter(
        Phase.WATCHING,
        "all traffic goes to the candidate; the old version is kept warm",
        counters=dict(step.seen.counters or {}),
        looked=step.now,
    )


def _watching(step: Step) -> None:
    """The old version is warm; a collapse of the new one returns to it."""
    status = step.status
    if step.seen.predictors is None:
        return step.hold("the deployment cannot be read")
    lost = not step.ready(status.candidate)
    reason = "the candidate is no longer ready" if lost else collapsed(step)
    if reason and step.ready(status.stable):
        return roll_back(step, reason)
    if reason:
        return step.hold(f"{reason}, but the old version is not ready either")
    if status.paused:
        return step.hold("a person holds it")
    if step.seen.counters is None:
        return step.hold("no telemetry")
    if step.confirmed and step.elapsed >= step.spec.watch:
        return settle(step, "promoted", by=status.promoted_by)
    return step.go_on("the old version is kept warm")


def _rolling_back(step: Step) -> None:
    """First all weight to the stable version, confirmed; then the candidate's predictor goes.

    A predictor that is not ready is removed at once: with Seldon a weight of 0 on it changes
    nothing, because weights are only written when all predictors are ready.
    """
    status = step.status
    if status.candidate is None or step.seen.predictors is None:
        return step.set(reason=status.reason)
    name, seen = status.candidate.predictor, step.seen.predictors
    if status.wanted == {} or name not in status.wanted:
        if name not in seen and step.confirmed:
            rejected = status.rejected
            if status.condemned and status.candidate.version not in rejected:
                rejected = (*rejected, status.candidate.version)
            step.enter(
                Phase.ROLLED_BACK,
                f"version {status.candidate.version}: {status.reason}",
                rejected=rejected,
                judged=tuple(each for each in status.judged if each.version not in rejected),
                returned_from=status.candidate.version,
                candidate=None,
            )
        return None
    stuck = step.elapsed > step.spec.startup
    if step.confirmed or not step.ready(status.candidate) or stuck:
        step.set(wanted={key: value for key, value in status.wanted.items() if key != name})
    return None


def _candidate_lost(step: Step) -> bool:
    """Take the traffic from a candidate that is not ready, and give it up when it stays so."""
    status = step.status
    if step.seen.predictors is None or step.ready(status.candidate):
        if step.seen.predictors is not None:
            step.set(unready_since=None)
        return False
    if not step.ready(status.stable):
        step.hold("neither version is ready")
        return True
    since = status.clock if status.unready_since is None else status.unready_since
    step.set(unready_since=since, wanted=weights_with(status, 0))
    if status.clock - since > step.spec.startup:
        roll_back(step, "the candidate is no longer ready")
    else:
        step.hold("the candidate is not ready")
    return True


def _obstacle(step: Step) -> str:
    """Why nothing may move, or nothing."""
    status = step.status
    if status.paused:
        return "a person holds it"
    if step.seen.predictors is None:
        return "the deployment cannot be read"
    if not step.ready(status.stable):
        return "the stable version is not ready"
    if step.seen.counters is None or not predictor_names(status) <= step.seen.counters.keys():
        return "no telemetry"
    if status.quiet >= SILENCE:
        return f"no traffic reaches the candidate: about {status.quiet:.0f} requests were due to it"
    if status.blind >= BLIND:
        missing = ", ".join(status.missing)
        return f"no telemetry for {missing}" if missing else "no traffic"
    if drifted(step):
        return "it predicts differently from the stable version"
    return ""


def _overdue(step: Step) -> bool:
    since = step.status.ramping_since
    return (
        since is not None
        and not step.status.paused
        and step.status.clock - since > step.spec.deadline
    )


RULES: dict[Phase, Callable[[Step], None]] = {
    Phase.PENDING: _pending,
    Phase.SHADOW: _shadow,
    Phase.RAMPING: _ramping,
    Phase.PROMOTING: _promoting,
    Phase.WATCHING: _watching,
    Phase.PROMOTED: at_rest,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.ROLLED_BACK: at_rest,
    Phase.REJECTED: at_rest,
}
