"""The runtime's application in this process, with a small real model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from serving.runtime.app import App, Limits
from serving.runtime.model import Model
from serving.runtime.store import fetch
from tests.serving_model import make_artifact


@dataclass(frozen=True)
class Reply:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    app: App, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Reply:
    """One request to a path as it is sent, without a socket; the body comes in two pieces when it
    is long."""
    pieces = [body] if len(body) < 1000 else [body[:1000], body[1000:]]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [
        (key.lower().encode(), value.encode("latin-1")) for key, value in (headers or {}).items()
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "headers": raw,
    }
    asyncio.run(app(scope, receive, send))
    answered = {key.decode(): value.decode("latin-1") for key, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], answered, sent[1]["body"])


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_artifact(tmp_path_factory.mktemp("artifact"), version="7")


@pytest.fixture(scope="session")
def model(artifact: Path) -> Model:
    return Model("flight-delay", *fetch(str(artifact)))


@pytest.fixture
def app(model: Model) -> App:
    return App(model, predictor="v7", limits=Limits(body=100_000, inline=20_000))


@pytest.fixture
def infer(app: App) -> Callable[..., Reply]:
    """POSTs an inference request: a JSON value, or bytes as they are."""

    def post(value: object, **headers: str) -> Reply:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return call(app, "POST", "/v2/models/flight-delay/infer", body, headers)

    return post
