"""Copies of live requests, and predictions that shift: through Envoy and real model servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.rollout import Phase, RolloutSpec, RolloutStatus, Target
from laptop.rollout import LocalRollout
from tests.integration.rollout.conftest import PLAN, Traffic, until
from tests.serving_model import make_artifact

MIRRORED = PLAN.model_copy(update={"shadow": 1.5})
VERSIONS: dict[str, dict[str, object]] = {
    "1": {},
    "2": {},
    "3": {"fails": True},
    "4": {"late_above": 1.3},
    "5": {"late_above": 1.3},
}
"""How each version's model is made: like the first, failing, and finding hardly a flight late."""

Start = Callable[[str, RolloutSpec], LocalRollout]


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {version: made(folder / version, version, how) for version, how in VERSIONS.items()}


def made(folder: Path, version: str, how: dict[str, object]) -> Target:
    return Target(version=version, uri=str(make_artifact(folder, version=version, **how)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def start(root, serving, model, targets) -> Start:
    def start(version: str, plan: RolloutSpec) -> LocalRollout:
        rollout = LocalRollout(root, model, serving)
        rollout.start(targets[version], plan=plan)
        return rollout

    return start


@pytest.fixture(scope="module")
def traffic(serving, start):
    finished(start("1", PLAN))
    with Traffic(serving) as traffic:
        yield traffic


def finished(rollout: LocalRollout) -> RolloutStatus:
    return rollout.run(stop=until(lambda: False))


def with_drift(action: str) -> RolloutSpec:
    return RolloutSpec.parse(
        {**PLAN.model_dump(mode="json"), "guards": {"errors": {}, "drift": {"action": action}}}
    )


def test_a_shadow_that_fails_is_rolled_back_and_nobody_notices(start, traffic):
    status = finished(start("3", MIRRORED))
    assert status.phase is Phase.ROLLED_BACK
    assert "errors:" in status.reason
    assert traffic.failed == 0
    assert set(traffic.answered) == {"1"}


@pytest.mark.long
def test_predictions_that_shift_are_rolled_back_where_the_plan_says_so(start, traffic):
    rollout = start("4", with_drift("rollback"))
    status = finished(rollout)
    assert status.phase is Phase.ROLLED_BACK
    assert "predicts differently" in status.reason
    assert max(one.drift or 0.0 for one in rollout.history() if one.candidate == "4") > 0
    assert traffic.failed == 0


@pytest.mark.long
def test_predictions_that_shift_are_left_to_a_person_otherwise(start, traffic):
    rollout = start("5", with_drift("hold"))
    status = rollout.run(stop=until(lambda: held(rollout.status())))
    assert held(status), status.reason
    for _ in range(3):  # It stays so, and the stable version serves.
        assert held(rollout.run(stop=lambda: True))
    rollout.say("abort")
    assert finished(rollout).phase is Phase.ROLLED_BACK
    assert traffic.failed == 0


def held(status: RolloutStatus) -> bool:
    return status.phase is Phase.HELD and "predicts differently" in status.reason


@pytest.mark.long
def test_a_shadow_is_judged_then_ramped_then_promoted(start, traffic):
    rollout = start("2", MIRRORED)
    seen_in_shadow: list[bool] = []

    def watch(status: RolloutStatus) -> None:
        if status.phase is Phase.SHADOW:
            seen_in_shadow.append("2" in traffic.answered)

    status = rollout.run(watch=watch, stop=until(lambda: False))
    assert status.phase is Phase.PROMOTED, status.reason
    assert seen_in_shadow
    assert not any(seen_in_shadow)
    own = [one for one in rollout.history() if one.candidate == "2"]
    looks = [one for one in own if one.phase is Phase.SHADOW and one.guards]
    copies = sum(one.guards["errors"].candidate.total for one in looks)
    assert copies > 0.5 * sum(one.guards["errors"].stable.total for one in looks) > 0
    phases = list(dict.fromkeys(one.phase for one in own))
    shadow = phases.index(Phase.SHADOW)
    assert phases[shadow:] == [Phase.SHADOW, Phase.RAMPING, Phase.PROMOTING, Phase.WATCHING]
    assert traffic.failed == 0
