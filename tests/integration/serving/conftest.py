"""Two versions of a small model behind a real Envoy."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ServingError
from laptop.serving import LocalServing
from laptop.supervisor import Supervisor
from serving.bodies import Row
from serving.client import Client, Prediction
from tests.serving_model import make_artifact

NAME = "flight-delay"


def document(artifacts: dict[str, Path], replicas: int = 1, **weights: int) -> dict[str, Any]:
    """A SeldonDeployment with these weights in 1/10000, as the rollout writes it."""
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {
            "name": NAME,
            "namespace": "default",
            "annotations": {"millwright.dev/weights": json.dumps(weights)},
        },
        "spec": {
            "protocol": "v2",
            "predictors": [
                {
                    "name": name,
                    "replicas": replicas,
                    "traffic": weight // 100,
                    "graph": {
                        "name": NAME,
                        "implementation": "MILLWRIGHT_SERVER",
                        "modelUri": str(artifacts[name]),
                        "parameters": [{"name": "slow_over", "value": "50ms", "type": "STRING"}],
                    },
                    "componentSpecs": [
                        {"spec": {"containers": [{"name": NAME, "env": [], "resources": {}}]}}
                    ],
                }
                for name, weight in weights.items()
            ],
        },
    }


def eventually(true: Callable[[], Any], within: float = 30.0) -> Any:
    """The first true value; fails when there is none in time."""
    deadline = time.monotonic() + within
    while not (value := true()):
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {
        f"v{number}": make_artifact(folder / f"v{number}", version=str(number), seed=number)
        for number in (1, 2)
    }


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServing]:
    root = tmp_path_factory.mktemp("twin")
    supervisor = Supervisor(root)
    yield LocalServing(root, supervisor)
    supervisor.stop_all()


ROW: Row = {"hour": 17.0, "carrier": "B6", "distance": 800.0}


class Load:
    """Clients that ask one after another until told to stop; keeps every answer and failure.

    `began` says when each request that failed was sent, by the monotonic clock.
    """

    def __init__(self, url: str, clients: int = 3) -> None:
        self.predictions: list[Prediction] = []
        self.failures: list[str] = []
        self.began: list[float] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        eventually(lambda: self.predictions or self.failures)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def versions(self) -> Counter[str]:
        return Counter(prediction.version for prediction in self.predictions)

    def _ask(self, url: str) -> None:
        with Client(url, NAME) as client:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    self.predictions.append(client.infer([ROW]))
                except ServingError as error:
                    self.failures.append(str(error))
                    self.began.append(began)
