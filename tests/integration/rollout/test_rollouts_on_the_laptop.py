"""Rollouts of real model servers behind a real Envoy, under real requests with feedback."""

from __future__ import annotations

import pytest

from contracts.errors import RolloutError
from contracts.rollout import Phase, RolloutStatus, Target
from laptop.rollout import LocalRollout
from tests.integration.rollout.conftest import NAME, Traffic, until
from tests.serving_model import make_artifact


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Target]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {
        number: Target(
            version=str(number),
            uri=str(make_artifact(folder / f"v{number}", version=str(number), seed=number)),
        )
        for number in (1, 2, 3)
    }


def test_promoted_killed_resumed_and_rolled_back(root, serving, model, targets):
    rollout = LocalRollout(root, model, serving)
    rollout.start(targets[1])
    assert rollout.run().promoted_by == "first version"
    with Traffic(serving) as traffic:
        # A good version; the loop is left midway, as by a kill, and another one goes on.
        rollout.start(targets[2])
        midway = rollout.run(stop=until(lambda: rollout.status().phase is Phase.RAMPING))
        assert midway.candidate == targets[2]
        status = LocalRollout(root, model, serving).run()
        assert (status.phase, status.promoted_by) == (Phase.PROMOTED, "evidence"), status.reason
        assert [one.name for one in serving.observe(NAME).predictors if one.weight] == ["v2"]

        # A version whose predictions turn out wrong; it fails no request.
        traffic.lies_of = "3"
        rollout.start(targets[3])
        status = rollout.run()
        assert status.phase is Phase.ROLLED_BACK, status.reason
        assert "wrong:" in status.reason
        assert serving.settle(NAME).predictors[0].version == "2"
        assert len(serving.observe(NAME).predictors) == 1
    assert traffic.failed == 0
    with pytest.raises(RolloutError, match="version 3 was rolled back before"):
        rollout.start(targets[3])
    with pytest.raises(RolloutError, match="no rollout is under way"):
        rollout.say("abort")
    phases = [one.phase for one in rollout.history()]
    assert phases.index(Phase.PROMOTED) < phases.index(Phase.ROLLING_BACK)


def test_a_second_loop_is_refused(root, serving, model):
    rollout = LocalRollout(root, model, serving)

    def beside(_: RolloutStatus) -> None:
        with pytest.raises(RolloutError, match="being run already"):
            LocalRollout(root, model, serving).run()

    rollout.run(watch=beside, stop=lambda: True)
