"""The runtime's application in this process, with a small real model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.runtime.app import App
from serving.runtime.connections import Connections
from serving.runtime.http import Connection
from serving.runtime.limits import Limits
from serving.runtime.model import Model
from serving.runtime.served import Served
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


class Wire(asyncio.Transport):
    """A connection without a socket: keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = False
        self.closed = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed.set()

    abort = close

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def call(
    app: App, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Reply:
    """One request to a path as it is sent, without a socket; the body comes in two pieces when it
    is long."""
    given = {"host": "x", "content-length": str(len(body)), "connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (given | (headers or {})).items())
    head = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")

    async def ask() -> bytes:
        wire = Wire()
        connection = Connection(Connections(app))
        connection.connection_made(wire)
        for piece in (head, body) if len(body) < 1000 else (head, body[:1000], body[1000:]):
            if not wire.is_closing():
                connection.data_received(piece)
        await asyncio.wait_for(wire.closed.wait(), 60)
        return wire.written

    top, _, content = asyncio.run(ask()).partition(b"\r\n\r\n")
    status, *answered = top.decode("latin-1").split("\r\n")
    pairs = dict(line.split(": ", 1) for line in answered)
    return Reply(int(status.split()[1]), pairs, content)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_artifact(tmp_path_factory.mktemp("artifact"), version="7")


@pytest.fixture(scope="session")
def model(artifact: Path) -> Model:
    return Model("flight-delay", *fetch(str(artifact)))


@pytest.fixture
def app(model: Model) -> App:
    return App(Served(model, predictor="v7"), limits=Limits(body=100_000, inline=20_000))


@pytest.fixture
def infer(app: App) -> Callable[..., Reply]:
    """POSTs an inference request: a JSON value, or bytes as they are."""

    def post(value: object, **headers: str) -> Reply:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return call(app, "POST", "/v2/models/flight-delay/infer", body, headers)

    return post
