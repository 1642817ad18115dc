"""The controller in a hostile world of crashes, lies, outages and edits: what never happens."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.rollout import TERMINAL, WHOLE, Phase, RolloutSpec, RolloutStatus
from serving.rollout.core.controller import decide
from serving.rollout.core.observations import Apply, Observation
from tests.unit.rollout.world import World, serving_one, target

PLANS = [
    RolloutSpec.parse({"interval": "5s", "watch": "10s", "startup": "40s", "deadline": "5m"}),
    RolloutSpec.parse({"interval": "5s", "watch": "0s", "on_deadline": "hold", "deadline": "60s"}),
    RolloutSpec.parse({"interval": "10s", "shadow": "20s", "superiority": True}),
    RolloutSpec.parse(
        {
            "interval": "5s",
            "tolerate": 3,
            "confidence": 0.9,
            "guards": {"errors": {"negligible": "5%"}},
        }
    ),
]
COMMITTED = {Phase.PROMOTING, Phase.WATCHING, Phase.PROMOTED}
BEFORE = {Phase.PENDING, Phase.SHADOW, Phase.RAMPING}
SERVED_BY_CANDIDATE = {Phase.PROMOTING, Phase.WATCHING}


class Hostile(RuleBasedStateMachine):
    """Whatever happens outside, in any order."""

    @initialize(seed=st.integers(0, 999), rate=st.sampled_from([1.0, 50.0, 2000.0]))
    def begin(self, seed: int, rate: float) -> None:
        self.world = World(seed=seed, rate=rate)
        self.status = serving_one()
        self.spec = PLANS[0]
        self.verdicts: set[str] = set()
        self.asked: str | None = None
        """The candidate for which a person's word to promote stands."""
        self.served = [self.status.stable]
        """What can be returned to: each promoted version, but those that were returned from."""
        self.newest = 1
        self.wish_for_new()
        self.last: Observation | None = None

    @rule(
        seconds=st.sampled_from([1.0, 5.0, 5.0, 10.0, 10.0, 60.0]),
        commands=st.sampled_from(
            [(), (), (), (), (), ("pause",), ("resume",), ("abort",), ("promote",), ("retry",)]
        ),
        telemetry=st.sampled_from([True, True, True, True, False]),
        deployment=st.sampled_from([True, True, True, True, False]),
        done=st.sampled_from([9, 9, 9, 9, 0, 1]),
        saved=st.sampled_from([True, True, True, True, False]),
        repeats=st.sampled_from([1, 1, 3]),
    )
    def go(self, seconds, commands, telemetry, deployment, done, saved, repeats):
        """Time passes and the loop steps; it may be killed before saving or between two actions."""
        if self.status.phase in TERMINAL and self.wanted == self.status.stable:
            self.wish_for_new()
        for _ in range(repeats):
            self.world.pass_time(seconds)
            seen = self.world.observe(
                self.wanted, *commands, telemetry=telemetry, deployment=deployment
            )
            self.step(seen, done=done, saved=saved)

    @rule(steps=st.integers(1, 6), ready=st.booleans())
    def calm(self, steps: int, ready: bool) -> None:
        """Nothing hostile for a while, so that rollouts get somewhere."""
        if ready:
            self.world.ready = dict.fromkeys(self.world.ready, True)
        for _ in range(steps):
            self.world.pass_time(10)
            self.step(self.world.observe(self.wanted, "resume"), done=9, saved=True)

    @rule()
    def old_news(self):
        """The last observation again."""
        if self.last is not None:
            self.step(self.last, done=9, saved=True)

    @rule(kind=st.sampled_from(["new", "back", "rejected", "rejected"]))
    def wish(self, kind: str) -> None:
        """Another version midway, the stable one again, or one that was rolled back."""
        assert self.status.stable is not None
        if kind == "new":
            self.wish_for_new()
        elif kind == "back":
            self.wanted = self.status.stable
        elif self.status.rejected:
            self.wanted = target(self.status.rejected[0])

    def wish_for_new(self) -> None:
        self.newest += 1
        self.wanted = target(self.newest)

    @rule(rate=st.sampled_from([0.0, 0.005, 0.02, 0.5]), new=st.booleans())
    def change_of_health(self, rate: float, new: bool) -> None:
        self.world.bad[self.one_of_both(new)] = rate

    @rule(new=st.sampled_from([True, True, False]), ready=st.booleans())
    def change_of_readiness(self, new: bool, ready: bool) -> None:
        self.world.ready[self.one_of_both(new)] = ready

    def one_of_both(self, new: bool) -> str:
        chosen = (self.status.candidate or self.wanted) if new else self.status.stable
        assert chosen is not None
        return chosen.predictor

    @rule(jump=st.sampled_from([-90_000.0, -3.0, 4_000.0]))
    def clock_jumps(self, jump: float) -> None:
        self.world.now += jump

    @rule()
    def counters_begin_again(self):
        self.world.epoch += 1
        self.world.counts = {name: [0, 0] for name in self.world.counts}

    @rule(plan=st.sampled_from(PLANS))
    def edit_of_the_plan(self, plan: RolloutSpec) -> None:
        self.spec = plan

    @rule(share=st.integers(0, WHOLE))
    def change_by_hand(self, share: int) -> None:
        if len(self.world.weights) == 2:
            first, second = self.world.weights
            self.world.weights = {first: share, second: WHOLE - share}

    def step(self, seen: Observation, *, done: int, saved: bool) -> None:
        before = self.status
        after, actions = decide(self.spec, before, seen, self.world.now)
        assert (after, actions) == decide(self.spec, before, seen, self.world.now)
        self.check(before, after, seen)
        self.check_word(before, after, seen)
        for action in actions:
            if isinstance(action, Apply) and action.predictors:
                assert sum(one.weight for one in action.predictors) == WHOLE
        self.last = seen
        if saved:
            self.status = RolloutStatus.model_validate_json(after.model_dump_json())
            assert self.status == after
            self.hear(after, seen)
            self.world.act(actions[:done])

    def check(self, before: RolloutStatus, after: RolloutStatus, seen: Observation) -> None:
        """What every single decision must keep."""
        self.check_rollback(before, after, seen)
        assert sum(after.wanted.values()) == WHOLE
        ready = {name for name, one in (seen.predictors or {}).items() if one.ready}
        for name, weight in after.wanted.items():
            if weight > before.wanted.get(name, 0) and after.phase is not Phase.ROLLING_BACK:
                assert name in ready, "weight goes to a predictor that is not ready"
                assert before.wanted.get(name) is not None
        lost = after.candidate and after.candidate.predictor not in ready
        if after.stable and after.stable.predictor in ready and lost:
            waits = after.phase is Phase.HELD and after.resume in (Phase.RAMPING, Phase.SHADOW)
            assert after.weight == 0 or not (waits or after.phase is Phase.RAMPING)
        if after.paused:
            assert after.weight <= before.weight
            assert after.phase is not Phase.PROMOTING or before.phase is Phase.PROMOTING
        moved = after.wanted != before.wanted and after.weight > before.weight > 0
        if moved:
            assert before.wanted == {n: one.weight for n, one in (seen.predictors or {}).items()}
        promoting = Phase.PROMOTING not in (before.phase, before.resume)
        if after.phase is Phase.PROMOTING and promoting:
            self.check_promotion(before, after, seen)
        if after.phase is Phase.PROMOTED and before.phase is not Phase.PROMOTED:
            assert before.phase is Phase.WATCHING or before.resume is Phase.WATCHING
            assert seen.counters is not None

    def check_promotion(
        self, before: RolloutStatus, after: RolloutStatus, seen: Observation
    ) -> None:
        """A person's word, a version that served alone before, or numbers that anyone can check."""
        if after.promoted_by == "an earlier verdict":
            assert after.candidate in self.served
            assert after.candidate is not None
            assert after.candidate.version not in self.verdicts
            return
        if after.promoted_by == "a person":
            assert after.candidate is not None
            assert "promote" in seen.commands or self.asked == after.candidate.version
            return
        assert after.promoted_by == "evidence"
        assert seen.counters is not None
        numbers = after.decisions[-1].guards
        assert numbers.keys() == self.spec.guards.compared().keys()
        for one in numbers.values():
            assert one.passed
            assert one.safe >= one.safe_limit or one.rare >= one.rare_limit > 3

    def hear(self, after: RolloutStatus, seen: Observation) -> None:
        """What a person has said and was saved, and what has come to serve alone."""
        if after.stable != self.served[-1]:
            back = after.promoted_by == "an earlier verdict"
            kept = self.served[: self.served.index(after.stable)] if back else self.served
            self.served = [one for one in kept if one.version != after.stable.version]
            self.served.append(after.stable)
        if {"pause", "abort"} & seen.commands or (after.resume or after.phase) not in BEFORE:
            self.asked = None
        elif "promote" in seen.commands and after.candidate:
            self.asked = after.candidate.version

    def check_word(self, before: RolloutStatus, after: RolloutStatus, seen: Observation) -> None:
        """A word to promote is carried out at the first step at which it can be."""
        candidate = before.candidate
        if self.asked is None or candidate is None or {"pause", "abort"} & seen.commands:
            return
        assert self.asked == candidate.version
        own = (seen.predictors or {}).get(candidate.predictor)
        weights = {name: one.weight for name, one in (seen.predictors or {}).items()}
        if own is not None and own.ready and weights == before.wanted:
            assert after.phase is Phase.PROMOTING
            assert after.promoted_by == "a person"

    def check_rollback(
        self, before: RolloutStatus, after: RolloutStatus, seen: Observation
    ) -> None:
        """Once a rollback is decided, that rollout's candidate gets nothing any more."""
        if before.phase is Phase.ROLLING_BACK:
            assert after.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
            assert before.candidate is not None
            assert after.wanted.get(before.candidate.predictor, 0) == 0
        if before.condemned and after.phase is Phase.ROLLED_BACK and before.candidate:
            self.verdicts.add(before.candidate.version)
        if "retry" in seen.commands and seen.wanted:
            self.verdicts.discard(seen.wanted.version)
        if before.candidate is None and after.candidate:
            assert after.candidate.version not in self.verdicts
        if after.phase is Phase.ROLLING_BACK:
            assert after.weight == 0

    @invariant()
    def the_stable_version_always_serves(self) -> None:
        status = self.status
        assert status.stable is not None
        name = status.stable.predictor
        assert name in status.wanted
        phase = status.resume or status.phase
        if phase not in SERVED_BY_CANDIDATE:
            assert status.wanted[name] >= WHOLE // 2
        assert len(status.model_dump_json()) < 400_000


TestHostile = Hostile.TestCase
TestHostile.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
