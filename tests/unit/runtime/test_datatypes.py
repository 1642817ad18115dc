"""Numbers of every size, and what is none: one rule for JSON and for bytes, both ways."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from contracts.artifact import Datatype, Tensor
from contracts.errors import ServingError
from serving.runtime import bfloat16
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.served import Served
from serving.runtime.store import fetch
from serving.runtime.widening import widens
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import Reply, call

INFER = "/v2/models/flight-delay/infer"
KINDS = {
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT8": TensorProto.INT8,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
}


def served(folder: Path, datatype: Datatype, *, operator: str = "Identity") -> App:
    """A model that gives y of x, both of that datatype."""
    ends = [helper.make_tensor_value_info(own, KINDS[datatype], [None, 1]) for own in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", ends[:1], ends[1:])
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()
    optional = datatype in ("FP16", "BF16", "FP32", "FP64")
    artifact = write_artifact(
        folder,
        content,
        task="regression",
        inputs=[Tensor(name="x", datatype=datatype, shape=(-1, 1), optional=optional)],
        outputs=[Tensor(name="y", datatype=datatype, shape=(-1, 1))],
    )
    return App(Served(Model("flight-delay", *fetch(str(artifact)))))


def ask(app: App, datatype: str, values: Any, raw: bytes | None = None, **request: Any) -> Reply:
    given: dict[str, Any] = {"name": "x", "shape": [len(values), 1], "datatype": datatype}
    if raw is None:
        text = json.dumps({"inputs": [given | {"data": values}], **request}).encode()
        return call(app, "POST", INFER, text)
    given["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"inputs": [given], **request}).encode()
    return call(app, "POST", INFER, text + raw, {"inference-header-content-length": str(len(text))})


def answered(reply: Reply) -> list[float]:
    assert reply.status == 200, reply.body
    return list(reply.json["outputs"][0]["data"])


def half(values: Any) -> bytes:
    return np.array(values, "<f2").tobytes()


def brain(values: Any) -> bytes:
    """Each number's upper two bytes, which are exact for those of these tests."""
    return b"".join(struct.pack("<f", value)[2:] for value in values)


BYTES: dict[str, Callable[[Any], bytes]] = {
    "FP16": half,
    "BF16": brain,
    "FP32": lambda values: np.array(values, "<f4").tobytes(),
    "FP64": lambda values: np.array(values, "<f8").tobytes(),
}


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_numbers_of_16_bits_come_and_go_as_json_and_as_bytes(
    datatype: Datatype, tmp_path: Path
) -> None:
    app, values = served(tmp_path, datatype), [1.5, -0.25, 96.0]
    raw = BYTES[datatype](values)
    assert answered(ask(app, datatype, values)) == values
    assert answered(ask(app, datatype, values, raw)) == values
    wish: dict[str, Any] = {"parameters": {"binary_data_output": True}}
    for reply in (ask(app, datatype, values, **wish), ask(app, datatype, values, raw, **wish)):
        size = int(reply.headers["inference-header-content-length"])
        (output,) = json.loads(reply.body[:size])["outputs"]
        assert (output["datatype"], output["shape"]) == (datatype, [3, 1])
        assert reply.body[size:] == raw


def test_a_number_between_two_is_the_nearest(tmp_path: Path) -> None:
    assert answered(ask(served(tmp_path / "a", "FP16"), "FP16", [0.1])) == [float(np.float16(0.1))]
    assert answered(ask(served(tmp_path / "b", "BF16"), "BF16", [0.1])) == [0.10009765625]


@pytest.mark.parametrize(("datatype", "most"), [("FP16", 65504.0), ("BF16", bfloat16.MAX)])
def test_a_number_beyond_the_largest_is_refused(
    datatype: Datatype, most: float, tmp_path: Path
) -> None:
    app = served(tmp_path, datatype)
    assert answered(ask(app, datatype, [most, -most])) == [most, -most]
    assert ask(app, datatype, [most * 1.1]).status == 400


@given(bits=st.integers(0, 2**16 - 1), below=st.integers(0, 2**16 - 1))
def test_rounding_to_bfloat16_is_to_the_nearest(bits: int, below: int) -> None:
    number = np.array([bits << 16 | below], np.uint32).view(np.float32)
    result = bfloat16.rounded(number)
    if math.isnan(number[0]):
        assert math.isnan(result[0])
        return
    edges = np.array([bits << 16, (bits + 1) << 16], np.uint64).astype(np.uint32).view(np.float32)
    if np.isfinite(edges).all():
        distances = np.abs(edges.astype(float) - float(number[0]))
        nearest = edges[np.flatnonzero(distances == distances.min())]
        even = [edge for edge in nearest if not int(edge.view(np.uint32)) >> 16 & 1]
        assert result[0] == (even or list(nearest))[0]


LOSSLESS = {
    ("FP16", "FP32"): [0.5, 65504.0],
    ("BF16", "FP32"): [0.5, 2.0**100],
    ("FP16", "FP64"): [0.5],
    ("FP32", "FP64"): [0.5, 2.0**100],
    ("INT8", "FP16"): [-128, 127],
    ("UINT8", "FP32"): [0, 255],
    ("UINT8", "INT64"): [0, 255],
}


@pytest.mark.parametrize(("sent", "own"), LOSSLESS)
def test_a_smaller_datatype_is_widened(sent: str, own: Datatype, tmp_path: Path) -> None:
    values = LOSSLESS[sent, own]
    assert answered(ask(served(tmp_path, own), sent, values)) == values


def test_a_missing_number_stays_missing_when_it_is_widened(tmp_path: Path) -> None:
    app = served(tmp_path, "FP32")
    raw = half([np.nan, 1.0])
    for reply in (ask(app, "FP16", [None, 1.0]), ask(app, "FP16", [0, 0], raw)):
        assert reply.status == 500, "the model gives back what is missing, which is no answer"
    assert ask(app, "INT8", [None]).status == 400
    assert "datatype 'FP64'; expected FP32" in ask(app, "FP64", [1.0]).json["error"]


def test_what_widens_is_what_loses_nothing() -> None:
    """Held against numpy's own numbers, at the ends of what each datatype has."""
    names = [name for name in get_args(Datatype) if name not in ("BOOL", "BYTES", "BF16")]
    types = {
        name: np.dtype(name.lower().replace("fp", "float") if name[0] == "F" else name.lower())
        for name in names
    }
    for sent, own in product(names, names):
        if sent == own:
            continue
        small, large = types[sent], types[own]
        if small.kind == "f":
            kept = large.kind == "f" and large.itemsize > small.itemsize
        elif large.kind == "f":
            # Between two powers of two a float holds so many whole numbers, and no more.
            kept = np.iinfo(small).max <= 2 ** (np.finfo(large).nmant + 1)
        else:
            low, high = np.iinfo(small).min, np.iinfo(small).max
            kept = np.iinfo(large).min <= low and high <= np.iinfo(large).max
        assert widens(sent, own) == kept, (sent, own)
    assert not widens("BOOL", "INT8")
    assert not widens("FP16", "BF16")
    assert not widens("INT16", "BF16")
    assert not widens("rubbish", "FP64")


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("path", [INFER, INFER.replace("/infer", "/predict")])
def test_json_has_no_nan_and_says_what_to_send(token: bytes, path: str, tmp_path: Path) -> None:
    app = served(tmp_path, "FP32")
    infer = b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[%b]}]}' % token
    reply = call(app, "POST", path, infer if path == INFER else b'{"x": %b}' % token)
    assert reply.status == 400
    assert "neither NaN nor Infinity; send null where a value is missing" in reply.json["error"]


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_bytes_may_have_nan_for_missing_and_nothing_infinite(
    datatype: Datatype, tmp_path: Path
) -> None:
    app = served(tmp_path, datatype)
    encode = BYTES[datatype]
    for value in (math.inf, -math.inf):
        refused = ask(app, datatype, [0], encode([value]))
        assert refused.status == 400
        assert "infinite" in refused.json["error"]
    reply = ask(app, datatype, [0], encode([math.nan]))
    assert reply.status == 500, "it was taken, and the model's answer is what is not a number"
    assert "'y' holds a value that is not a number" in reply.json["error"]


@pytest.mark.parametrize("value", [0.0, -1.0])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("path", [INFER, INFER.replace("/infer", "/predict")])
def test_an_answer_that_is_no_finite_number_is_never_given(
    value: float, binary: bool, path: str, tmp_path: Path
) -> None:
    """The logarithm of 0 is infinite, of -1 none: in JSON, as bytes, among rows."""
    app = served(tmp_path, "FP32", operator="Log")
    if path == INFER:
        reply = ask(app, "FP32", [1.0, value], parameters={"binary_data_output": binary})
    else:
        reply = call(app, "POST", path, json.dumps([{"x": 1.0}, {"x": value}]).encode())
    assert reply.status == 500
    assert "not a number" in json.loads(reply.body)["error"]
    assert app.served.counters.requests[500] == 1, "the judge counts it against the version"


def test_a_document_that_says_bf16_of_another_model_is_refused(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(own, TensorProto.FLOAT, [None, 1]) for own in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    tensors = [Tensor(name=own, datatype="BF16", shape=(-1, 1)) for own in "xy"]
    folder = write_artifact(
        tmp_path,
        content.SerializeToString(),
        task="regression",
        inputs=tensors[:1],
        outputs=tensors[1:],
    )
    with pytest.raises(ServingError, match="'x' is BF16 in the document and not in the model"):
        Model("flight-delay", *fetch(str(folder)))


def test_a_widened_models_output_may_be_read_inside_it() -> None:
    """A graph in which an output is also another node's input."""
    ends = [helper.make_tensor_value_info(own, TensorProto.BFLOAT16, [None, 1]) for own in "xyz"]
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["y"], ["z"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    changed = onnx.load_from_string(bfloat16.widened(model.SerializeToString(), "xyz"))
    onnx.checker.check_model(changed, full_check=True)
