"""A plain ASGI application with a model server's paths and statuses, for `benchmarks.fuzz`.

It computes nothing: an inference is right if it is the one that the benchmark sends.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from serving.protocol import ROUTES

MODEL, VERSION = "flight-delay", "1"
INFERENCE = {"inputs": [{"name": "hour", "shape": [1, 1], "datatype": "FP32", "data": [17.0]}]}
ROUTE = {route.of(MODEL).encode(): route for route in ROUTES} | {
    route.of_version(MODEL, VERSION).encode(): route for route in ROUTES if route.versioned
}
_MOST = {"infer": 16 * 2**20, "feedback": 2**20}


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    """Answer one request."""
    status = _at_once(scope)
    if status is None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        status = _status(scope, body)
    content = b"" if status == 204 else b"{}"
    headers = [(b"content-length", b"%d" % len(content))] if content else []
    if status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _at_once(scope: dict[str, Any]) -> int | None:
    """The refusal of a head; None where the body decides."""
    method, route = scope["method"], ROUTE.get(scope["raw_path"])
    if method == "OPTIONS":
        return None
    if route is None:
        return 404
    if method != route.method and (method, route.method) != ("HEAD", "GET"):
        return 405
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return 413 if int(length) > _MOST.get(route.name, 64 * 2**10) else None


def _status(scope: dict[str, Any], body: bytes) -> int:
    route = ROUTE.get(scope["raw_path"])
    if route is None:
        return 404
    if scope["method"] == "OPTIONS":
        return 204
    if route.name in ("load", "unload"):
        return 403
    if route.method == "GET" or (route.name == "index" and not body.strip()):
        return 200
    try:
        value = json.loads(body)
    except ValueError:
        return 400
    if route.name == "index":
        return 200 if isinstance(value, dict) else 400
    return 200 if route.name == "infer" and value == INFERENCE else 400
