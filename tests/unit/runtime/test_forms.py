"""Requests in other forms than the signature's: data frames, arrays, matrices, coded texts."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from contracts.artifact import Datatype, Tensor
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.served import Served
from serving.runtime.store import fetch
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import Reply, call

INFER = "/v2/models/flight-delay/infer"
FRAME = {"content_type": "pd"}


def given(name: str, data: list[Any], datatype: str = "FP64", **changes: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data), 1], "datatype": datatype, "data": data, **changes}


def post(app: App, inputs: list[dict[str, Any]], **request: Any) -> Reply:
    return call(app, "POST", INFER, json.dumps({"inputs": inputs, **request}).encode())


def plain(app: App) -> list[Any]:
    """The answer to the same rows as the signature has them."""
    inputs = [
        given("hour", [17, 6], "FP32"),
        given("carrier", ["AA", ""], "BYTES"),
        given("distance", [300.5, None], "FP32"),
    ]
    outputs = {own["name"]: own["data"] for own in post(app, inputs).json["outputs"]}
    return [outputs["label"], outputs["probabilities"]]


@pytest.mark.parametrize("hours", ["INT64", "FP64", "INT32", "UINT8"])
def test_a_data_frame_is_taken_and_given(hours: str, app: App) -> None:
    inputs = [
        given("hour", [17, 6], hours),
        given("carrier", ["AA", ""], "BYTES", parameters={"content_type": "str"}),
        given("distance", [300.5, None], "FP64"),
    ]
    reply = post(app, inputs, parameters=FRAME)
    assert reply.status == 200, reply.json
    label, probabilities = plain(app)
    assert reply.json["parameters"]["content_type"] == "pd"
    columns = {own["name"]: own for own in reply.json["outputs"]}
    assert {tuple(own["shape"]) for own in columns.values()} == {(2, 1)}
    assert columns["label"]["data"] == label
    for place in (0, 1):
        assert columns[f"probabilities[{place}]"]["data"] == probabilities[place::2]


def test_a_frame_whose_answer_is_wanted_as_bytes_gets_tensors(app: App) -> None:
    inputs = [given("hour", [17, 6], "INT64")]
    reply = post(app, inputs, parameters=FRAME | {"binary_data_output": True})
    size = int(reply.headers["inference-header-content-length"])
    outputs = json.loads(reply.body[:size])["outputs"]
    assert [own["name"] for own in outputs] == ["label", "probabilities"]


def test_findings_stand_beside_the_content_type(app: App) -> None:
    reply = post(app, [given("hour", [17], "INT64")], parameters=FRAME)
    assert reply.json["parameters"] == {"content_type": "pd", "missing": "distance,carrier"}


def test_without_a_content_type_nothing_is_rounded(app: App) -> None:
    assert "expected FP32" in post(app, [given("hour", [0.1])]).json["error"]
    by_value = given("hour", [0.1], parameters={"content_type": "np"})
    assert post(app, [by_value]).status == 200


def test_numbers_that_would_become_others_are_refused(app: App) -> None:
    for datatype, value in (("INT64", 2**24 + 1), ("FP64", 1e39)):
        reply = post(app, [given("hour", [value], datatype)], parameters=FRAME)
        assert reply.status == 400
        assert "which FP32 cannot hold exactly" in reply.json["error"]
    reply = post(app, [given("hour", ["x"], "BYTES")], parameters=FRAME)
    assert "expected FP32" in reply.json["error"]
    assert post(app, [given("hour", [None])], parameters=FRAME).status == 400, "it is required"


@pytest.mark.parametrize("form", ["frame", "array"])
def test_bytes_are_converted_too(form: str, app: App) -> None:
    raw = np.array([17, 6], "<i8").tobytes()
    parameters: dict[str, Any] = {"binary_data_size": len(raw)}
    if form == "array":
        parameters["content_type"] = "np"
    text = json.dumps(
        {
            "inputs": [
                {"name": "hour", "shape": [2, 1], "datatype": "INT64", "parameters": parameters},
                given("carrier", ["AA", ""], "BYTES"),
                given("distance", [300.5, None], "FP32"),
            ],
            **({"parameters": FRAME} if form == "frame" else {}),
        }
    ).encode()
    headers = {"inference-header-content-length": str(len(text))}
    reply = call(app, "POST", INFER, text + raw, headers)
    assert reply.status == 200, reply.json
    assert reply.json["outputs"][0]["data"] == plain(app)[0]


def test_coded_texts_are_what_they_stand_for(app: App) -> None:
    expected = plain(app)[1]
    for coding, texts in {
        "base64": [base64.b64encode(own.encode()).decode() for own in ("AA", "")],
        "pd_json": ['"AA"', "null"],
    }.items():
        inputs = [
            given("hour", [17, 6], "FP32"),
            given("carrier", texts, "BYTES", parameters={"content_type": coding}),
            given("distance", [300.5, None], "FP32"),
        ]
        assert post(app, inputs).json["outputs"][1]["data"] == expected, coding
    for coding, text in {"base64": "%", "pd_json": "{"}.items():
        own = given("carrier", [text], "BYTES", parameters={"content_type": coding})
        reply = post(app, [given("hour", [1], "FP32"), own])
        assert reply.status == 400
        assert "carrier" in reply.json["error"]


def added(folder: Path, inputs: list[Tensor], datatype: Datatype = "FP32") -> App:
    """A model that gives, of each row, its first feature less its last."""
    kinds = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64}
    kind = kinds[datatype]
    ends = [helper.make_tensor_value_info(own.name, kind, [None, *own.shape[1:]]) for own in inputs]
    result = helper.make_tensor_value_info("y", kind, [None, 1])
    if len(inputs) == 1:
        width = inputs[0].shape[1]
        initial = [
            onnx.numpy_helper.from_array(np.array(own, np.int64), name)
            for name, own in (("first", [0]), ("last", [width - 1]))
        ]
        nodes = [
            helper.make_node("Gather", [inputs[0].name, name], [f"of_{name}"], axis=1)
            for name in ("first", "last")
        ]
        nodes.append(helper.make_node("Sub", ["of_first", "of_last"], ["y"]))
    else:
        initial = []
        nodes = [helper.make_node("Sub", [inputs[0].name, inputs[-1].name], ["y"])]
    content = helper.make_model(
        helper.make_graph(nodes, "g", ends, [result], initializer=initial),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    ).SerializeToString()
    used = {inputs[0].name, inputs[-1].name}
    tensors = [own.model_copy(update={"used": own.name in used}) for own in inputs]
    if len(used) > 1:
        model = onnx.load_from_string(content)
        rest = [own for own in model.graph.input if own.name in used]
        del model.graph.input[:]
        model.graph.input.extend(rest)
        content = model.SerializeToString()
    output = Tensor(name="y", datatype=datatype, shape=(-1, 1))
    artifact = write_artifact(folder, content, task="regression", inputs=tensors, outputs=[output])
    return App(Served(Model("flight-delay", *fetch(str(artifact)))))


COLUMNS = [Tensor(name=own, datatype="FP32", shape=(-1, 1)) for own in "abc"]
MATRIX = [Tensor(name="x", datatype="FP32", shape=(-1, 3), optional=True)]
ROWS = [[5, 0, 2], [1, 0, 9]]


@pytest.mark.parametrize("datatype", ["FP32", "INT8"])
def test_one_matrix_is_columns_in_the_signatures_order(datatype: str, tmp_path: Path) -> None:
    app = added(tmp_path, COLUMNS)
    for data in (ROWS, [value for row in ROWS for value in row]):
        whole = {"name": "rows", "shape": [2, 3], "datatype": datatype, "data": data}
        reply = post(app, [whole])
        assert reply.status == 200, reply.json
        assert reply.json["outputs"][0]["data"] == [3.0, -8.0]


def test_a_matrix_of_the_wrong_width_names_the_columns(tmp_path: Path) -> None:
    app = added(tmp_path, COLUMNS)
    whole = {"name": "rows", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    error = post(app, [whole]).json["error"]
    assert "it has 2 columns; the model takes 3 inputs" in error
    assert "in this order: a, b, c" in error


def test_a_matrix_of_numbers_is_no_text(app: App) -> None:
    whole = {"name": "rows", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    assert "its column 'carrier' must be texts" in post(app, [whole]).json["error"]
    texts = {"name": "rows", "shape": [1, 3], "datatype": "BYTES", "data": ["1", "2", "3"]}
    assert "its column 'distance' must be numbers" in post(app, [texts]).json["error"]
    odd = {"name": "rows", "shape": [1, 3], "datatype": "FP31", "data": [1, 2, 3]}
    assert post(app, [odd]).status == 400


def test_a_misspelt_input_is_still_said(app: App) -> None:
    assert "did you mean 'hour'?" in post(app, [given("houre", [1], "FP32")]).json["error"]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_columns_by_their_places_are_the_matrix(order: list[int], tmp_path: Path) -> None:
    app = added(tmp_path, MATRIX)
    inputs = [
        {
            "name": f"x[{place}]",
            "shape": [2, 1] if place else [2],
            "datatype": "FP32",
            "data": [row[place] for row in ROWS],
        }
        for place in order
    ]
    reply = post(app, inputs)
    assert reply.status == 200, reply.json
    assert reply.json["outputs"][0]["data"] == [3.0, -8.0]


def test_a_frames_columns_are_the_matrix_in_their_order(tmp_path: Path) -> None:
    app = added(tmp_path, MATRIX)
    inputs = [given(name, [row[place] for row in ROWS]) for place, name in enumerate("kja")]
    reply = post(app, inputs, parameters=FRAME)
    assert reply.json["outputs"][0]["data"] == [3.0, -8.0]
    assert "x[0] to x[2]" in post(app, [own | {"datatype": "FP32"} for own in inputs]).json["error"]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([given("x[0]", [1], "FP32")], "there are 1 columns"),
        ([given(f"x[{place}]", [1], "FP32") for place in (0, 1, 1)], "there are 2 columns"),
        ([given(f"x[{place}]", [1], "FP32") for place in (0, 1, 3)], "which has 3"),
        (
            [given(f"x[{place}]", [1.0] * (1 + place // 2), "FP32") for place in range(3)],
            "unequal lengths",
        ),
        ([given(f"x[{place}]", ["a"], "BYTES") for place in range(3)], "expected FP32"),
    ],
)
def test_columns_that_are_no_matrix_are_refused(
    inputs: list[dict[str, Any]], says: str, tmp_path: Path
) -> None:
    reply = post(added(tmp_path, MATRIX), inputs)
    assert reply.status == 400
    assert says in reply.json["error"]


def test_rows_may_name_a_matrixs_columns(tmp_path: Path) -> None:
    app = added(tmp_path, MATRIX)
    path = INFER.replace("/infer", "/predict")
    reply = call(app, "POST", path, json.dumps([{"x": row} for row in ROWS]).encode())
    assert [own["prediction"] for own in reply.json["predictions"]] == [3.0, -8.0]


def test_whole_numbers_from_a_frames_floats(tmp_path: Path) -> None:
    """A column of whole numbers with gaps is one of floats in pandas."""
    tensors = [Tensor(name=own, datatype="INT64", shape=(-1, 1)) for own in "ab"]
    app = added(tmp_path, tensors, "INT64")
    good = [given("a", [5.0]), given("b", [2.0])]
    assert post(app, good, parameters=FRAME).json["outputs"][0]["data"] == [3]
    for value in (2.5, 1e30, None):
        reply = post(app, [given("a", [value]), given("b", [2.0])], parameters=FRAME)
        assert reply.status == 400, value
