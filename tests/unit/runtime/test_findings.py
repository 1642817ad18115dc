"""What an answer says about the values that it was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.artifact import Tensor
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.served import Served
from serving.runtime.store import fetch
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import Reply, call

INPUTS = (
    Tensor(name="distance", datatype="FP32", shape=(-1, 1), optional=True, maximum=0.1),
    Tensor(name="hour", datatype="FP32", shape=(-1, 1), minimum=0, maximum=23),
    Tensor(name="carrier", datatype="BYTES", shape=(-1, 1), categories=("AA", "B6"), optional=True),
)
BASE = "/v2/models/flight-delay"


@pytest.fixture
def app(artifact: Path, tmp_path: Path) -> App:
    content = (artifact / "model.onnx").read_bytes()
    folder = write_artifact(tmp_path / "own", content, inputs=INPUTS)
    return App(Served(Model("flight-delay", *fetch(str(folder)))))


def ask(app: App, *rows: dict[str, Any]) -> Reply:
    return call(app, "POST", f"{BASE}/predict", json.dumps(rows).encode())


ORDINARY = {"distance": 0.1, "hour": 23, "carrier": "B6"}
CASES = {
    "an ordinary row": ([ORDINARY], {}),
    "nulls": ([ORDINARY, {"hour": 3, "distance": None, "carrier": None}], {}),
    "left out": ([{"hour": 3}], {"missing": ["distance", "carrier"]}),
    "above": ([ORDINARY | {"hour": 24}], {"outside": ["hour"]}),
    "below in one of many": ([ORDINARY] * 40 + [ORDINARY | {"hour": -1}], {"outside": ["hour"]}),
    "above by a little": ([ORDINARY | {"distance": 0.10001}], {"outside": ["distance"]}),
    "an unknown text": ([ORDINARY, ORDINARY | {"carrier": "ZZ"}], {"unknown": ["carrier"]}),
    "all at once": (
        [{"hour": 99, "carrier": "aa"}],
        {"missing": ["distance"], "outside": ["hour"], "unknown": ["carrier"]},
    ),
}


@pytest.mark.parametrize(("rows", "findings"), CASES.values(), ids=CASES.keys())
def test_an_answer_names_what_is_odd(
    app: App, rows: list[dict[str, Any]], findings: dict[str, list[str]]
) -> None:
    answer = ask(app, *rows)
    assert answer.status == 200
    kinds = ("missing", "unknown", "outside")
    assert {kind: answer.json[kind] for kind in kinds if kind in answer.json} == findings
    text = app.served.counters.text().decode()
    for kind in kinds:
        for own in INPUTS:
            counted = f'input="{own.name}",finding="{kind}"}} 1' in text
            assert counted is (own.name in findings.get(kind, []))


def test_tensors_are_looked_at_in_every_form(app: App) -> None:
    hours = np.array([[3.0], [24.5]], np.float32).tobytes()
    binary = {"name": "hour", "shape": [2, 1], "datatype": "FP32"}
    head = json.dumps({"inputs": [binary | {"parameters": {"binary_data_size": 8}}]}).encode()
    plain = json.dumps({"inputs": [binary | {"data": [3.0, 24.5]}]}).encode()
    size = {"inference-header-content-length": str(len(head))}
    for body, headers in ((head + hours, size), (plain, {})):
        said = call(app, "POST", f"{BASE}/infer", body, headers).json["parameters"]
        assert said == {"missing": "distance,carrier", "outside": "hour"}
