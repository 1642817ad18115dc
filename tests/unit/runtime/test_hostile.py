"""Every route with hostile bodies and headers: an answer or a refusal, never a failure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving import protocol
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.served import Served
from tests.unit.runtime.conftest import call
from tests.unit.runtime.test_protocol import request

NESTED = b"[" * 100_000
BODIES = {
    "nothing": b"",
    "no JSON": b"\xff\xfe\x00",
    "depth": NESTED,
    "depth inside": b'{"inputs":[{"name":"hour","shape":[1,1],"datatype":"FP32","data":' + NESTED,
    "null": b"null",
    "a list": b"[1]",
    "text": b'"x"',
    "infinity": json.dumps(request(id=float("inf"))).encode(),
    "not a number": b'{"inputs":[{"name":"hour","shape":[1,1],"datatype":"FP32","data":[NaN]}]}',
    "1e999": b'{"inputs":[{"name":"hour","shape":[1,1],"datatype":"FP32","data":[1e999]}]}',
    "a long number": b'{"inputs":[{"name":"hour","shape":[1,1],"datatype":"FP32","data":['
    + b"9" * 5000
    + b"]}]}",
    "half a letter": b'{"id":"\\ud800","inputs":[]}',
    "other letters": json.dumps(
        request(id="\u00fc\u4e2d\u0000\r\n", parameters={"\u0000": []})
    ).encode(),
    "good": json.dumps(request()).encode(),
    "feedback": b'{"id":"r1","outcome":[1e999]}',
    "feedback of texts": b'{"id":"r1","outcome":["\\u0000"]}',
    "odd parameters": json.dumps(
        request(
            parameters={"binary_data_output": {}}, outputs=[{"name": "label", "parameters": {}}]
        )
    ).encode(),
    "sizes that are none": json.dumps(
        {
            "inputs": [
                {**own, "data": [], "shape": [2**70, -1], "parameters": {"binary_data_size": 2**70}}
                for own in request()["inputs"]
            ]
        }
    ).encode(),
}
HEADERS: list[dict[str, str]] = [
    {},
    {"x-request-id": "\xfc\xff \x7f"},
    {"x-request-id": "x" * 5000},
    {"content-encoding": "gzip"},
    {"content-encoding": "\xfc"},
    {"content-encoding": ""},
    {"content-encoding": " IDENTITY "},
    {"accept-encoding": "gzip;q=\xfc,,;;=,*"},
    {"accept-encoding": "deflate"},
    {"inference-header-content-length": "\xb2"},
    {"inference-header-content-length": "9" * 30},
    {"inference-header-content-length": "2"},
    {"inference-header-content-length": ""},
    {"x-millwright-predictor": "\xfc"},
    {"origin": "\xfc", "access-control-request-method": "\xfc"},
]


@pytest.mark.parametrize("route", protocol.ROUTES, ids=lambda route: str(route.name))
def test_no_route_fails(route: protocol.Route, model: Model) -> None:
    app = App(Served(model, predictor="v7"), origins=["*"])
    paths = {route.of("flight-delay"), route.of_version("flight-delay", "7")}
    for path in paths:
        # Each body with some headers, and the other way round.
        for number, body in enumerate(BODIES.values()):
            for headers in ({}, HEADERS[number % len(HEADERS)], {"accept-encoding": "gzip"}):
                check(app, route.method, path, body, headers)
        for headers in HEADERS:
            for method in (route.method, "OPTIONS", "GET", "POST", "BREW"):
                check(app, method, path, BODIES["good"], headers)


def check(app: App, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    reply = call(app, method, path, body, headers)
    where = (method, path, body[:60], headers, reply.body[:200])
    assert reply.status < 500, where
    for name, value in reply.headers.items():
        # What a header cannot hold is not in one; an origin is said as it came.
        assert value.isprintable(), (name, value, where)
        assert value.isascii() or name == "access-control-allow-origin" or "\xfc" in value, where
    if reply.status >= 400:
        assert len(json.loads(reply.body)["error"]) > 10, where


@pytest.mark.parametrize(
    "path", ["/\xfc", "/%FF", "/%00", "/%0d%0a", "/v2/models/%FC/infer", "/" + "x" * 5000, "*", ""]
)
def test_no_path_fails(path: str, model: Model) -> None:
    check(App(Served(model)), "POST", path, b"{}", {})
