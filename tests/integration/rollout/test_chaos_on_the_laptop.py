"""The run of benchmarks/chaos.py, shorter: what must stand whatever dies, and whom it may cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import chaos
from benchmarks.chaos_place import MODEL, PLAN, Place
from contracts.rollout import Phase, RolloutSpec

QUICK = RolloutSpec.parse(
    {
        **PLAN.model_dump(mode="json"),
        "interval": "500ms",
        "watch": "1s",
        "guards": {
            "errors": {"negligible": "10%"},
            "slow": {"over": "25ms", "tolerate": 20, "negligible": "10%"},
        },
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("chaos"), QUICK)
    try:
        place.start()
        yield place
    finally:
        place.stop()


def test_a_promotion_and_a_rollback_lose_no_request(place: Place) -> None:
    # The slow version's queue grows where the machine is slow: late is not lost, and Envoy itself
    # gives a request up after 30 s.
    outcome = chaos.run(place, [], seconds=0, rate=100, rollouts=2, patience=60)
    assert [one.phase for one in outcome.verdicts] == [Phase.PROMOTED, Phase.ROLLED_BACK]
    assert "slow:" in outcome.verdicts[1].reason
    assert [one for one in outcome.seen if one.status != 200] == []
    assert {one.version for one in outcome.seen} == {"1", "2", "3"}


def test_nothing_but_single_requests_is_lost_whatever_dies(place: Place) -> None:
    outcome = chaos.run(place, chaos.IN_TURN, seconds=3, rate=100)
    assert chaos.success(outcome.seen) >= 0.99
    assert chaos.outage(outcome.seen) <= 10
    for verdict in outcome.verdicts:
        assert verdict.right, verdict
        assert not verdict.gaps, verdict


def test_a_dead_server_comes_back_though_no_rollout_is_under_way(place: Place) -> None:
    supervisor, serving = place.host.supervisor, place.host.serving()
    assert place.over()
    before = {one.pid for one in supervisor.status() if one.name.startswith("serving.flight")}
    place.kill(f"serving.{MODEL}.")

    def whole() -> bool:
        now = {one.pid for one in supervisor.status() if one.name.startswith("serving.flight")}
        return now != before and serving.observe(MODEL).settled

    place.wait(whole)
