"""Every endpoint and field of the Open Inference Protocol over REST; docs/protocol.md has them as a
table, in which each row is the name of a check here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.version import VERSION
from serving import protocol
from serving.runtime.app import App
from tests.serving_model import INPUTS, OUTPUTS
from tests.unit.runtime.conftest import Reply, call

PAGE = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"
MODEL, VERSION_SERVED = "flight-delay", "7"
BASE = f"/v2/models/{MODEL}"
SIZE = "inference-header-content-length"
Check = Callable[[App], None]


def get(app: App, path: str) -> Any:
    reply = call(app, "GET", path)
    assert reply.status == 200, reply.body
    return reply.json


def row(**changes: Any) -> dict[str, Any]:
    return {"name": "hour", "shape": [1, 1], "datatype": "FP32", "data": [7.0], **changes}


def infer(app: App, *inputs: dict[str, Any], raw: bytes = b"", **request: Any) -> Reply:
    body = json.dumps({"inputs": list(inputs or (row(),)), **request}).encode()
    headers = {SIZE: str(len(body))} if raw else {}
    return call(app, "POST", f"{BASE}/infer", body + raw, headers)


def answered(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    size = int(reply.headers.get(SIZE, len(reply.body)))
    said: dict[str, Any] = json.loads(reply.body[:size])
    return said


def refused(reply: Reply, says: str, status: int = 400) -> None:
    assert reply.status == status, reply.body
    assert set(reply.json) == {"error"}
    assert says in reply.json["error"]


def is_true(value: object) -> None:
    assert value


def posted(app: App, path: str, value: Any) -> Any:
    reply = call(app, "POST", path, json.dumps(value).encode())
    assert reply.status == 200, reply.body
    return reply.json


def health(path: str, field: str) -> Check:
    """True while it serves, and false, with 503, from when it ends."""

    def check(app: App) -> None:
        assert get(app, path)[field] is True
        app.draining = True
        reply = call(app, "GET", path)
        assert (reply.status, reply.json[field]) == (503, False)
        app.draining = False

    return check


def alive(app: App) -> None:
    app.draining = True
    assert get(app, "/v2/health/live") == {"live": True}
    app.draining = False


def versioned(route: protocol.Route) -> Check:
    """At a version's own path, and nowhere at another's."""

    def check(app: App) -> None:
        path = route.of_version(MODEL, VERSION_SERVED)
        assert call(app, route.method, path).status != 404
        other = call(app, route.method, route.of_version(MODEL, "8"))
        assert other.status == 404
        assert "version '8' is not served here" in other.json["error"]

    return check


def taken(route: protocol.Route) -> Check:
    """At its path, by its method and no other."""

    def check(app: App) -> None:
        path = route.of(MODEL)
        assert call(app, route.method, path).status not in (404, 405)
        other = call(app, "POST" if route.method == "GET" else "GET", path)
        assert other.status == 405
        assert route.method in other.headers["allow"]
        assert call(app, "OPTIONS", path).status == 204
        assert call(app, route.method, f"{path}/").status == 404

    return check


def tensors(side: str, field: str) -> Check:
    def check(app: App) -> None:
        declared = INPUTS if side == "inputs" else OUTPUTS
        expected = [json.loads(own.model_dump_json())[field] for own in declared]
        assert [own[field] for own in get(app, BASE)[side]] == expected

    return check


def outputs(reply: Reply) -> dict[str, Any]:
    return {own["name"]: own for own in answered(reply)["outputs"]}


def request_id(app: App) -> None:
    assert answered(infer(app, id="mine"))["id"] == "mine"
    refused(infer(app, id=3), "Expected `str | null`")
    made = infer(app)
    assert answered(made)["id"] == made.headers["x-request-id"]


def request_parameters(app: App) -> None:
    """Those that are not known are passed over, as the protocol has it."""
    assert answered(infer(app, parameters={"mine": 1}))["outputs"]
    refused(infer(app, parameters=[]), "not an inference request")


def requested_outputs(app: App) -> None:
    for names in (["probabilities"], ["probabilities", "label"]):
        reply = infer(app, outputs=[{"name": name} for name in names])
        assert list(outputs(reply)) == names
    assert list(outputs(infer(app))) == ["label", "probabilities"]


def response_data(app: App) -> None:
    own = outputs(infer(app))["probabilities"]
    assert len(own["data"]) == 2
    assert sum(own["data"]) == pytest.approx(1.0, abs=1e-6)


def data_forms(app: App) -> None:
    flat = infer(app, row(shape=[2, 1], data=[7, 8]))
    nested = infer(app, row(shape=[2, 1], data=[[7], [8]]))
    assert outputs(flat) == outputs(nested)
    refused(infer(app, row(data=[])), "one for each element")


def output_binary(request: dict[str, Any]) -> Check:
    def check(app: App) -> None:
        expected = outputs(infer(app))["probabilities"]["data"]
        reply = infer(app, **request)
        own = outputs(reply)["probabilities"]
        assert own["parameters"] == {"binary_data_size": 8}
        assert "data" not in own
        raw = reply.body[int(reply.headers[SIZE]) :]
        assert np.frombuffer(raw[-8:], "<f4").tolist() == expected
        wrong = json.loads(json.dumps(request).replace("true", '"yes"'))
        refused(infer(app, **wrong), "expected true or false")

    return check


def input_binary(app: App) -> None:
    raw = np.array([7.0], "<f4").tobytes()
    own = {key: value for key, value in row().items() if key != "data"}
    given = own | {"parameters": {"binary_data_size": 4}}
    assert outputs(infer(app, given, raw=raw)) == outputs(infer(app))
    refused(infer(app, given, raw=raw + b"x"), "belong to no input")
    refused(infer(app, given, raw=raw[:3]), "only 3 bytes are left")


def input_size_header(app: App) -> None:
    body = json.dumps({"inputs": [row()]}).encode()
    for size in ("x", str(len(body) + 1)):
        refused(call(app, "POST", f"{BASE}/infer", body, {SIZE: size}), "how many of the body's")


def index_entry(field: str, value: str) -> Check:
    def check(app: App) -> None:
        (own,) = posted(app, "/v2/repository/index", {})
        assert own[field] == value

    return check


def index_ready(app: App) -> None:
    assert len(posted(app, "/v2/repository/index", {"ready": True})) == 1
    app.draining = True
    assert posted(app, "/v2/repository/index", {"ready": True}) == []
    (own,) = posted(app, "/v2/repository/index", {})
    assert (own["state"], own["reason"]) == ("UNAVAILABLE", "the server is ending")
    app.draining = False


def steering(app: App) -> None:
    for verb in ("load", "unload"):
        path = f"/v2/repository/models/{MODEL}/{verb}"
        refused(call(app, "POST", path, b"{}"), "a rollout's to decide", 403)


def statistics(field: str) -> Check:
    def check(app: App) -> None:
        (before,) = get(app, f"{BASE}/stats")["model_stats"]
        infer(app, row(shape=[2, 1], data=[7, 8]))
        (own,) = get(app, f"{BASE}/stats")["model_stats"]
        if field in ("name", "version"):
            assert own[field] == {"name": MODEL, "version": VERSION_SERVED}[field]
        elif field == "last_inference":
            assert own[field] >= before[field]
            assert own[field] > 0
        elif field == "inference_stats":
            grown = own[field]["success"]["count"] - before[field]["success"]["count"]
            assert grown == 1
        elif field == "batch_stats":
            assert own[field] == []
        else:
            assert own[field] - before[field] == {"inference_count": 2, "execution_count": 1}[field]

    return check


def configured(app: App) -> None:
    said = get(app, f"{BASE}/config")
    assert [own["data_type"] for own in said["input"]] == ["TYPE_FP32", "TYPE_FP32", "TYPE_STRING"]
    assert [own["name"] for own in said["output"]] == ["label", "probabilities"]


ENDPOINTS: dict[str, Check] = {
    **{f"{route.method} {route.of('M')}": taken(route) for route in protocol.ROUTES},
    **{
        f"{route.method} {route.of_version('M', 'V')}": versioned(route)
        for route in protocol.ROUTES
        if route.versioned
    },
}
"""A check for each path and its method; M is a model, V a version."""

FIELDS: dict[str, Check] = {
    "server live: live": alive,
    "server ready: ready": health("/v2/health/ready", "ready"),
    "model ready: name": lambda app: is_true(get(app, f"{BASE}/ready")["name"] == MODEL),
    "model ready: ready": health(f"{BASE}/ready", "ready"),
    "server metadata: name": lambda app: is_true(get(app, "/v2")["name"] == "millwright"),
    "server metadata: version": lambda app: is_true(get(app, "/v2")["version"] == VERSION),
    "server metadata: extensions": lambda app: is_true(
        "binary_tensor_data" in get(app, "/v2")["extensions"]
    ),
    "model metadata: name": lambda app: is_true(get(app, BASE)["name"] == MODEL),
    "model metadata: versions": lambda app: is_true(get(app, BASE)["versions"] == ["7"]),
    "model metadata: platform": lambda app: is_true(get(app, BASE)["platform"] == "onnx_onnxv1"),
    **{
        f"model metadata: {side}.{field}": tensors(side, field)
        for side in ("inputs", "outputs")
        for field in ("name", "datatype", "shape")
    },
    "infer request: id": request_id,
    "infer request: parameters": request_parameters,
    "infer request: inputs": lambda app: refused(
        call(app, "POST", f"{BASE}/infer", b"{}"), "missing required field `inputs`"
    ),
    "infer request: inputs.name": lambda app: refused(
        infer(app, row(name="hours")), "did you mean 'hour'?"
    ),
    "infer request: inputs.shape": lambda app: refused(
        infer(app, row(shape=[1])), "has shape [1]; expected [-1, 1]"
    ),
    "infer request: inputs.datatype": lambda app: refused(
        infer(app, row(datatype="FP64")), "expected FP32"
    ),
    "infer request: inputs.parameters": lambda app: refused(
        infer(app, row(parameters={"shared_memory_region": "x"})), "shared memory is not spoken"
    ),
    "infer request: inputs.data": data_forms,
    "infer request: outputs": requested_outputs,
    "infer request: outputs.name": lambda app: refused(
        infer(app, outputs=[{"name": "labels"}]), "did you mean 'label'?"
    ),
    "infer request: outputs.parameters": lambda app: refused(
        infer(app, outputs=[{"name": "label", "parameters": {"classification": 2}}]),
        "the classification extension is not spoken here",
    ),
    "infer response: model_name": lambda app: is_true(answered(infer(app))["model_name"] == MODEL),
    "infer response: model_version": lambda app: is_true(
        answered(infer(app))["model_version"] == VERSION_SERVED
    ),
    "infer response: id": request_id,
    "infer response: parameters": lambda app: is_true(
        answered(infer(app))["parameters"] == {"missing": "distance,carrier"}
    ),
    "infer response: outputs.name": requested_outputs,
    "infer response: outputs.shape": lambda app: is_true(
        [own["shape"] for own in outputs(infer(app)).values()] == [[1], [1, 2]]
    ),
    "infer response: outputs.datatype": lambda app: is_true(
        [own["datatype"] for own in outputs(infer(app)).values()] == ["INT64", "FP32"]
    ),
    "infer response: outputs.parameters": output_binary(
        {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    ),
    "infer response: outputs.data": response_data,
    "any refusal: error": lambda app: refused(
        call(app, "POST", f"{BASE}/infer", b"{"), "the body is not JSON"
    ),
    "binary request: Inference-Header-Content-Length": input_size_header,
    "binary request: inputs.parameters.binary_data_size": input_binary,
    "binary request: parameters.binary_data_output": output_binary(
        {"parameters": {"binary_data_output": True}}
    ),
    "binary request: outputs.parameters.binary_data": output_binary(
        {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    ),
    "binary response: Inference-Header-Content-Length": output_binary(
        {"parameters": {"binary_data_output": True}}
    ),
    "binary response: outputs.parameters.binary_data_size": output_binary(
        {"parameters": {"binary_data_output": True}}
    ),
    "index request: ready": index_ready,
    "index response: name": index_entry("name", MODEL),
    "index response: version": index_entry("version", VERSION_SERVED),
    "index response: state": index_entry("state", "READY"),
    "index response: reason": index_entry("reason", ""),
    "load and unload request: parameters": steering,
    "configuration response": configured,
    **{
        f"statistics response: model_stats.{field}": statistics(field)
        for field in (
            *("name", "version", "last_inference", "inference_count", "execution_count"),
            *("inference_stats", "batch_stats"),
        )
    },
}
"""A check for each field, in the protocol's words; of the extensions that are spoken too."""


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_endpoint(endpoint: str, app: App) -> None:
    ENDPOINTS[endpoint](app)


@pytest.mark.parametrize("field", FIELDS)
def test_each_field(field: str, app: App) -> None:
    FIELDS[field](app)


def rows_of(heading: str) -> list[str]:
    """The first cells of the table under a heading of the page."""
    part = PAGE.read_text(encoding="utf-8").split(f"\n### {heading}\n")[1].split("\n#")[0]
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


def test_the_page_has_a_row_for_each_endpoint_and_field() -> None:
    assert rows_of("Endpoints over REST") == list(ENDPOINTS)
    assert rows_of("Fields over REST") == list(FIELDS)
