"""One model served on this machine, and callers who later see what came true."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import MillwrightError
from contracts.model import ModelSpec
from contracts.rollout import RolloutSpec
from laptop.serving import LocalServing
from laptop.supervisor import Supervisor
from serving.bodies import Row
from serving.client import Client

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
        self.answered: Counter[str] = Counter()
        """Answers by the version that gave them."""
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
                row: Row = {"hour": number % 24, "carrier": "B6", "distance": 100.0}
                try:
                    seen = client.infer([row])
                    self.answered[seen.version] += 1
                    label = int(seen.outputs["label"][0])
                    wrong = number % 7 == 0 or seen.version == self.lies_of
                    client.feedback(seen, [label if not wrong else 1 - label])
                except MillwrightError:
                    self.failed += 1


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


def until(true):  # type: ignore[no-untyped-def]
    """A `stop` that gives up after a while."""
    deadline = time.monotonic() + 90

    def stop() -> bool:
        assert time.monotonic() < deadline
        return bool(true())

    return stop
