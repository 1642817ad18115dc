"""The controller's rule book, situation by situation, and its decisions as a golden file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.rollout import TERMINAL, WHOLE, Guards, Phase, RolloutSpec, RolloutStatus
from contracts.signals import WrongGuard
from serving.rollout.core.controller import decide
from serving.rollout.core.observations import Apply, Observation, SetAlias
from tests.unit.rollout.world import World, play, serving_one, target

SPEC = RolloutSpec.parse({"interval": "10s", "watch": "30s", "startup": "60s"})
OVER = TERMINAL
GOLDEN = Path(__file__).parent / "golden" / "decisions.json"


def ramping(world: World, spec: RolloutSpec = SPEC) -> RolloutStatus:
    return play(world, spec, serving_one(), target(2), until=frozenset({Phase.RAMPING}))


def once(world: World, status: RolloutStatus, *commands, spec=SPEC, wanted=2, **seen):  # type: ignore[no-untyped-def]
    observation = world.observe(target(wanted), *commands, **seen)
    status, actions = decide(spec, status, observation, world.now)
    return status, actions


def test_the_first_version_gets_all_traffic_when_it_is_ready():
    world = World(weights={}, ready={"v1": False})
    status, actions = decide(SPEC, RolloutStatus(model="m"), world.observe(target(1)), world.now)
    assert status.phase is Phase.PENDING
    world.act(actions)
    status = play(world, SPEC, status, target(1), steps=3)
    assert status.phase is Phase.PENDING
    world.ready["v1"] = True
    status = play(world, SPEC, status, target(1), until=OVER)
    assert (status.phase, status.promoted_by) == (Phase.PROMOTED, "first version")
    assert world.aliases["stable"] == "1"


def test_a_good_candidate_is_promoted_and_the_old_version_removed():
    world = World(bad={"v2": 0.004})
    status = play(world, SPEC, serving_one(), target(2), until=OVER)
    assert (status.phase, status.promoted_by) == (Phase.PROMOTED, "evidence")
    world.pass_time(10)
    play(world, SPEC, status, target(2), steps=1)
    assert world.weights == {"v2": WHOLE}
    assert world.aliases == {"stable": "2", "candidate": None}


def test_a_broken_candidate_is_rolled_back_and_not_tried_again_until_a_person_says_so():
    world = World(bad={"v2": 0.5})
    status = play(world, SPEC, serving_one(), target(2), until=OVER)
    assert status.phase is Phase.ROLLED_BACK
    assert "errors:" in status.reason
    assert status.harm.estimate < 50
    assert world.weights == {"v1": WHOLE}
    status = play(world, SPEC, status, target(2), steps=5)
    assert status.phase is Phase.ROLLED_BACK
    status = play(world, SPEC, status, target(3), until=frozenset({Phase.RAMPING}))
    status = play(world, SPEC, status, target(1), until=OVER)
    status = play(world, SPEC, status, target(2), steps=2)
    assert status.phase is Phase.REJECTED
    status, _ = once(world, status, "retry")
    assert status.phase is Phase.PENDING


def test_weights_wait_for_the_data_planes_confirmation():
    world = World()
    status = ramping(world)
    world.pass_time(10)
    world.weights = {"v1": WHOLE, "v2": 0}  # what was applied has not happened
    status, actions = once(world, status)
    assert status.weight == 100
    assert status.reason == "waits for the data plane to confirm the weights"
    assert any(isinstance(action, Apply) for action in actions)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [({"telemetry": False}, "no telemetry"), ({"deployment": False}, "cannot be read")],
)
def test_no_data_is_no_verdict(seen, reason):
    world = World()
    status = ramping(world)
    for _ in range(30):
        world.pass_time(10)
        status, actions = once(world, status, **seen)
        world.act(actions)
        assert status.phase is Phase.HELD
        assert reason in status.reason
        assert status.weight == 100
    world.pass_time(10)
    status, _ = once(world, status)
    assert status.phase in (Phase.RAMPING, Phase.PROMOTING)


def test_without_traffic_nothing_moves():
    world = World(rate=0.0)
    status = play(world, SPEC, serving_one(), target(2), steps=10)
    assert (status.phase, status.reason, status.weight) == (Phase.HELD, "no traffic", 100)


def test_a_candidate_that_gets_none_of_its_traffic_is_held():
    world = World()
    status = ramping(world)
    for _ in range(10):
        world.pass_time(10)
        world.counts["v2"] = [0, 0]
        status, actions = once(world, status)
        world.act(actions)
    assert status.phase is Phase.HELD
    assert "no traffic reaches the candidate" in status.reason


def unjudged(rate: float, uncounted: int, looks: int) -> tuple[World, RolloutStatus]:
    """A candidate that the data plane counts nothing of, while its servers answer requests."""
    world = World(beside={})
    status = ramping(world)
    world.rate = rate
    for _ in range(looks):
        world.pass_time(10)
        world.counts["v2"] = [0, 0]
        if world.weights["v2"]:
            world.beside["v2"] = world.beside.get("v2", 0) + uncounted
        status, actions = once(world, status)
        world.act(actions)
    return world, status


@pytest.mark.parametrize("rate", [0.0, 100.0])
def test_a_candidate_that_answers_what_nobody_counts_loses_its_weight(rate):
    world, status = unjudged(rate, uncounted=30, looks=6)
    assert status.phase is Phase.HELD
    assert "answered 60 requests of which the data plane counted none" in status.reason
    assert world.weights["v2"] == 0
    # It is a person who says that the way to it is mended.
    world.rate = 100.0
    for command in ("resume", "resume", "resume"):
        world.pass_time(10)
        status, actions = once(world, status, command)
        world.act(actions)
    assert (status.phase, status.uncounted) == (Phase.RAMPING, ())
    assert world.weights["v2"] > 0


@pytest.mark.parametrize(("uncounted", "looks"), [(500, 1), (4, 2), (0, 5)])
def test_what_may_lie_between_two_counts_is_no_finding(uncounted, looks):
    world, status = unjudged(100.0, uncounted, looks)
    assert "counted none" not in status.reason
    assert world.weights["v2"] > 0


def test_copies_of_requests_are_not_unjudged():
    world = World(beside={})
    spec = RolloutSpec.parse({"interval": "10s", "shadow": "30s"})
    status = play(world, spec, serving_one(), target(2), until=frozenset({Phase.SHADOW}))
    for _ in range(3):
        world.pass_time(10)
        world.beside["v2"] = world.beside.get("v2", 0) + 100
        status, actions = once(world, status, spec=spec)
        world.act(actions)
    assert (status.phase, status.uncounted) == (Phase.RAMPING, ())


def test_a_candidate_that_never_gets_ready_is_given_up():
    world = World(ready={"v1": True, "v2": False})
    status = play(world, SPEC, serving_one(), target(2), until=OVER)
    assert status.phase is Phase.ROLLED_BACK
    assert "did not become ready" in status.reason
    assert world.weights == {"v1": WHOLE}


def test_a_candidate_that_is_lost_has_its_traffic_taken_and_gets_it_back():
    world = World()
    status = ramping(world)
    world.pass_time(10)
    world.ready["v2"] = False
    status, actions = once(world, status)
    world.act(actions)
    assert status.phase is Phase.HELD
    assert world.weights["v2"] == 0
    world.ready["v2"] = True
    status = play(world, SPEC, status, target(2), steps=3)
    assert status.phase in (Phase.RAMPING, Phase.PROMOTING)
    assert world.weights["v2"] > 0


def test_a_person_pauses_resumes_and_aborts():
    world = World()
    status = ramping(world)
    world.pass_time(10)
    status, _ = once(world, status, "pause")
    assert (status.phase, status.reason) == (Phase.HELD, "a person holds it")
    status = play(world, SPEC, status, target(2), steps=300)
    assert status.phase is Phase.HELD  # the deadline does not run meanwhile
    status, _ = once(world, status, "resume")
    assert status.phase in (Phase.RAMPING, Phase.PROMOTING)
    status, _ = once(world, ramping(World()), "abort")
    assert (status.phase, status.reason) == (Phase.ROLLING_BACK, "a person aborted it")


def test_a_person_promotes_without_evidence_and_that_is_written_down():
    world = World()
    status = ramping(world)
    confirmed, world.weights = world.weights, {"v1": WHOLE, "v2": 0}
    status, _ = once(world, status, "promote")
    assert status.phase is Phase.RAMPING  # the first weight is not confirmed yet
    assert "as asked once the candidate is ready and confirmed" in status.decisions[-1].reason
    paused, _ = once(world, status, "pause")
    world.weights = confirmed
    world.pass_time(10)
    status, _ = once(world, status)
    assert (status.phase, status.promoted_by) == (Phase.PROMOTING, "a person")
    paused, _ = once(world, paused, "resume")
    assert paused.phase is Phase.RAMPING  # a pause takes the word back


def test_a_word_said_while_the_candidate_starts_waits_for_it():
    world = World(ready={"v1": True, "v2": False})
    status = play(world, SPEC, serving_one(), target(2), steps=2)
    status, _ = once(world, status, "promote", "resume")
    status = play(world, SPEC, status, target(2), steps=2)
    assert (status.phase, status.promotion_asked) == (Phase.PENDING, True)
    world.ready["v2"] = True
    status = play(world, SPEC, status, target(2), until=frozenset({Phase.PROMOTING}), steps=2)
    assert (status.phase, status.promoted_by) == (Phase.PROMOTING, "a person")


def test_a_word_said_together_with_the_wish_is_about_that_version():
    status, _ = once(World(), serving_one(), "pause")
    assert (status.phase, status.paused) == (Phase.PENDING, True)
    world = World()
    status, _ = once(world, serving_one(), "abort")
    status = play(world, SPEC, status, target(2), until=OVER)
    assert (status.phase, status.rejected) == (Phase.ROLLED_BACK, ("2",))


def test_the_first_look_at_a_version_seen_for_the_first_time_holds_nothing():
    world = World()
    status = ramping(world)
    status = status.model_copy(update={"counters": {"v1": status.counters["v1"]}})
    phases = []
    for _ in range(3):
        world.pass_time(10)
        status, actions = once(world, status)
        world.act(actions)
        phases.append((status.phase, status.weight))
    assert phases == [(Phase.RAMPING, 100), (Phase.RAMPING, 300), (Phase.RAMPING, 900)]
    assert "v2: counted from here on" in world.decisions[-3].reason


def test_one_look_without_outcomes_holds_nothing_and_two_do():
    world = World()
    status = ramping(world)
    seen = []
    for epoch in (1, 2, 3):
        world.epoch = epoch  # those who count begin again each time
        world.pass_time(10)
        status, actions = once(world, status)
        world.act(actions)
        seen.append((status.phase, status.weight))
    assert seen == [(Phase.RAMPING, 100), (Phase.HELD, 100), (Phase.HELD, 100)]
    assert status.reason == "no telemetry for errors"
    world.pass_time(3)
    assert once(world, status)[0].reason == "no telemetry for errors"  # also between looks


@pytest.mark.parametrize(
    ("action", "phase"), [("rollback", Phase.ROLLED_BACK), ("hold", Phase.HELD)]
)
def test_the_deadline_rolls_back_or_holds(action, phase):
    spec = SPEC.model_copy(update={"deadline": 100.0, "on_deadline": action, "superiority": True})
    world = World(rate=20)
    status = play(world, spec, serving_one(), target(2), steps=40)
    assert status.phase is phase
    assert "no verdict before the deadline" in status.reason


def test_held_at_the_deadline_the_weight_only_shrinks_and_harm_still_counts():
    spec = SPEC.model_copy(update={"deadline": 100.0, "on_deadline": "hold", "superiority": True})
    world = World()
    status = play(world, spec, serving_one(), target(2), steps=20)
    assert (status.phase, status.weight) == (Phase.HELD, 5000)
    assert status.reason == "no verdict before the deadline; a person decides"
    busy = World(seed=1, rate=20_000)
    held = play(busy, spec, serving_one(), target(2), steps=20)
    busy.bad["v2"] = 0.0055
    weights = []
    for _ in range(20):
        held = play(busy, spec, held, target(2), steps=1)
        weights.append(held.weight)
    assert held.phase is Phase.HELD
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] < weights[0]  # what it costs uses the budget up
    longer = spec.model_copy(update={"deadline": 3600.0})
    world.pass_time(10)
    assert once(world, status, spec=longer)[0].phase is Phase.RAMPING
    world.bad["v2"] = 0.1
    assert play(world, spec, status, target(2), until=OVER).phase is Phase.ROLLED_BACK


def test_another_version_waits_until_the_running_one_is_rolled_back():
    world = World()
    status = ramping(world)
    world.pass_time(10)
    status = play(world, SPEC, status, target(3), until=frozenset({Phase.RAMPING}))
    assert status.candidate == target(3)
    assert set(world.weights) == {"v1", "v3"}
    assert status.rejected == ()  # nothing was found against version 2


def test_a_collapse_after_the_promotion_returns_to_the_warm_old_version():
    world = World()
    watching = play(world, SPEC, serving_one(), target(2), until=frozenset({Phase.WATCHING}))
    world.bad["v2"] = 0.3
    world.pass_time(10)
    status = play(world, SPEC, watching, target(2), until=OVER)
    assert status.phase is Phase.ROLLED_BACK
    assert world.weights == {"v1": WHOLE}
    # The whole system's rate five times higher is no collapse: there is nothing to compare it with.
    calm = World()
    watching = play(calm, SPEC, serving_one(), target(2), until=frozenset({Phase.WATCHING}))
    calm.bad["v2"] = 0.025
    calm.pass_time(10)
    assert play(calm, SPEC, watching, target(2), until=OVER).phase is Phase.PROMOTED


def test_a_change_by_hand_is_undone():
    world = World()
    status = ramping(world)
    world.pass_time(10)
    world.weights = {"v1": 2000, "v2": 8000}
    status, actions = once(world, status)
    world.act(actions)
    assert world.weights == status.wanted == {"v1": 9900, "v2": 100}


def test_clocks_that_jump_decide_nothing():
    world = World()
    status = ramping(world)
    world.pass_time(10)
    world.now -= 86_400
    status, actions = once(world, status)
    world.act(actions)
    assert status.phase is Phase.RAMPING
    world.now += 10 * 86_400
    status, _ = once(world, status)
    assert status.phase is Phase.RAMPING


def test_shadow_traffic_condemns_but_does_not_promote():
    spec = SPEC.model_copy(update={"shadow": 60.0})
    world = World()
    status = play(world, spec, serving_one(), target(2), until=frozenset({Phase.SHADOW}))
    _, actions = once(world, status, spec=spec)
    applied = next(action for action in actions if isinstance(action, Apply))
    assert [(one.target.version, one.weight, one.shadow) for one in applied.predictors] == [
        ("1", WHOLE, False),
        ("2", 0, True),
    ]
    sick = status
    for _ in range(4):  # the copies' outcomes
        world.pass_time(10)
        world.counts["v2"][0] += 900
        world.counts["v2"][1] += 100
        sick, _ = once(world, sick, spec=spec)
    assert sick.phase is Phase.ROLLING_BACK
    assert sick.harm.estimate == 0  # nobody saw them


def test_aliases_are_asked_for_until_they_are_right():
    status, world = ramping(World()), World()
    seen = Observation(wanted=target(2), aliases={"stable": "1", "candidate": None})
    for _ in range(2):
        _, actions = decide(SPEC, status, seen, world.now)
        assert SetAlias(alias="candidate", version="2") in actions


def golden_runs() -> dict[str, list[dict[str, object]]]:
    """Three rollouts, decision by decision."""
    cases = {"good": 0.005, "twice as bad": 0.012, "broken": 0.4}
    runs = {}
    for name, rate in cases.items():
        world = World(seed=5, bad={"v2": rate})
        play(world, SPEC, serving_one(), target(2), until=OVER)
        runs[name] = [
            {
                "look": one.look,
                "phase": one.phase.value,
                "weight": one.weight,
                "reason": one.reason,
                "harm": round(one.harm.estimate, 3),
                **{
                    f"log evidence of {side}": round(getattr(one.guards["errors"], side), 3)
                    for side in ("harm", "safe", "rare")
                    if one.guards
                },
            }
            for one in world.decisions
        ]
    return runs


def test_decisions_are_the_recorded_ones():
    """Set MILLWRIGHT_GOLDEN=write after a wanted change, and read the difference."""
    found = golden_runs()
    if os.environ.get("MILLWRIGHT_GOLDEN") == "write":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(GOLDEN.read_text())


def test_copies_have_no_feedback_to_wait_for():
    """They would hold the ramp at its smallest weight for ever."""
    plan = {"shadow": 20.0, "guards": Guards(wrong=WrongGuard(min_feedback=50))}
    spec, world, copies = SPEC.model_copy(update=plan), World(), 0
    status = serving_one()
    for _ in range(60):
        seen = world.observe(target(2))
        counted = {
            name: one.model_copy(
                update={
                    "timed": one.requests,
                    "feedback": one.requests - (copies if name == "v2" else 0),
                    "wrong": 0,
                }
            )
            for name, one in (seen.counters or {}).items()
        }
        status, actions = decide(spec, status, replace(seen, counters=counted), world.now)
        world.act(actions)
        if status.phase in OVER:
            break
        world.pass_time(spec.interval)
        if status.phase is Phase.SHADOW:
            copies += 900
            world.counts["v2"][0] += 900
    assert copies > 0
    assert status.phase is Phase.PROMOTED, [one.weight for one in world.decisions]
