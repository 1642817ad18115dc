"""Looks: the growth of counters becomes evidence, and evidence becomes a finding.

`judge` knows one guard and no rollout; here are the guards of a plan together, how they share the
error probability, and what is asked of the counters when.
"""

from __future__ import annotations

import math

from contracts.rollout import (
    WHOLE,
    Counters,
    GuardState,
    Outcomes,
    Phase,
    RolloutSpec,
    RolloutStatus,
)
from contracts.signals import SERVED, signal
from serving.rollout.core import drift, judge, ramp
from serving.rollout.core.growth import growth
from serving.rollout.core.signals import outcomes
from serving.rollout.core.step import Step, predictor_names

COLLAPSE = 5.0
"""After the promotion there is no stable version to compare with, only its record, and rates swing
over the day; so only odds of a bad outcome this many times what is tolerated count as a
collapse."""
WATCH_SHARE = 0.1
"""The part of the error probability that is kept for the time after the promotion."""
SILENCE = 10.0
"""The candidate should have had this many requests by its weight and had none: by chance that
happens to one in 22,000."""
LARGEST_STEP = 60.0
"""Between two calls the rollout's clock moves by at most this many seconds, or ten intervals."""


def due(step: Step) -> bool:
    """Whether it is time for a look; calls come a little early or late."""
    looked = step.status.looked
    return looked is None or step.now - looked >= 0.9 * step.spec.interval


def measure_rate(step: Step) -> None:
    """Requests per second of the stable version alone, before the candidate has any."""
    status, counters = step.status, step.seen.counters
    if counters is None or not due(step) or status.stable is None:
        return
    name = status.stable.predictor
    if name not in counters:
        return
    grown = growth(status.counters, {name: counters[name]})
    requests = grown.changes[name].count(SERVED)
    if requests is not None:
        _set_rate(step, requests)
    step.set(counters={**status.counters, **grown.baselines}, looked=step.now)


def _set_rate(step: Step, requests: int) -> None:
    looked = step.status.looked
    passed = 0.0 if looked is None else step.now - looked
    if 0 < passed <= max(LARGEST_STEP, 10 * step.spec.interval):
        step.set(rate=requests / passed)


def take_look(step: Step) -> None:
    """Take the differences since the last look and add them to the evidence."""
    status, counters = step.status, step.seen.counters
    stable, candidate = status.stable, status.candidate
    if counters is None or not due(step) or stable is None or candidate is None:
        return
    names = predictor_names(status)
    if not names <= counters.keys():
        return
    grown = growth(status.counters, {name: counters[name] for name in sorted(names)})
    step.notes += [f"not counted: {note}" for note in grown.notes]
    own, other = grown.changes[candidate.predictor], grown.changes[stable.predictor]
    requests = [change.count(SERVED) for change in (own, other)]
    if None not in requests:
        _set_rate(step, sum(count or 0 for count in requests))
    _judge(step, own, other)
    step.set(counters={**status.counters, **grown.baselines}, looked=step.now)


def _judge(step: Step, own: Counters, other: Counters) -> None:
    """Add one look to each guard's evidence, and read all guards."""
    spec, status = step.spec, step.status
    watched = spec.guards.compared()
    states: dict[str, GuardState] = {}
    for name, guard in watched.items():
        tolerate = spec.tolerated(name)
        state = status.guards.get(name) or judge.fresh(tolerate)
        mine, theirs = outcomes(own, name), outcomes(other, name)
        if mine is not None and theirs is not None:
            state = judge.extend(state, mine, theirs, tolerate)
            step.guards[name] = judge.numbers(
                state,
                mine,
                theirs,
                alpha=1 - spec.confidence,
                sharing=sharing(spec),
                negligible=guard.negligible,
                superiority=spec.superiority,
                enough=signal(name).least(guard),
            )
        states[name] = state
    predictions = status.drift
    if spec.guards.drift and own.predictions is not None and other.predictions is not None:
        predictions = drift.extend(predictions, own.predictions, other.predictions)
    mirrored = step.phase is Phase.SHADOW
    uncounted = () if mirrored or status.mirroring else _uncounted(status, own)
    answered = own.count(SERVED) or 0
    requests = answered + (other.count(SERVED) or 0)
    missing = tuple(sorted(watched.keys() - step.guards.keys()))
    due = requests * status.weight / WHOLE
    step.looked = True
    step.set(
        guards=states,
        drift=predictions,
        harm=status.harm if mirrored else ramp.harm(states.values()),
        look=status.look + 1,
        quiet=0.0 if answered else status.quiet + due,
        uncounted=uncounted,
        blind=status.blind + 1 if missing or not requests else 0,
        missing=missing,
    )


def _uncounted(status: RolloutStatus, own: Counters) -> tuple[int, ...]:
    """What `RolloutStatus.uncounted` is after a look: a request that the data plane counts ends it,
    and without a weight, or where one of the two says nothing, it stays as it was."""
    counted, received = own.count(SERVED), own.count("received")
    if counted:
        return ()
    if counted is None or not received or status.weight == 0:
        return status.uncounted
    return (sum(status.uncounted), received) if status.uncounted else (received,)


def unjudged(step: Step) -> str:
    """Whether the candidate answers requests that nobody judges, in words; or nothing.

    One look may find a request between the two that count; two in a row, and as many requests as
    make silence certain, are another way to the candidate than the one that is counted.
    """
    requests = step.status.uncounted
    if len(requests) < 2 or sum(requests) < SILENCE:
        return ""
    return (
        f"the candidate's servers answered {sum(requests)} requests of which the data plane counted"
        " none: they come by a way that is not judged, so its weight is taken away until a person "
        "resumes"
    )


def sharing(spec: RolloutSpec) -> float:
    """Among how many tests the error probability is shared.

    The guards, drift among them where it can roll back, twice where mirrored traffic is judged
    before, less what is kept for the time after the promotion.
    """
    tests = len(spec.guards.compared())
    if spec.guards.drift:
        tests += 1
    if spec.shadow is not None:
        tests *= 2
    return tests / (1 - WATCH_SHARE)


def harmful(step: Step) -> str:
    """Which guard has found harm, in words; or nothing."""
    limit = math.log(sharing(step.spec) / (1 - step.spec.confidence))
    for name, numbers in step.guards.items():
        if numbers.harm >= limit:
            state = step.status.guards[name]
            return f"{name}: {_compare(state.candidate, state.stable)}"
    guard = step.spec.guards.drift
    if guard and guard.action == "rollback" and drifted(step):
        return "it predicts differently from the stable version"
    return ""


def _compare(candidate: Outcomes, stable: Outcomes) -> str:
    return (
        f"{candidate.bad} of {candidate.total} bad, against {stable.bad} of {stable.total} "
        "of the stable version"
    )


def drifted(step: Step) -> bool:
    """Whether the versions have been shown to predict differently."""
    if step.spec.guards.drift is None:
        return False
    limit = math.log(sharing(step.spec) / (1 - step.spec.confidence))
    return drift.log_drift(step.status.drift) >= limit


def collapsed(step: Step) -> str:
    """Which guard says that the promoted version does far worse than the old one's record."""
    status, counters = step.status, step.seen.counters
    if counters is None or status.candidate is None or not due(step):
        return ""
    name = status.candidate.predictor
    if name not in counters:
        return ""
    grown = growth(status.counters, {name: counters[name]})
    step.set(counters={**status.counters, **grown.baselines}, looked=step.now)
    change = grown.changes[name]
    states = dict(status.guards)
    collapses = [
        f"{guard}: {_compare(states[guard].watched, old.stable)}, before the promotion"
        for guard, old in status.guards.items()
        if _falls(step, guard, states, change)
    ]
    step.set(guards=states)
    return collapses[0] if collapses else ""


def _falls(step: Step, guard: str, states: dict[str, GuardState], change: Counters) -> bool:
    """Add a guard's outcomes since the promotion, and tell whether they are a collapse."""
    watched, now = step.spec.guards.compared(), outcomes(change, guard)
    if guard not in watched or now is None:
        return False
    old = states[guard]
    total = Outcomes(total=old.watched.total + now.total, bad=old.watched.bad + now.bad)
    states[guard] = old.model_copy(update={"watched": total})
    limit = _collapse_limit(step.spec, guard, old.stable, watched[guard].negligible)
    tests = len(watched) / WATCH_SHARE
    return judge.log_rate_above(total, limit) >= math.log(tests / (1 - step.spec.confidence))


def _collapse_limit(spec: RolloutSpec, guard: str, record: Outcomes, negligible: float) -> float:
    """The bad rate that even a bad hour does not explain, from the old version's record."""
    rate = max(judge.rate_interval(record, 1 - spec.confidence)[1], negligible)
    ratio = COLLAPSE * spec.tolerated(guard)
    return ratio * rate / (1 - rate + ratio * rate)
