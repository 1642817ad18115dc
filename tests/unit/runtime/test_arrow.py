"""Rows as Arrow: the same predictions, and no harm by what is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from contracts.artifact import Tensor
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.served import Served
from serving.runtime.store import fetch
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import Reply, call

PREDICT = "/v2/models/flight-delay/predict"
KIND = "application/vnd.apache.arrow.stream"


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    chosen = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, table.schema, options=chosen) as writer:
        writer.write_table(table, max_chunksize=2)
    return bytes(sink.getvalue())


def post(app: App, body: bytes, **headers: str) -> Reply:
    return call(app, "POST", PREDICT, body, {"content-type": KIND, **headers})


ROWS: list[dict[str, Any]] = [
    {"hour": 17, "carrier": "AA", "distance": 300.5},
    {"hour": 6, "carrier": None, "distance": None},
    {"hour": 21, "carrier": "B6", "distance": 10.0},
]


def by_json(app: App, rows: list[dict[str, Any]] = ROWS) -> list[dict[str, Any]]:
    reply = call(app, "POST", PREDICT, json.dumps(rows).encode())
    assert reply.status == 200
    return list(reply.json["predictions"])


def table(carrier: pa.DataType, hour: pa.DataType, rows: list[dict[str, Any]] = ROWS) -> pa.Table:
    return pa.table(
        {
            "hour": pa.array([row["hour"] for row in rows], hour),
            "carrier": pa.array([row["carrier"] for row in rows], pa.string()).cast(carrier),
            "distance": pa.array([row["distance"] for row in rows], pa.float64()),
        }
    )


@pytest.mark.parametrize(
    "carrier", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
@pytest.mark.parametrize("hour", [pa.int64(), pa.uint8(), pa.float32(), pa.float16()], ids=str)
def test_a_stream_is_predicted_as_its_rows_are(
    carrier: pa.DataType, hour: pa.DataType, app: App
) -> None:
    body = stream(table(carrier, hour))
    assert post(app, body).json["predictions"] == by_json(app)
    reply = post(app, body, accept=f"{KIND}, application/json")
    assert reply.headers["content-type"] == KIND
    answer = pa.ipc.open_stream(reply.body).read_all()
    assert answer.to_pylist() == by_json(app)
    said = {key.decode(): value.decode() for key, value in answer.schema.metadata.items()}
    assert (said["model_name"], said["model_version"]) == ("flight-delay", "7")
    assert said["id"] == reply.headers["x-request-id"]


def test_a_gap_in_a_full_dictionary_is_missing(app: App) -> None:
    """The number that stands for nothing is none of the dictionary's own type."""
    names = [f"c{number}" for number in range(127)]
    texts = pa.array([*names, None]).cast(pa.dictionary(pa.int8(), pa.string()))
    reply = post(app, stream(pa.table({"hour": [7.0] * 128, "carrier": texts})))
    assert reply.status == 200, reply.body
    missing = by_json(app, [{"hour": 7.0, "carrier": None}])
    assert reply.json["predictions"][127:] == missing


def test_many_rows_are_answered_in_the_thread(app: App) -> None:
    rows = ROWS * 1000
    sink = pa.BufferOutputStream()
    whole = table(pa.string(), pa.float32(), rows)
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    body = bytes(sink.getvalue())
    assert len(body) > 20_000
    reply = post(app, body, accept=KIND)
    assert reply.status == 200, reply.body
    assert pa.ipc.open_stream(reply.body).read_all().to_pylist() == by_json(app) * 1000
    assert app.served.counters.rows == 3003


def test_json_rows_may_be_answered_as_arrow(app: App) -> None:
    reply = call(app, "POST", PREDICT, json.dumps(ROWS[0]).encode(), {"accept": KIND})
    assert pa.ipc.open_stream(reply.body).read_all().to_pylist() == by_json(app)[:1]


def test_what_is_odd_stands_in_the_schema(app: App) -> None:
    body = stream(pa.table({"hour": [17.0]}))
    reply = post(app, body, accept=KIND)
    said = pa.ipc.open_stream(reply.body).schema.metadata
    assert json.loads(said[b"missing"]) == ["distance", "carrier"]
    assert post(app, body).json["missing"] == ["distance", "carrier"]


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no stream of Arrow"),
    "JSON": (b'[{"hour": 1}]', "no stream of Arrow"),
    "no rows": (stream(pa.table({"hour": pa.array([], pa.float32())})), "0 rows"),
    "a misspelt name": (stream(pa.table({"hour": [1.0], "carier": ["AA"]})), "'carrier'"),
    "a missing input": (stream(pa.table({"carrier": ["AA"]})), "missing inputs: hour"),
    "a null where none may be": (stream(pa.table({"hour": [1.0, None]})), "hour"),
    "a text for a number": (stream(pa.table({"hour": ["1"]})), "expected FP32"),
    "a number for a text": (stream(pa.table({"hour": [1.0], "carrier": [1]})), "expected BYTES"),
    "a time": (stream(pa.table({"hour": pa.array([1], pa.timestamp("s"))})), "cast it"),
    "nulls alone": (stream(pa.table({"hour": pa.nulls(3)})), "cast it"),
    "a number that would be another": (stream(pa.table({"hour": [2**24 + 1]})), "exactly"),
    "an infinite number": (stream(pa.table({"hour": [float("inf")]})), "infinite"),
    "compressed": (
        stream(pa.table({"hour": [1.0] * 9}), compression="zstd"),
        "buffers are compressed",
    ),
    "a gap beside what no float holds": (
        stream(pa.table({"hour": pa.array([2**60 + 1, None])})),
        "no stream of Arrow",
    ),
    "a list": (stream(pa.table({"hour": [[1.0], [2.0]]})), "cast it"),
    "categories of numbers": (
        stream(pa.table({"hour": pa.array([1, 2]).dictionary_encode()})),
        "expected texts",
    ),
}


@pytest.mark.parametrize(("body", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_batch_is_refused(body: bytes, says: str, app: App) -> None:
    reply = post(app, body)
    assert reply.status == 400, reply.body
    assert says in reply.json["error"]


def test_a_small_stream_of_many_rows_is_refused(app: App) -> None:
    """Nulls have no buffers, so their number is whatever the sender says."""
    schema = pa.schema([("hour", pa.null())])
    sink = pa.BufferOutputStream()
    large = pa.ipc.IpcWriteOptions(allow_64bit=True)
    with pa.ipc.new_stream(sink, schema, options=large) as writer:
        nulls = pa.Array.from_buffers(pa.null(), 10**12, [None])
        writer.write_batch(pa.record_batch([nulls], schema=schema))
    reply = post(app, bytes(sink.getvalue()))
    assert reply.status == 400
    assert "1000000000000 rows in" in reply.json["error"]


@given(data=st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_stream_is_never_the_servers_failure(data: st.DataObject, app: App) -> None:
    good = stream(table(pa.dictionary(pa.int8(), pa.string()), pa.int64()))
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    reply = post(app, bytes(body[: data.draw(st.integers(0, len(body)))]))
    assert reply.status in (200, 400), reply.body


def test_a_name_that_is_no_text_is_the_clients(app: App) -> None:
    good = stream(table(pa.dictionary(pa.int8(), pa.string()), pa.int64()))
    assert good.count(b"distance")
    reply = post(app, good.replace(b"distance", b"dist\xb4nce"))
    assert reply.status == 400
    assert "no stream of Arrow" in reply.json["error"]


def test_without_pyarrow_that_is_said(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    body = stream(pa.table({"hour": [1.0]}))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for reply in (
        post(app, body),
        call(app, "POST", PREDICT, b'{"hour": 1}', {"accept": KIND}),
    ):
        assert reply.status == 415
        assert "add pyarrow" in reply.json["error"]
    assert call(app, "POST", PREDICT, b'{"hour": 1}').status == 200


def number_model(folder: Path, shape: tuple[int, ...], operator: str) -> App:
    ends = [helper.make_tensor_value_info(own, TensorProto.FLOAT, [None, 2]) for own in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", ends[:1], ends[1:])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    tensors = [Tensor(name=own, datatype="FP32", shape=shape) for own in "xy"]
    artifact = write_artifact(
        folder,
        content.SerializeToString(),
        task="regression",
        inputs=tensors[:1],
        outputs=tensors[1:],
    )
    return App(Served(Model("flight-delay", *fetch(str(artifact)))))


def test_a_list_of_a_fixed_size_is_a_matrix(tmp_path: Path) -> None:
    app = number_model(tmp_path, (-1, 2), "Identity")
    rows = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6.0)), 2)
    whole = post(app, stream(pa.table({"x": rows})))
    assert whole.status == 200, whole.body
    parts = post(app, stream(pa.table({"x[1]": [1.0, 3.0, 5.0], "x[0]": [0.0, 2.0, 4.0]})))
    assert whole.json["predictions"] == parts.json["predictions"]
    missing = pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2))
    assert post(app, stream(pa.table({"x": missing}))).status == 400
    assert post(app, stream(pa.table({"z": rows}))).status == 400


def test_an_answer_that_is_no_number_is_the_servers_failure(tmp_path: Path) -> None:
    app = number_model(tmp_path, (-1, 2), "Log")
    rows = pa.FixedSizeListArray.from_arrays(pa.array([1.0, -1.0]), 2)
    reply = post(app, stream(pa.table({"x": rows})), accept=KIND)
    assert reply.status == 500
    assert "not a number" in json.loads(reply.body)["error"]
