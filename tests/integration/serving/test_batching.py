"""Requests that wait for company, in a real server under load from several connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

from contracts.artifact import Tensor
from tests.integration.serving.conftest import NAME
from tests.integration.serving.test_runtime_process import server
from tests.serving_model import write_artifact
from tests.unit.runtime.test_turns import PROBABILITIES, ROWS, ask, body, picking

BATCHED = ("--batch-rows", "16", "--batch-wait", "5ms")
Seen = dict[str, tuple[int, Any]]


def forest(folder: Path) -> Path:
    target = (ROWS[:, 0] > 0).astype(int) + (ROWS[:, 3] > 1)
    estimator = RandomForestClassifier(20, random_state=0).fit(ROWS, target)
    content = to_onnx(estimator, ROWS[:1], options={"zipmap": False}).SerializeToString()
    inputs = (Tensor(name="X", datatype="FP32", shape=(-1, 33)),)
    return write_artifact(folder, content, inputs=inputs, outputs=PROBABILITIES)


def picker(folder: Path) -> Path:
    """A model that fails where there is no such index, and gives no number for 0 / 0."""
    inputs = (
        Tensor(name="index", datatype="INT64", shape=(-1,)),
        Tensor(name="divisor", datatype="FP32", shape=(-1,)),
    )
    outputs = (Tensor(name="ratio", datatype="FP32", shape=(-1,)),)
    return write_artifact(folder, picking(), inputs=inputs, outputs=outputs)


def answers(artifact: Path, requests: dict[str, bytes], clients: int, *options: str) -> Seen:
    """Of each request its status and answer, asked by so many clients at once."""
    seen: Seen = {}
    left = iter(requests.items())
    turn = threading.Lock()

    def work(url: str) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while True:
                with turn:
                    identity, content = next(left, ("", b""))
                if not identity:
                    return
                headers = {"x-request-id": identity}
                path = f"{url}/v2/models/{NAME}/infer"
                answer = client.post(path, content=content, headers=headers)
                seen[identity] = answer.status_code, answer.json()

    with server(str(artifact), *options) as (_, url):
        threads = [threading.Thread(target=work, args=(url,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = httpx.get(f"{url}/v2/models/{NAME}/stats", trust_env=False).json()
    (stats,) = counted["model_stats"]
    good = [identity for identity, (status, _) in seen.items() if status == 200]
    assert stats["execution_count"] == len(good)
    assert stats["inference_stats"]["fail"]["count"] == len(seen) - len(good)
    return seen


def forests() -> dict[str, bytes]:
    """Of a row mostly, some of more rows than share a call."""
    sizes = [1, 1, 2, 1, 40, 1, 3, 1]
    return {f"r{n}": body(ROWS[n : n + sizes[n % len(sizes)]]) for n in range(240)}


def pickers() -> dict[str, bytes]:
    """Every tenth fails, every tenth gives no number, and some are large."""
    requests = {}
    for n in range(240):
        index, divisor = [n % 4], [2.0]
        if n % 10 == 3:
            index = [9]
        elif n % 10 == 6:
            index, divisor = [0], [0.0]
        elif n % 10 == 8:
            index, divisor = [3] * 200, [1.0] * 200
        requests[f"r{n}"] = ask(index, divisor)
    return requests


@pytest.mark.parametrize(
    ("make", "requests", "failing"),
    [(forest, forests(), set()), (picker, pickers(), {3, 6})],
    ids=["trees", "some fail"],
)
def test_batched_is_answered_as_alone(
    tmp_path: Path, make: Callable[[Path], Path], requests: dict[str, bytes], failing: set[int]
) -> None:
    """Bit for bit, and whoever fails fails alone: with and without several processes."""
    artifact = make(tmp_path / "artifact")
    alone = answers(artifact, requests, 1)
    assert {identity for identity, (status, _) in alone.items() if status != 200} == {
        f"r{n}" for n in range(len(requests)) if n % 10 in failing
    }
    batched = answers(artifact, requests, 12, *BATCHED)
    assert json.dumps(batched, sort_keys=True) == json.dumps(alone, sort_keys=True)
    together = answers(artifact, requests, 12, *BATCHED, "--workers", "2")
    assert json.dumps(together, sort_keys=True) == json.dumps(alone, sort_keys=True)


def test_a_model_of_a_fixed_number_of_rows_says_that_it_is_not_batched(tmp_path: Path) -> None:
    estimator = RandomForestClassifier(5, random_state=0).fit(ROWS, ROWS[:, 0] > 0)
    content = to_onnx(
        estimator,
        initial_types=[("X", FloatTensorType([2, 33]))],
        options={"zipmap": False},
    ).SerializeToString()
    artifact = write_artifact(
        tmp_path / "artifact",
        content,
        inputs=(Tensor(name="X", datatype="FP32", shape=(2, 33)),),
        outputs=(
            Tensor(name="label", datatype="INT64", shape=(2,)),
            Tensor(name="probabilities", datatype="FP32", shape=(2, 2)),
        ),
    )
    with server(str(artifact), *BATCHED) as (process, url):
        content = body(np.asarray(ROWS[:2]))
        answer = httpx.post(f"{url}/v2/models/{NAME}/infer", content=content, trust_env=False)
        assert answer.status_code == 200, answer.text
        process.kill()
        log = process.stderr.read() if process.stderr else ""
    assert "not batched" in log
    assert "the model takes a fixed number of rows" in log
