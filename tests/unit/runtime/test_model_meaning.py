"""What a model's outputs mean: classes, numbers, and failures that are the model's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from contracts.artifact import Tensor
from contracts.errors import ServingError
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.store import fetch
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import Reply, call

BASE = "/v2/models/flight-delay"
NUMBER = Tensor(name="x", datatype="FP32", shape=(-1, 1))
OUTPUT = Tensor(name="y", datatype="FP32", shape=(-1, 1), minimum=0.0, maximum=100.0)


def graph(*nodes: onnx.NodeProto, initial: tuple[onnx.TensorProto, ...] = ()) -> bytes:
    """A model from x to y."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("x", "y")
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=initial),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return made.SerializeToString()


def app(folder: Path, content: bytes, **changes: Any) -> App:
    changes = {"inputs": [NUMBER], "outputs": [OUTPUT], "task": "regression", **changes}
    return App(Model("flight-delay", *fetch(str(write_artifact(folder, content, **changes)))))


def infer(served: App, *values: float | None) -> Reply:
    tensor = {"name": "x", "shape": [len(values), 1], "datatype": "FP32", "data": list(values)}
    body = json.dumps({"id": "r", "inputs": [tensor]}).encode()
    return call(served, "POST", f"{BASE}/infer", body)


def feedback(served: App, *outcome: object) -> Reply:
    body = json.dumps({"id": "r", "outcome": outcome}).encode()
    return call(served, "POST", f"{BASE}/feedback", body)


IDENTITY = graph(helper.make_node("Identity", ["x"], ["y"]))


def test_a_row_that_the_model_fails_on_is_the_servers_failure(tmp_path: Path) -> None:
    table = helper.make_tensor("table", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    content = graph(
        helper.make_node("Cast", ["x"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["y"]),
        initial=(table,),
    )
    served = app(tmp_path, content)
    assert infer(served, 2.0).json["outputs"][0]["data"] == [3.0]
    failed = infer(served, 7.0)
    assert failed.status == 500
    assert "the model failed on this request of 1 rows" in failed.json["error"]
    assert served.counters.requests == {200: 1, 500: 1}


def test_an_answer_that_is_not_a_number_is_the_servers_failure(tmp_path: Path) -> None:
    served = app(tmp_path, graph(helper.make_node("Log", ["x"], ["y"])))
    assert infer(served, 1.0).status == 200
    failed = infer(served, -1.0)
    assert failed.status == 500
    assert "'y' holds a value that is not a number" in failed.json["error"]


def test_numbers_are_judged_by_their_tolerance(tmp_path: Path) -> None:
    served = app(tmp_path, IDENTITY, parameters={"tolerance": 2.0})
    assert infer(served, 10.0, 20.0, 30.0).status == 200
    verdict = feedback(served, 12.0, 17.5, None).json
    assert (verdict["right"], verdict["wrong"]) == (1, 1)
    assert feedback(served, None, None, True).status == 400
    assert served.counters.scores.bounds == [10.0 * tenth for tenth in range(11)]


def test_without_a_tolerance_numbers_cannot_be_judged(tmp_path: Path) -> None:
    served = app(tmp_path, IDENTITY)
    infer(served, 10.0)
    refused = feedback(served, 10.0)
    assert refused.status == 400
    assert "no parameter 'tolerance'" in refused.json["error"]


def test_the_threshold_is_the_artifacts(artifact: Path, tmp_path: Path) -> None:
    content = (artifact / "model.onnx").read_bytes()
    folders = {
        limit: write_artifact(tmp_path / str(limit), content, parameters={"threshold": limit})
        for limit in (0.001, 0.999)
    }
    for limit, folder in folders.items():
        model = Model("flight-delay", *fetch(str(folder)))
        tensor = {"name": "hour", "shape": [1, 1], "datatype": "FP32", "data": [14.0]}
        _, answer = model.answer(json.dumps({"inputs": [tensor]}).encode(), "r")
        assert list(answer.classes) == [int(limit < 0.5)]


def test_an_optional_input_must_be_able_to_be_missing(tmp_path: Path) -> None:
    whole = Tensor(name="x", datatype="INT64", shape=(-1, 1), optional=True)
    with pytest.raises(ServingError, match="INT64 has no missing value"):
        app(tmp_path, IDENTITY, inputs=[whole])
