"""Rollouts of real model servers behind a real Envoy, under real requests with feedback."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import MillwrightError, RolloutError
from contracts.model import ModelSpec
from contracts.rollout import Phase, RolloutSpec, RolloutStatus, Target
from local.rollout import LocalRollout
from local.serving import LocalServing
from local.supervisor import Supervisor
from serving.client import Client
from tests.serving_model import make_artifact

NAME = "flight-delay"
PLAN = RolloutSpec.parse(
    {
        "interval": "500ms",
        "weight": {"start": "5%", "max": "50%"},
        "guards": {"errors": {}, "wrong": {"min_feedback": 50, "tolerate": 4}},
        "watch": "1s",
        "deadline": "60s",
    }
)


class Traffic:
    """Requests at a steady pace, each with the outcome that its caller later sees."""

    def __init__(self, serving: LocalServing) -> None:
        self._serving = serving
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(2)]
        self.failed = 0
        self.lies_of: str | None = None
        """The version whose predictions are always wrong."""

    def __enter__(self) -> Traffic:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join()

    def _run(self, start: int) -> None:
        base = self._serving.observe(NAME).url.split("/seldon/")[0]
        with Client(base, NAME) as client:
            for number in itertools.count(start, 2):
                if self._stop.is_set():
                    return
                row = {"hour": number % 24, "carrier": "B6", "distance": 100.0}
                try:
                    seen = client.infer([row])
                    label = int(seen.outputs["label"][0])
                    wrong = number % 7 == 0 or seen.version == self.lies_of
                    client.feedback(seen, [label if not wrong else 1 - label])
                except MillwrightError:
                    self.failed += 1


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


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("twin")


@pytest.fixture(scope="module")
def serving(root: Path) -> Iterator[LocalServing]:
    supervisor = Supervisor(root)
    yield LocalServing(root, supervisor)
    supervisor.stop_all()


@pytest.fixture(scope="module")
def model() -> ModelSpec:
    project = Path(__file__).parents[3]
    found = ModelSpec.find(project / "models", NAME)
    served = found.serving.model_copy(update={"replicas": 1})
    return found.model_copy(update={"serving": served, "rollout": PLAN})


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


def until(true):  # type: ignore[no-untyped-def]
    """A `stop` that gives up after a while."""
    deadline = time.monotonic() + 60

    def stop() -> bool:
        assert time.monotonic() < deadline
        return bool(true())

    return stop
