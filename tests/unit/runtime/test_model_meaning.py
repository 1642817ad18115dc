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
from serving.runtime.served import Served
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
    artifact = write_artifact(folder, content, **changes)
    return App(Served(Model("flight-delay", *fetch(str(artifact)))))


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
    assert served.served.counters.requests == {200: 1, 500: 1}


def test_an_answer_that_is_not_a_number_is_the_servers_failure(tmp_path: Path) -> None:
    served = app(tmp_path, graph(helper.make_node("Log", ["x"], ["y"])))
    assert infer(served, 1.0).status == 200
    failed = infer(served, -1.0)
    assert failed.status == 500
    assert "'y' holds a value that is not a number" in failed.json["error"]


def test_numbers_are_judged_by_their_tolerance(tmp_path: Path) -> None:
    served = app(tmp_path, IDENTITY, interpretation={"tolerance": 2.0})
    assert infer(served, 10.0, 20.0, 30.0).status == 200
    verdict = feedback(served, 12.0, 17.5, None).json
    assert (verdict["right"], verdict["wrong"]) == (1, 1)
    assert feedback(served, None, None, True).status == 400
    assert served.served.counters.scores.bounds == [10.0 * tenth for tenth in range(11)]


def test_without_a_tolerance_numbers_cannot_be_judged(tmp_path: Path) -> None:
    served = app(tmp_path, IDENTITY)
    infer(served, 10.0)
    refused = feedback(served, 10.0)
    assert refused.status == 400
    assert "has no tolerance" in refused.json["error"]
    assert "write feedback: {tolerance: …} in model.yaml" in refused.json["error"]


def test_the_threshold_is_the_artifacts(artifact: Path, tmp_path: Path) -> None:
    content = (artifact / "model.onnx").read_bytes()
    folders = {
        limit: write_artifact(tmp_path / str(limit), content, interpretation={"threshold": limit})
        for limit in (0.0, 0.001, 0.999)
    }
    for limit, folder in folders.items():
        model = Model("flight-delay", *fetch(str(folder)))
        tensor = {"name": "hour", "shape": [1, 1], "datatype": "FP32", "data": [14.0]}
        _, answer = model.answer(json.dumps({"inputs": [tensor]}).encode(), "r")
        assert list(answer.classes) == [int(limit < 0.5)]
        label = next(one for one in json.loads(answer.body)["outputs"] if one["name"] == "label")
        assert label["data"] == [int(limit < 0.5)], "what feedback judges is what was answered"


def test_a_relative_tolerance_is_of_what_came_true(tmp_path: Path) -> None:
    served = app(tmp_path, IDENTITY, interpretation={"tolerance": "10%"})
    assert infer(served, 109.0, -89.0, 0.5, 111.0).status == 200
    verdict = feedback(served, 100.0, -100.0, 0.0, 100.0).json
    assert (verdict["right"], verdict["wrong"]) == (1, 3)
    both = app(tmp_path, IDENTITY, interpretation={"tolerance": {"absolute": 1, "relative": 0.1}})
    assert infer(both, 109.0, -89.0, 0.5, 111.0).status == 200
    verdict = feedback(both, 100.0, -100.0, 0.0, 100.0).json
    assert (verdict["right"], verdict["wrong"]) == (2, 2)


def test_the_positive_class_is_the_artifacts_and_classes_have_names(tmp_path: Path) -> None:
    """Two texts, the first of which is the positive one: x is its probability."""
    nodes = [
        helper.make_node("Sub", ["one", "x"], ["rest"]),
        helper.make_node("Concat", ["x", "rest"], ["p"], axis=1),
        helper.make_node("ArgMax", ["p"], ["place"], axis=1, keepdims=0),
        helper.make_node("Gather", ["names", "place"], ["label"]),
    ]
    constants = [
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("names", TensorProto.STRING, [2], [b"late", b"on time"]),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1]),
        helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
        helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 2]),
    ]
    content = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    ).SerializeToString()
    outputs = [
        Tensor(name="label", datatype="BYTES", shape=(-1,)),
        Tensor(name="p", datatype="FP32", shape=(-1, 2)),
    ]
    meaning = {"classes": ["late", "on time"], "positive": "late", "threshold": 0.25}
    changes = {"outputs": outputs, "task": "classification", "interpretation": meaning}
    served = app(tmp_path, content, **changes)
    reply = infer(served, 0.25, 0.125, 0.75)
    answered = {one["name"]: one["data"] for one in reply.json["outputs"]}
    assert answered["label"] == ["late", "on time", "late"]
    assert feedback(served, 1, None, None).status == 400
    verdict = feedback(served, "late", "late", None).json
    assert (verdict["right"], verdict["wrong"]) == (1, 1)
    below = [
        line for line in served.served.counters.text().decode().splitlines() if 'le="0.2"' in line
    ]
    assert [line.split()[-1] for line in below] == ["1"], "the score is the positive class's"


def test_an_optional_input_must_be_able_to_be_missing(tmp_path: Path) -> None:
    whole = Tensor(name="x", datatype="INT64", shape=(-1, 1), optional=True)
    with pytest.raises(ServingError, match="INT64 has no missing value"):
        app(tmp_path, IDENTITY, inputs=[whole])
