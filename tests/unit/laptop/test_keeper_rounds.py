"""What the keeper does in a round; that it brings back what dies is tested with real processes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import structlog.testing

from contracts.artifact import Version
from contracts.errors import LocalError
from contracts.model import ModelSpec
from contracts.rollout import Phase, RolloutStatus, Target
from laptop.host import RolloutHost
from laptop.keeper import Keeper
from laptop.rollout import Wish, _Files
from pocket.supervisor import Spec

MODEL = "flight-delay"
MODELS = Path(__file__).parents[3] / "models"


@dataclass
class Place:
    """An environment whose servers and loops are only counted."""

    root: Path
    models: Path = MODELS
    served: list[str] = field(default_factory=list)
    ticks: int = 0
    broken: bool = False

    def serving(self) -> Place:
        return self

    def tick(self) -> None:
        self.ticks += 1
        if self.broken:
            raise LocalError("the cloud is away")

    def names(self) -> list[str]:
        return self.served

    def loop(self, model: str) -> Spec:
        return Spec(name=f"rollout.{model}", argv=("true",))


def keeper(place: Place) -> tuple[Keeper, threading.Event]:
    until = threading.Event()
    return Keeper(cast(RolloutHost, cast(Any, place)), until), until


def wish(root: Path, version: Version, status: RolloutStatus | None = None) -> None:
    files = _Files(root, MODEL)
    plan = ModelSpec.find(MODELS, MODEL).rollout
    files.put_wish(Wish(wanted=Target(version=version, uri="file:///v"), plan=plan))
    if status:
        files.put_status(status)


def test_the_loop_of_a_rollout_that_is_not_over_should_run(tmp_path):
    place = Place(tmp_path, served=[MODEL])
    found, until = keeper(place)
    wish(tmp_path, "2")
    assert list(found.round()) == [f"rollout.{MODEL}"]
    stable = Target(version="2", uri="file:///v")
    over = RolloutStatus(
        model=MODEL,
        phase=Phase.PROMOTED,
        stable=stable,
        wanted={"v2": 10_000},
        confirmed={"v2": 10_000},
    )
    wish(tmp_path, "2", over)
    assert found.round() == {}
    assert place.ticks == 2
    assert not until.is_set(), "something is served"
    place.served = []
    found.round()
    assert until.is_set()


def test_a_round_that_fails_is_told_once_and_tried_again(tmp_path):
    place = Place(tmp_path, served=[MODEL], broken=True)
    found, until = keeper(place)
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            assert found.round() == {}
    assert [one["event"] for one in told] == ["a round failed"]
    assert place.ticks == 3
    assert not until.is_set()


def test_a_status_of_another_release_does_not_end_it(tmp_path):
    place = Place(tmp_path, served=[MODEL])
    found, until = keeper(place)
    wish(tmp_path, "2")
    (tmp_path / "rollouts" / f"{MODEL}.json").write_text('{"model": "flight-delay", "new": 1}')
    with structlog.testing.capture_logs() as told:
        assert found.round() == {}
    assert "new" in told[0]["error"]
    assert not until.is_set()


@pytest.mark.parametrize("text", ['{"plan": {"harm_budget": null}}', "{"])
def test_a_wish_that_cannot_be_read_does_not_end_it(tmp_path, text):
    place = Place(tmp_path)
    found, until = keeper(place)
    wish(tmp_path, "2")
    (tmp_path / "rollouts" / f"{MODEL}.wish.json").write_text(text)
    with structlog.testing.capture_logs() as told:
        assert found.round() == {}
    assert f"{MODEL}.wish.json" in told[0]["error"]
    assert not until.is_set(), "it waits for a wish that can be read"
