"""Going back to a version that was judged before, and a version whose servers cannot start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.errors import RolloutError
from contracts.rollout import TERMINAL, WHOLE, Phase, RolloutSpec, RolloutStatus
from serving.rollout.core.controller import decide
from serving.rollout.wishes import previous
from tests.unit.rollout.world import World, play, serving_one, target

SPEC = RolloutSpec.parse({"interval": "10s", "watch": "30s", "startup": "60s"})


def promoted(world: World, *versions: int) -> RolloutStatus:
    """One after the other, on evidence; version 1 served before this was kept."""
    status = serving_one()
    for version in versions:
        world.bad[f"v{version}"] = 0.002
        status = play(world, SPEC, status, target(version), until=TERMINAL, steps=600)
        assert (status.phase, status.promoted_by) == (Phase.PROMOTED, "evidence"), status.reason
        world.pass_time(10)
        status = play(world, SPEC, status, target(version), steps=1)
    return status


@pytest.mark.parametrize("rate", [0.0, 100.0])
def test_a_version_that_was_judged_takes_all_traffic_at_once(rate):
    """Without traffic to judge by as well, and though the present one is broken."""
    world = World()
    status = promoted(world, 2)
    assert status.judged == (target(1), target(2))
    world.rate, world.ready["v2"] = rate, False
    back = previous("m", status)
    assert back == target(1)
    seen = [status := play(world, SPEC, status, back, steps=1) for _ in range(12)]
    weights = [each.wanted.get("v1", WHOLE) for each in seen]
    assert set(weights) <= {0, WHOLE}, "it is no canary"
    assert Phase.RAMPING not in {each.phase for each in seen}
    assert (status.phase, status.promoted_by) == (Phase.PROMOTED, "an earlier verdict")
    assert world.weights == {"v1": WHOLE}
    assert world.aliases["stable"] == "1"


def test_it_waits_until_it_is_ready_and_goes_back_where_it_never_is():
    world = World()
    status = promoted(world, 2)
    world.ready["v1"] = False
    status = play(world, SPEC, status, target(1), steps=4)
    assert (status.phase, status.wanted) == (Phase.PENDING, {"v1": 0, "v2": WHOLE})
    status = play(world, SPEC, status, target(1), until=TERMINAL)
    assert status.phase is Phase.ROLLED_BACK
    assert world.weights == {"v2": WHOLE}
    assert status.judged == (target(2),)


def test_who_was_gone_back_from_is_judged_anew():
    world = World()
    status = promoted(world, 2, 3)
    assert status.judged == (target(1), target(2), target(3))
    status = play(world, SPEC, status, target(1), until=TERMINAL)
    assert (status.stable, status.judged) == (target(1), (target(1),))
    with pytest.raises(RolloutError, match="nothing to go back to"):
        previous("m", status)
    status = play(world, SPEC, status, target(2), until=frozenset({Phase.RAMPING}))
    assert not status.returning


def test_going_back_twice():
    """Each time to the one before; who was left is warm for the watch, and takes over again."""
    world = World()
    status = promoted(world, 2, 3)
    assert previous("m", status) == target(2)
    status = play(world, SPEC, status, target(2), until=TERMINAL)
    assert (status.stable, status.judged) == (target(2), (target(1), target(2)))

    assert previous("m", status) == target(1)
    watching = play(world, SPEC, status, target(1), until=frozenset({Phase.WATCHING}))
    assert world.weights == {"v1": WHOLE, "v2": 0}
    with pytest.raises(RolloutError, match="version 1 is being rolled out"):
        previous("m", watching)
    world.ready["v1"] = False
    status = play(world, SPEC, watching, target(1), until=TERMINAL)
    assert (status.phase, status.stable) == (Phase.ROLLED_BACK, target(2)), status.reason
    assert world.weights == {"v2": WHOLE}

    world = World()
    status = promoted(world, 2, 3)
    for number in (2, 1):
        status = play(world, SPEC, status, target(number), until=TERMINAL)
    assert (status.phase, status.judged) == (Phase.PROMOTED, (target(1),)), status.reason
    with pytest.raises(RolloutError, match="nothing to go back to"):
        previous("m", status)


def test_another_artifact_or_a_word_has_it_judged():
    world = World()
    status = promoted(world, 2)
    other = target(1).model_copy(update={"uri": "s3://artifacts/m/elsewhere"})
    assert not decide(SPEC, status, world.observe(other), world.now)[0].returning
    assert not decide(SPEC, status, world.observe(target(1), "judge"), world.now)[0].returning
    assert decide(SPEC, status, world.observe(target(1)), world.now)[0].returning


def test_a_person_holds_it_and_another_wish_ends_it():
    world = World()
    status = promoted(world, 2)
    world.ready["v1"] = False
    status = play(world, SPEC, status, target(1), steps=2)
    status, _ = decide(SPEC, status, world.observe(target(1), "pause"), world.now)
    world.ready["v1"] = True
    status = play(world, SPEC, status, target(1), steps=3)
    assert (status.phase, status.reason) == (Phase.HELD, "a person holds it")
    status = play(world, SPEC, status, target(2), until=TERMINAL)
    assert (status.phase, status.stable) == (Phase.ROLLED_BACK, target(2))
    assert status.judged == (target(1), target(2))


def test_what_to_go_back_to():
    world = World()
    status = promoted(world, 2, 3)
    assert previous("m", status) == target(2)
    assert previous("m", status, "1") == target(1)
    with pytest.raises(RolloutError, match="version 7 was not judged here") as refused:
        previous("m", status, "7")
    assert "Say one of 1, 2." in refused.value.fix
    under_way = play(world, SPEC, status, target(4), until=frozenset({Phase.RAMPING}))
    with pytest.raises(RolloutError, match="version 4 is being rolled out"):
        previous("m", under_way)
    rejected = status.model_copy(update={"rejected": ("2",)})
    assert previous("m", rejected) == target(1)


@pytest.mark.parametrize("stable", [True, False])
def test_a_version_whose_servers_cannot_start_ends_with_the_reason(stable):
    world = World(ready={"v1": True, "v2": False}, weights={"v1": WHOLE} if stable else {})
    status = serving_one() if stable else RolloutStatus(model="m")
    status = play(world, SPEC, status, target(2), steps=2)
    assert status.phase is Phase.PENDING
    for _ in range(4):
        seen = world.observe(target(2))
        predictors = {
            name: replace(each, refusal="" if each.ready else "model.onnx cannot be read")
            for name, each in (seen.predictors or {}).items()
        }
        status, actions = decide(SPEC, status, replace(seen, predictors=predictors), world.now)
        world.act(actions)
        world.pass_time(1)
    assert status.phase is Phase.ROLLED_BACK
    assert "the candidate cannot start: model.onnx cannot be read" in status.reason
    assert status.rejected == ("2",)
    assert world.weights == ({"v1": WHOLE} if stable else {})


def test_a_first_version_is_not_waited_for_for_ever():
    world = World(weights={}, ready={"v1": False})
    status = play(world, SPEC, RolloutStatus(model="m"), target(1), steps=12)
    assert status.phase is Phase.ROLLED_BACK
    assert "did not become ready in time" in status.reason
    assert world.weights == {}
