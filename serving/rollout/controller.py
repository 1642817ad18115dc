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

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from contracts.rollout import (
    HISTORY,
    TERMINAL,
    WHOLE,
    Counters,
    Decision,
    GuardNumbers,
    GuardState,
    Outcomes,
    Phase,
    RolloutSpec,
    RolloutStatus,
    Target,
)
from serving.rollout import judge, ramp

Command = Literal["pause", "resume", "abort", "promote", "retry"]
"""What a person may say to a rollout."""

COLLAPSE = 5.0
"""After the promotion there is no stable version to compare with, only its record, and rates swing
over the day; so only odds of a bad outcome this many times what is tolerated count as a
collapse."""
WATCH_SHARE = 0.1
"""The part of the error probability that is kept for the time after the promotion."""
SILENCE = 10.0
"""The candidate should have had this many requests by its weight and had none: by chance that
happens to one in 22,000."""
BLIND = 2
"""So many looks in a row without outcomes are *no data*. One alone is not: a version's first look
often finds its counters only just begun, and a scrape can fail."""
LARGEST_STEP = 60.0
"""Between two calls the rollout's clock moves by at most this many seconds, or ten intervals."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One predictor as the data plane has it."""

    ready: bool
    weight: int
    """The weight in use, in 1/10000."""


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
class Record:
    """Tell people (an event, a line of history)."""

    decision: Decision


Action = Apply | SetAlias | Record

BEFORE_PROMOTION = (Phase.PENDING, Phase.SHADOW, Phase.RAMPING)
"""The phases in which the stable version has the traffic and a candidate is under way."""


@dataclass(kw_only=True)
class _Step:
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

    @property
    def confirmed(self) -> bool:
        """Whether the data plane has exactly the wanted weights."""
        return self.status.confirmed == self.status.wanted


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
    step = _Step(spec=spec, status=status, seen=observation, now=now)
    _tick(step)
    _observe(step)
    if step.phase in TERMINAL:  # What is said with a wish is about the rollout that it begins.
        _forgive(step)
        _at_rest(step)
        _obey(step)
    else:
        _obey(step)
        _answer_new_wish(step)
        RULES[step.phase](step)
    _write_down(step)
    return step.status, _actions(step)


# --- Before the rules -----------------------------------------------------------------------------


def _tick(step: _Step) -> None:
    """Move the rollout's own clock; a wall clock that jumps moves it little or not at all."""
    status, limit = step.status, max(LARGEST_STEP, 10 * step.spec.interval)
    passed = 0.0 if status.updated is None else min(limit, max(0.0, step.now - status.updated))
    step.set(clock=status.clock + passed, updated=step.now)
    if status.paused and status.ramping_since is not None:
        step.set(ramping_since=status.ramping_since + passed)
    if status.looked is not None and step.now < status.looked:
        step.set(looked=step.now)  # The counters stay: evidence does not depend on clocks.


def _observe(step: _Step) -> None:
    """Note the weights that the data plane uses."""
    seen = step.seen.predictors
    weights = None if seen is None else {name: one.weight for name, one in seen.items()}
    step.set(confirmed=weights)


def _forgive(step: _Step) -> None:
    """Try a version again that was rolled back before."""
    wanted, status = step.seen.wanted, step.status
    if "retry" in step.seen.commands and wanted:
        step.set(rejected=tuple(one for one in status.rejected if one != wanted.version))


def _obey(step: _Step) -> None:
    """Do what a person says; of words that contradict each other, the safest.

    A promotion that cannot be done yet (the candidate starts, or a weight is not confirmed) waits
    in the status, until it can, or until a pause or a rollback.
    """
    commands = step.seen.commands
    _forgive(step)
    if step.phase in TERMINAL or step.phase is Phase.ROLLING_BACK:
        return
    if "abort" in commands:
        _roll_back(step, "a person aborted it")
        return
    if "pause" in commands:
        step.set(paused=True, promotion_asked=False)
    elif "resume" in commands:
        step.set(paused=False)
    if "promote" in commands and "pause" not in commands and step.phase in BEFORE_PROMOTION:
        step.set(paused=False, promotion_asked=True)
    if step.status.promotion_asked:
        _promote_as_asked(step)


def _promote_as_asked(step: _Step) -> None:
    """Promote on a person's word, or say for what it waits."""
    status = step.status
    if status.stable is None:
        step.set(promotion_asked=False)  # The first version needs nobody's word.
    elif step.ready(status.candidate) and step.confirmed:
        _promote(step, "a person promoted it", by="a person")
    elif "promote" in step.seen.commands:
        step.notes.append("is promoted as asked once the candidate is ready and confirmed")


def _answer_new_wish(step: _Step) -> None:
    """Another version is wanted while one is rolled out: that one goes back first.

    From the promotion on it is finished first: the new wish waits.
    """
    wanted, candidate = step.seen.wanted, step.status.candidate
    if wanted is None or candidate is None or wanted.version == candidate.version:
        return
    if step.phase in BEFORE_PROMOTION:
        _roll_back(step, f"version {wanted.version} is wanted instead", condemned=False)


# --- The rules of each phase ----------------------------------------------------------------------


def _at_rest(step: _Step) -> None:
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
    kept = {"model", "stable", "rejected", "decisions", "clock", "updated", "confirmed"}
    step.status = blank.model_copy(update={name: getattr(status, name) for name in kept})
    step.enter(
        Phase.PENDING,
        f"version {wanted.version} starts",
        candidate=wanted,
        wanted=weights,
        started=step.now,
        counters=dict(step.seen.counters or {}),
        looked=step.now,
    )


def _pending(step: _Step) -> None:
    """The candidate starts."""
    status = step.status
    _measure_rate(step)
    if step.seen.predictors is None:
        return step.hold("the deployment cannot be read")
    if not (step.ready(status.candidate) and step.confirmed):
        if step.elapsed > step.spec.startup and status.stable:
            return _roll_back(step, "the candidate did not become ready in time")
        return step.go_on("waits for the candidate to be ready")
    if status.stable is None:
        return _settle(step, "the first version is ready", by="first version")
    if status.paused:
        return step.hold("a person holds it")
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


def _start_ramp(step: _Step) -> None:
    """Give the candidate its first weight."""
    status, rate = step.status, step.status.rate
    requests = None if rate is None else rate * step.spec.interval
    weight = ramp.next_weight(step.spec, 0, requests, 1.0, 0.0)
    step.enter(
        Phase.RAMPING,
        f"first weight {_percent(weight)}",
        **_afresh(step),
        wanted=_weights(status, weight),
        ramping_since=status.clock,
    )


def _afresh(step: _Step) -> dict[str, object]:
    """No evidence yet, counted from now."""
    fresh = {name: judge.fresh(step.spec.tolerated(name)) for name in step.spec.guards.compared()}
    return {
        "guards": fresh,
        "drift": RolloutStatus(model="x").drift,
        "counters": dict(step.seen.counters or {}),
        "looked": step.now,
        "quiet": 0.0,
        "blind": 0,
        "missing": (),
    }


def _shadow(step: _Step) -> None:
    """The candidate gets copies; nobody sees its answers, but bad ones send it back."""
    if _candidate_lost(step):
        return None
    _look(step)
    if reason := _harmful(step):
        return _roll_back(step, reason)
    if obstacle := _obstacle(step):
        return step.hold(obstacle)
    if step.looked and not step.status.blind and step.elapsed >= (step.spec.shadow or 0.0):
        return _start_ramp(step)
    return step.go_on("the candidate gets copies of requests")


def _ramping(step: _Step) -> None:
    """The candidate has a part of the traffic and is judged at each look."""
    _count_copies(step)
    if _candidate_lost(step):
        return None
    _look(step)
    if reason := _harmful(step):
        return _roll_back(step, reason)
    if _overdue(step):
        if step.spec.on_deadline == "rollback":
            return _roll_back(step, "no verdict before the deadline")
        return _await_a_person(step)
    if obstacle := _obstacle(step):
        return step.hold(obstacle)
    if not step.confirmed:
        return step.go_on("waits for the data plane to confirm the weights")
    if not step.looked:
        return step.go_on(step.status.reason if step.status.resume is None else "goes on")
    if step.status.blind:
        return step.go_on("waits for outcomes to judge by")
    if all(one.passed for one in step.guards.values()) and not _drifted(step):
        return _promote(step, "no worse than tolerated in every guard", by="evidence")
    return _move(step)


def _count_copies(step: _Step) -> None:
    """Until its first weight is confirmed, what the candidate answers are copies."""
    status, counters = step.status, step.seen.counters
    if status.mirroring and status.candidate and counters:
        copies = counters.get(status.candidate.predictor, Counters())
        step.set(mirrored=copies, mirroring=not step.confirmed)


def _move(step: _Step) -> None:
    """The next weight."""
    if step.status.weight == 0:  # It had been lost and is back.
        return _start_again(step)
    step.set(wanted=_weights(step.status, _fitting_weight(step)))
    return step.go_on("no verdict yet")


def _fitting_weight(step: _Step) -> int:
    """The weight whose harm fits what is left of the budget."""
    status, rate = step.status, step.status.rate
    requests = None if rate is None else rate * step.spec.interval
    excess = ramp.excess_bound(step.guards.values())
    charged = status.harm.charged + _unknown_harm(step)
    return ramp.next_weight(step.spec, status.weight, requests, excess, charged)


def _await_a_person(step: _Step) -> None:
    """The deadline is over: the weight may only shrink, as the budget does."""
    if step.looked and step.confirmed and not step.status.blind and not _obstacle(step):
        weight = min(step.status.weight, _fitting_weight(step))
        step.set(wanted=_weights(step.status, weight))
    step.hold("no verdict before the deadline; a person decides")


def _unknown_harm(step: _Step) -> float:
    """What predictions whose outcomes are still to come may have cost, at the upper bound."""
    status, wrong = step.status, step.guards.get("wrong")
    if wrong is None or status.candidate is None or status.stable is None:
        return 0.0
    own, other = (
        status.counters.get(one.predictor, Counters()) for one in (status.candidate, status.stable)
    )
    copies = status.mirrored if status.mirrored.servers == own.servers else Counters()
    return ramp.awaited(own, other, copies) * ramp.excess_bound([wrong])


def _start_again(step: _Step) -> None:
    rate = step.status.rate
    requests = None if rate is None else rate * step.spec.interval
    charged = step.status.harm.charged
    weight = ramp.next_weight(step.spec, 0, requests, 1.0, charged)
    step.go_on("the candidate is ready again")
    step.set(wanted=_weights(step.status, weight))


def _promoting(step: _Step) -> None:
    """All traffic goes over; until that is confirmed the way back is open."""
    status = step.status
    if step.seen.predictors is None:
        return step.hold("the deployment cannot be read")
    if not step.ready(status.candidate):
        return _roll_back(step, "the candidate is no longer ready")
    _look(step)
    if status.promoted_by == "evidence" and (reason := _harmful(step)):
        return _roll_back(step, reason)
    if not step.confirmed:
        return step.go_on("waits for the data plane to confirm the weights")
    return step.enter(
        Phase.WATCHING,
        "all traffic goes to the candidate; the old version is kept warm",
        counters=dict(step.seen.counters or {}),
        looked=step.now,
    )


def _watching(step: _Step) -> None:
    """The old version is warm; a collapse of the new one returns to it."""
    status = step.status
    if step.seen.predictors is None:
        return step.hold("the deployment cannot be read")
    lost = not step.ready(status.candidate)
    reason = "the candidate is no longer ready" if lost else _collapsed(step)
    if reason and step.ready(status.stable):
        return _roll_back(step, reason)
    if reason:
        return step.hold(f"{reason}, but the old version is not ready either")
    if status.paused:
        return step.hold("a person holds it")
    if step.seen.counters is None:
        return step.hold("no telemetry")
    if step.confirmed and step.elapsed >= step.spec.watch:
        return _settle(step, "promoted", by=status.promoted_by)
    return step.go_on("the old version is kept warm")


def _rolling_back(step: _Step) -> None:
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
                returned_from=status.candidate.version,
                candidate=None,
            )
        return None
    stuck = step.elapsed > step.spec.startup
    if step.confirmed or not step.ready(status.candidate) or stuck:
        step.set(wanted={key: value for key, value in status.wanted.items() if key != name})
    return None


RULES: dict[Phase, Callable[[_Step], None]] = {
    Phase.PENDING: _pending,
    Phase.SHADOW: _shadow,
    Phase.RAMPING: _ramping,
    Phase.PROMOTING: _promoting,
    Phase.WATCHING: _watching,
    Phase.PROMOTED: _at_rest,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.ROLLED_BACK: _at_rest,
    Phase.REJECTED: _at_rest,
}


# --- What the rules are made of -------------------------------------------------------------------


def _weights(status: RolloutStatus, weight: int) -> dict[str, int]:
    """The candidate's weight, and the rest for the stable version."""
    assert status.candidate is not None
    weights = {status.candidate.predictor: weight}
    if status.stable:
        weights[status.stable.predictor] = WHOLE - weight
    return weights


def _percent(weight: int) -> str:
    return f"{weight / WHOLE:.2%}"


def _roll_back(step: _Step, reason: str, *, condemned: bool = True) -> None:
    """Decide to go back. With no stable version to go back to, nothing is served."""
    status = step.status
    weights = _weights(status, 0) if status.stable else {}
    changes = {"condemned": condemned, "paused": False, "promotion_asked": False}
    step.enter(Phase.ROLLING_BACK, reason, wanted=weights, **changes)


def _promote(step: _Step, reason: str, *, by: str) -> None:
    changes = {"promoted_by": by, "promotion_asked": False}
    step.enter(Phase.PROMOTING, reason, wanted=_weights(step.status, WHOLE), **changes)


def _settle(step: _Step, reason: str, *, by: str) -> None:
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
    )


def _candidate_lost(step: _Step) -> bool:
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
    step.set(unready_since=since, wanted=_weights(status, 0))
    if status.clock - since > step.spec.startup:
        _roll_back(step, "the candidate is no longer ready")
    else:
        step.hold("the candidate is not ready")
    return True


def _obstacle(step: _Step) -> str:
    """Why nothing may move, or nothing."""
    status = step.status
    if status.paused:
        return "a person holds it"
    if step.seen.predictors is None:
        return "the deployment cannot be read"
    if not step.ready(status.stable):
        return "the stable version is not ready"
    if step.seen.counters is None or not _names(status) <= step.seen.counters.keys():
        return "no telemetry"
    if status.quiet >= SILENCE:
        return f"no traffic reaches the candidate: about {status.quiet:.0f} requests were due to it"
    if status.blind >= BLIND:
        missing = ", ".join(status.missing)
        return f"no telemetry for {missing}" if missing else "no traffic"
    if _drifted(step):
        return "it predicts differently from the stable version"
    return ""


def _names(status: RolloutStatus) -> set[str]:
    return {one.predictor for one in (status.stable, status.candidate) if one}


def _overdue(step: _Step) -> bool:
    since = step.status.ramping_since
    return (
        since is not None
        and not step.status.paused
        and step.status.clock - since > step.spec.deadline
    )


# --- Judging --------------------------------------------------------------------------------------


def _due(step: _Step) -> bool:
    """Whether it is time for a look; calls come a little early or late."""
    looked = step.status.looked
    return looked is None or step.now - looked >= 0.9 * step.spec.interval


def _measure_rate(step: _Step) -> None:
    """Requests per second of the stable version alone, before the candidate has any."""
    status, counters = step.status, step.seen.counters
    if counters is None or not _due(step) or status.stable is None:
        return
    name = status.stable.predictor
    if name not in counters:
        return
    grown = judge.growth(status.counters, {name: counters[name]})
    requests = grown.changes[name].requests
    if requests is not None:
        _set_rate(step, requests)
    step.set(counters={**status.counters, **grown.baselines}, looked=step.now)


def _set_rate(step: _Step, requests: int) -> None:
    looked = step.status.looked
    passed = 0.0 if looked is None else step.now - looked
    if 0 < passed <= max(LARGEST_STEP, 10 * step.spec.interval):
        step.set(rate=requests / passed)


def _look(step: _Step) -> None:
    """Take the differences since the last look and add them to the evidence."""
    status, counters = step.status, step.seen.counters
    stable, candidate = status.stable, status.candidate
    if counters is None or not _due(step) or stable is None or candidate is None:
        return
    names = _names(status)
    if not names <= counters.keys():
        return
    grown = judge.growth(status.counters, {name: counters[name] for name in sorted(names)})
    step.notes += [f"not counted: {note}" for note in grown.notes]
    own, other = grown.changes[candidate.predictor], grown.changes[stable.predictor]
    if own.requests is not None and other.requests is not None:
        _set_rate(step, own.requests + other.requests)
    _judge(step, own, other)
    step.set(counters={**status.counters, **grown.baselines}, looked=step.now)


def _judge(step: _Step, own: Counters, other: Counters) -> None:
    """Add one look to each guard's evidence, and read all guards."""
    spec, status = step.spec, step.status
    watched = spec.guards.compared()
    states: dict[str, GuardState] = {}
    for name, guard in watched.items():
        tolerate = spec.tolerated(name)
        state = status.guards.get(name) or judge.fresh(tolerate)
        mine, theirs = judge.outcomes(own, name), judge.outcomes(other, name)
        if mine is not None and theirs is not None:
            state = judge.look(state, mine, theirs, tolerate)
            step.guards[name] = judge.numbers(
                state,
                mine,
                theirs,
                alpha=1 - spec.confidence,
                sharing=_sharing(spec),
                negligible=guard.negligible,
                superiority=spec.superiority,
                enough=getattr(guard, "min_feedback", 0),
            )
        states[name] = state
    drift = status.drift
    if spec.guards.drift and own.predictions is not None and other.predictions is not None:
        drift = judge.drift_look(drift, own.predictions, other.predictions)
    mirrored = step.phase is Phase.SHADOW
    requests = (own.requests or 0) + (other.requests or 0)
    missing = tuple(sorted(watched.keys() - step.guards.keys()))
    due = requests * status.weight / WHOLE
    step.looked = True
    step.set(
        guards=states,
        drift=drift,
        harm=status.harm if mirrored else ramp.harm(states.values()),
        look=status.look + 1,
        quiet=0.0 if own.requests else status.quiet + due,
        blind=status.blind + 1 if missing or not requests else 0,
        missing=missing,
    )


def _sharing(spec: RolloutSpec) -> float:
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


def _harmful(step: _Step) -> str:
    """Which guard has found harm, in words; or nothing."""
    limit = math.log(_sharing(step.spec) / (1 - step.spec.confidence))
    for name, one in step.guards.items():
        if one.harm >= limit:
            state = step.status.guards[name]
            return f"{name}: {_compare(state.candidate, state.stable)}"
    drift = step.spec.guards.drift
    if drift and drift.action == "rollback" and _drifted(step):
        return "it predicts differently from the stable version"
    return ""


def _compare(candidate: Outcomes, stable: Outcomes) -> str:
    return (
        f"{candidate.bad} of {candidate.total} bad, against {stable.bad} of {stable.total} "
        "of the stable version"
    )


def _drifted(step: _Step) -> bool:
    if step.spec.guards.drift is None:
        return False
    limit = math.log(_sharing(step.spec) / (1 - step.spec.confidence))
    return judge.log_drift(step.status.drift) >= limit


def _collapsed(step: _Step) -> str:
    """Which guard says that the promoted version does far worse than the old one's record."""
    status, counters = step.status, step.seen.counters
    if counters is None or status.candidate is None or not _due(step):
        return ""
    name = status.candidate.predictor
    if name not in counters:
        return ""
    grown = judge.growth(status.counters, {name: counters[name]})
    step.set(counters={**status.counters, **grown.baselines}, looked=step.now)
    change = grown.changes[name]
    states = dict(status.guards)
    found = [
        f"{guard}: {_compare(states[guard].watched, old.stable)}, before the promotion"
        for guard, old in status.guards.items()
        if _falls(step, guard, states, change)
    ]
    step.set(guards=states)
    return found[0] if found else ""


def _falls(step: _Step, guard: str, states: dict[str, GuardState], change: Counters) -> bool:
    """Add a guard's outcomes since the promotion, and tell whether they are a collapse."""
    watched, now = step.spec.guards.compared(), judge.outcomes(change, guard)
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


# --- After the rules ------------------------------------------------------------------------------


def _write_down(step: _Step) -> None:
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
        drift=judge.log_drift(status.drift) if step.spec.guards.drift else None,
    )
    step.set(decisions=(*status.decisions, decision)[-HISTORY:])


def _actions(step: _Step) -> tuple[Action, ...]:
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
        actions.append(Record(decision=status.decisions[-1]))
    return tuple(actions)


def desired(status: RolloutStatus) -> tuple[Predictor, ...]:
    """The predictors that a status asks for, for those who repair what was changed behind it."""
    phase = status.resume or status.phase
    return _apply(status, shadow=phase is Phase.SHADOW).predictors


def _apply(status: RolloutStatus, *, shadow: bool) -> Apply:
    """The whole deployment as it should be."""
    known = {one.predictor: one for one in (status.stable, status.candidate) if one}
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
