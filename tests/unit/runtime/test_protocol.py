"""What the runtime takes, what it gives, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from contracts.errors import ServingError
from laptop.serving.telemetry import parse_metrics
from serving.protocol import INFER
from serving.runtime.app import App
from serving.runtime.limits import Limits
from serving.runtime.model import Model
from serving.runtime.served import Served
from serving.runtime.store import fetch
from tests.serving_model import CARRIERS, INPUTS, write_artifact
from tests.unit.runtime.conftest import Reply, call

Infer = Callable[..., Reply]
BASE = "/v2/models/flight-delay"


def tensor(name: str, data: list[Any], datatype: str = "FP32", **changes: Any) -> dict[str, Any]:
    shape = [len(data), 1]
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **changes}


def request(rows: int = 2, **changes: Any) -> dict[str, Any]:
    inputs = [
        tensor("distance", [500.5] * rows),
        tensor("hour", [float(5 + row) for row in range(rows)]),
        tensor("carrier", ["B6"] * rows, "BYTES"),
    ]
    return {"id": "r1", "inputs": inputs, **changes}


ROW = st.tuples(
    st.none() | st.floats(0, 5000, width=32),
    st.floats(0, 24, width=32),
    st.none() | st.sampled_from(CARRIERS) | st.text(max_size=5),
)


@given(rows=st.lists(ROW, min_size=1, max_size=20), nested=st.booleans())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_answers_equal_onnx_runtimes_own(
    rows: list[Any], nested: bool, infer: Infer, artifact: Path
) -> None:
    columns = list(zip(*rows, strict=True))
    inputs = []
    for own, column in zip(INPUTS, columns, strict=True):
        data = [[value] for value in column] if nested else list(column)
        inputs.append(tensor(own.name, data, own.datatype))
    session = ort.InferenceSession(str(artifact / "model.onnx"))
    feeds = {
        "distance": np.array(columns[0], dtype=np.float32).reshape(-1, 1),
        "hour": np.array(columns[1], dtype=np.float32).reshape(-1, 1),
        "carrier": np.array([v or "" for v in columns[2]], dtype=object).reshape(-1, 1),
    }
    label, probabilities = session.run(None, feeds)
    reply = infer({"inputs": inputs})
    assert reply.status == 200, reply.json
    outputs = {output["name"]: output for output in reply.json["outputs"]}
    assert outputs["label"]["data"] == label.tolist()
    assert outputs["probabilities"]["shape"] == [len(rows), 2]
    assert outputs["probabilities"]["data"] == probabilities.ravel().tolist()


def test_names_itself_and_the_request(infer: Infer) -> None:
    reply = infer(request(), **{"x-request-id": "trace"})
    assert reply.json["id"] == "r1"
    assert (reply.json["model_name"], reply.json["model_version"]) == ("flight-delay", "7")
    assert reply.headers["x-millwright-version"] == "7"
    assert reply.headers["x-millwright-predictor"] == "v7"
    assert reply.headers["x-request-id"] == "trace"
    without = request()
    del without["id"]
    assert infer(without, **{"x-request-id": "trace"}).json["id"] == "trace"
    generated = infer(without)
    assert generated.headers["x-request-id"] == generated.json["id"]


def test_a_wholly_omitted_input_is_missing_in_every_row(infer: Infer) -> None:
    omitted = request()
    omitted["inputs"] = [omitted["inputs"][1]]
    null = request()
    null["inputs"][0]["data"] = [None, None]
    null["inputs"][2]["data"] = [None, None]
    assert infer(omitted).json["outputs"] == infer(null).json["outputs"]


def test_large_requests_are_answered_alike_in_the_thread(infer: Infer) -> None:
    large = infer(request(rows=1200))
    assert large.status == 200, large.json
    one = infer(request(rows=1)).json["outputs"][0]["data"]
    assert large.json["outputs"][0]["data"][:1] == one


def test_only_the_outputs_asked_for(infer: Infer) -> None:
    reply = infer(request(outputs=[{"name": "label"}]))
    assert [output["name"] for output in reply.json["outputs"]] == ["label"]


def change(index: int, **changes: Any) -> dict[str, Any]:
    changed = request()
    changed["inputs"][index].update(changes)
    return changed


def without(index: int, key: str) -> dict[str, Any]:
    changed = request()
    del changed["inputs"][index][key]
    return changed


REFUSED = {
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b'{"inputs": "\xff"}', "expected"),
    "no object": ([], "expected {"),
    "no inputs": ({}, "missing required field `inputs`"),
    "unknown input": (change(1, name="houre"), "did you mean 'hour'?"),
    "twice": ({"inputs": [request()["inputs"][1]] * 2}, "given twice"),
    "wrong datatype": (change(1, datatype="FP64"), "expected FP32"),
    "wrong rank": (change(1, shape=[2]), "expected [-1, 1]"),
    "no rows": (change(1, shape=[0, 1], data=[]), "at least 1"),
    "negative": (change(1, shape=[-1, 1]), "expected [-1, 1]"),
    "too little data": (change(1, data=[1.0]), "one for each element"),
    "ragged": (change(1, data=[[1.0], [1.0, 2.0]]), "not a list of numbers"),
    "too deep": (change(1, data=[[[1.0]], [[2.0]]]), "nested 3 deep"),
    "text for a number": (change(1, data=["a", "b"]), "got `str`"),
    "number for a text": (change(2, data=[1, 2]), "got `int`"),
    "truth for a number": (change(1, data=[True, False]), "got `bool`"),
    "null where none may be": (change(1, data=[1.0, None]), "not null"),
    "beyond FP32": (change(1, data=[1e39, 1.0]), "<= 3.4"),
    "other rows": (change(1, shape=[1, 1], data=[5.0]), "the same number"),
    "required left out": ({"inputs": [request()["inputs"][0]]}, "missing inputs: hour"),
    "no data": (without(1, "data"), "`data`"),
    "unknown output": (request(outputs=[{"name": "labels"}]), "did you mean 'label'?"),
    "long id": (request(id="x" * 2000), "at most 1024"),
    "id not text": (request(id=5), "Expected `str | null`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_what_was_expected(case: str, infer: Infer) -> None:
    value, sentence = REFUSED[case]
    reply = infer(value)
    assert reply.status == 400
    assert sentence in reply.json["error"]


def test_too_large_a_body_is_refused(infer: Infer) -> None:
    reply = infer(b" " * 100_001)
    assert reply.status == 413
    assert "larger than 100000 bytes" in reply.json["error"]


def test_overload_is_refused_at_once(model: Model) -> None:
    busy = App(Served(model), limits=Limits(active=0))
    reply = call(busy, "POST", f"{BASE}/infer", json.dumps(request()).encode())
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", BASE, 200),
        ("GET", f"{BASE}/versions/7", 200),
        ("GET", f"{BASE}/versions/7/ready", 200),
        ("GET", f"{BASE}/config", 200),
        ("GET", f"{BASE}/versions/7/stats", 200),
        ("GET", "/v2/models/stats", 200),
        ("POST", "/v2/repository/index", 200),
        ("GET", "/v2/repository/index", 405),
        ("POST", "/v2/repository/models/flight-delay/load", 403),
        ("POST", "/v2/repository/models/flight-delay/unload", 403),
        ("OPTIONS", f"{BASE}/infer", 204),
        ("GET", f"{BASE}/versions/8", 404),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", f"{BASE}/infer", 405),
        ("POST", BASE, 405),
        ("GET", "/nowhere", 404),
        ("OPTIONS", "/nowhere", 404),
    ],
)
def test_routes(method: str, path: str, status: int, app: App) -> None:
    assert call(app, method, path).status == status


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v2/", "write /v2"),
        (f"{BASE}/infer/", f"write {BASE}/infer"),
        (f"/{BASE}//INFER", f"write {BASE}/infer"),
        (f"{BASE}/versions/7/%69nfer", f"write {BASE}/versions/7/infer"),
        ("/v1/models/flight-delay:predict", 'RESTConfig(protocol="v2")'),
        ("/api/v1.0/predictions", f"post to {BASE}/infer"),
    ],
)
def test_what_is_meant_is_said(path: str, sentence: str, app: App) -> None:
    reply = call(app, "POST", path)
    assert reply.status == 404
    assert sentence in reply.json["error"]


def test_what_is_addressed_to_another_predictor_is_not_answered(app: App, infer: Infer) -> None:
    assert infer(request(), **{"x-millwright-predictor": "v7"}).status == 200
    reply = infer(request(), **{"x-millwright-predictor": "v8"})
    assert reply.status == 421
    assert "predictor 'v7'" in reply.json["error"]
    told = call(app, "POST", f"{BASE}/feedback", b"{}", {"x-millwright-predictor": "v8"})
    assert told.status == 421


def test_requests_that_name_a_version_are_counted_apart(app: App, infer: Infer) -> None:
    body = json.dumps(request()).encode()
    infer(request())
    infer(request(), **{"x-millwright-predictor": "v7"})
    call(app, "POST", f"{BASE}/versions/7/infer", body)
    seen = parse_metrics(app.served.counters.text().decode(), process="p", slow_over="50ms")
    assert (seen.counts["requests"], seen.counts["received"]) == (3, 1)


METHODS = ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY"]
PIECES = [
    "",
    "v2",
    "models",
    "flight-delay",
    "versions",
    "7",
    "8",
    "infer",
    "Infer",
    "%69nfer",
    "..",
]
PIECES += [
    "infer;a",
    "infer ",
    "metrics",
    "ready",
    "feedback",
    "*",
    "config",
    "%2F",
    "\xfc",
    "v%32",
]


@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=7)
    | st.permutations(["v2", "models", "flight-delay", "infer"])
    | st.lists(st.sampled_from(["", "/", "infer"]), max_size=3).map(
        lambda more: ["v2", "models", "flight-delay", "infer", *more]
    ),
    method=st.sampled_from(METHODS),
    override=st.sampled_from(["x-http-method-override", "x-method-override", "x-original-url"]),
)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_inference_is_what_the_definition_says_and_nothing_else(
    pieces: list[str], method: str, override: str, model: Model
) -> None:
    app = App(Served(model, predictor="v7"))
    path = "/" + "/".join(pieces)
    reply = call(app, method, path, json.dumps(request()).encode(), {override: f"{BASE}/infer"})
    ours = {INFER.of("flight-delay"), INFER.of_version("flight-delay", "7")}
    is_one = path in ours and method == "POST"
    assert sum(app.served.counters.requests.values()) == is_one
    assert b'"outputs":[{"name":"label","shape":[2]' not in reply.body or is_one
    assert is_one or reply.status in (200, 204, 404, 405, 400, 403)


def test_draining_is_not_ready_but_still_answers(app: App) -> None:
    app.draining = True
    assert call(app, "GET", "/v2/health/ready").status == 503
    assert call(app, "GET", "/v2/health/live").status == 200
    reply = call(app, "POST", f"{BASE}/infer", json.dumps(request()).encode())
    assert reply.status == 200
    assert reply.headers["connection"] == "close"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
RUBBISH_INPUT = st.fixed_dictionaries(
    {"name": st.sampled_from(["hour", "distance", "carrier", "x"]) | JSON},
    optional={
        "shape": st.lists(st.integers(-2, 3) | st.just(2**70), max_size=3) | JSON,
        "datatype": st.sampled_from(["FP32", "BYTES", "INT64", "fp32"]) | JSON,
        "data": st.lists(
            st.floats() | st.text() | st.none() | st.lists(st.floats() | st.integers(), max_size=2),
            max_size=3,
        )
        | JSON,
    },
)
RUBBISH = (
    st.binary(max_size=40)
    | JSON
    | st.fixed_dictionaries(
        {"inputs": st.lists(RUBBISH_INPUT, max_size=3)},
        optional={"id": JSON, "outputs": JSON, "parameters": JSON},
    )
)


@given(value=RUBBISH)
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rubbish_is_never_the_servers_failure(value: object, infer: Infer) -> None:
    reply = infer(value)
    assert reply.status in (200, 400), reply.json
    if reply.status == 400:
        assert len(reply.json["error"]) > 10


# -- feedback and counters -----------------------------------------------------------------------


def feedback(app: App, value: object) -> Reply:
    return call(app, "POST", f"{BASE}/feedback", json.dumps(value).encode())


def test_feedback_is_held_against_the_prediction(app: App, infer: Infer) -> None:
    label = infer(request(rows=3)).json["outputs"][0]["data"]
    outcome = [bool(label[0]), not label[1], None]
    assert feedback(app, {"id": "r1", "outcome": outcome}).json == {
        "id": "r1",
        "model_version": "7",
        "right": 1,
        "wrong": 1,
        "repeated": 0,
    }
    again = feedback(app, {"id": "r1", "outcome": [*outcome[:2], label[2]]}).json
    assert (again["right"], again["wrong"], again["repeated"]) == (1, 0, 2)
    assert app.served.counters.feedback == {"right": 2, "wrong": 1}


@pytest.mark.parametrize(
    ("value", "status", "sentence"),
    [
        ({"id": "other", "outcome": [1, 1]}, 404, "knows no request 'other'"),
        ({"id": "r1", "outcome": [1]}, 400, "one for each row"),
        ({"id": "r1", "outcome": ["late", 1]}, 400, "not a class"),
        ({"outcome": [1]}, 400, "`id`"),
    ],
)
def test_feedback_that_fits_no_prediction(
    value: object, status: int, sentence: str, app: App, infer: Infer
) -> None:
    infer(request())
    reply = feedback(app, value)
    assert reply.status == status
    assert sentence in reply.json["error"]
    assert app.served.counters.feedback == {"right": 0, "wrong": 0}


def test_metrics_are_prometheus_text(app: App, infer: Infer) -> None:
    infer(request(rows=3))
    infer(b"{")
    text = call(app, "GET", "/metrics").body.decode()
    samples = {
        (sample.name, sample.labels.get("code") or sample.labels.get("le")): sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["millwright_requests_total", "200"].value == 1
    assert samples["millwright_requests_total", "400"].value == 1
    assert samples["millwright_request_seconds_bucket", "0.05"].value <= 2
    assert samples["millwright_predictions_bucket", "1"].value == 3
    labels = samples["millwright_requests_total", "200"].labels
    assert (labels["model"], labels["version"], labels["predictor"]) == ("flight-delay", "7", "v7")


# -- artifacts -----------------------------------------------------------------------------------


def test_a_changed_model_is_not_served(artifact: Path, tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "changed", (artifact / "model.onnx").read_bytes())
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ServingError, match="digest"):
        fetch(str(folder))


def test_a_signature_that_is_not_the_models_is_refused(artifact: Path, tmp_path: Path) -> None:
    content = (artifact / "model.onnx").read_bytes()
    folder = write_artifact(tmp_path / "other", content, inputs=INPUTS[:2])
    with pytest.raises(ServingError, match="input 'carrier' is missing in the document"):
        Model("flight-delay", *fetch(str(folder)))


@pytest.mark.parametrize("uri", ["/nowhere", "http://x/y"])
def test_an_artifact_that_cannot_be_read(uri: str) -> None:
    with pytest.raises(ServingError):
        fetch(uri)
