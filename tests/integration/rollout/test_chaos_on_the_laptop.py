"""The run of benchmarks/chaos.py, shorter: what must stand whatever dies, and whom it may cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from benchmarks import chaos
from benchmarks.chaos_place import MODEL, PLAN, Place
from cli.commands.environment import serve_again
from contracts.errors import RolloutError
from contracts.rollout import WHOLE, Phase, RolloutSpec
from laptop.recovery import bring_back
from pocket.supervisor.marks import marked
from pocket.supervisor.processes import MARK
from tests.content import HOSTILE

pytestmark = pytest.mark.long
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
    folder = tmp_path_factory.mktemp("chaos") / HOSTILE
    folder.mkdir()
    place = Place(folder, QUICK)
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


def weights(place: Place) -> dict[str, int | None]:
    """Each version's weight, as Envoy has it, of versions that answer."""
    state = place.host.serving().observe(MODEL)
    return {each.name: each.confirmed for each in state.predictors if each.ready == each.desired}


def everything_dies(place: Place) -> None:
    """As in a reboot: nothing is asked to end, and nothing is left."""
    supervisor = place.host.supervisor

    def gone() -> bool:
        """Killed together: whoever looks after others starts them again while it lives."""
        for mark, process in marked(MARK):
            if mark.startswith(f"{supervisor.root}:"):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        return {each.state for each in supervisor.status()} == {"dead"}

    place.wait(gone)


def test_everything_comes_back_as_it_stood(place: Place) -> None:
    """In the middle of a canary, whose weight, evidence and history go on, and after it."""
    held = QUICK.model_copy(update={"interval": 2.0, "deadline": 600.0})
    place.roll_out(place.make(), plan=held)
    place.wait(lambda: 0 < place.status().weight in weights(place).values())
    before, status, told = weights(place), place.status(), place.rollout().history()
    assert len(before) == 2
    assert WHOLE not in before.values()
    stable = status.stable
    assert stable is not None
    unjudged = place.make()

    everything_dies(place)
    place.stack.start_cloud()
    recovery = bring_back(place.host)
    assert (recovery.restarted, recovery.problems) == (True, ())
    assert weights(place) == before
    now = place.status()
    assert (now.stable, now.candidate, now.weight) == (
        status.stable,
        status.candidate,
        status.weight,
    )
    assert place.rollout().history()[: len(told)] == told
    assert place.rollout().has_runner()
    assert place.host.supervisor.find("keeper")
    assert not bring_back(place.host).restarted, "all is there"

    place.rollout().say("abort")
    place.wait(lambda: place.over() and place.status().phase is Phase.ROLLED_BACK)
    place.wait(lambda: weights(place) == {f"v{stable.version}": WHOLE})
    everything_dies(place)
    place.stack.start_cloud()
    with pytest.raises(RolloutError, match="`millwright up` brings back"):
        place.rollout().say("resume")
    with pytest.raises(RolloutError, match="`millwright up` brings back"):
        place.roll_out(stable)
    (place.host.root / "serving" / "documents" / f"{MODEL}.json").unlink()
    served = serve_again(place.stack.project)  # as `millwright up` does, after the resources
    assert [each["predictor"] for each in served if each["model"] == MODEL] == [
        f"v{stable.version}"
    ]
    assert weights(place) == {f"v{stable.version}": WHOLE}
    assert f"v{unjudged.version}" not in weights(place)
