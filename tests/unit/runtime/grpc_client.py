"""A client of HTTP/2 that says whatever a test wants, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

from hpack import Decoder, Encoder

from serving.runtime.app import App
from serving.runtime.connections import Connections, Patience
from serving.runtime.grpc import frames
from serving.runtime.grpc.connection import Connection
from serving.runtime.grpc.frames import Code, Kind
from serving.runtime.grpc.schema import INFERENCE, message
from serving.runtime.grpc.services import Services
from tests.unit.runtime.conftest import Wire

SERVICE = "/inference.GRPCInferenceService"
INFER = f"{SERVICE}/ModelInfer"
Given = TypeVar("Given")


def inference(**fields: Any) -> bytes:
    """An inference of one row, as a message."""
    asked = message(INFERENCE, "ModelInferRequest")(model_name="flight-delay", **fields)
    tensor = asked.inputs.add(name="hour", datatype="FP32", shape=[1, 1])
    tensor.contents.fp32_contents.append(17.0)
    content: bytes = asked.SerializeToString()
    return content


def framed(content: bytes, *, packed: int = 0) -> bytes:
    """A message with its prefix."""
    return bytes((packed,)) + len(content).to_bytes(4, "big") + content


@dataclass
class Answer:
    """What came of a stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: Code | None = None

    @property
    def status(self) -> int:
        return int((self.trailers or self.headers).get("grpc-status", "-1"))

    @property
    def sentence(self) -> str:
        return unquote((self.trailers or self.headers).get("grpc-message", ""))


class Client:
    """A client, and its connection with the server."""

    def __init__(self, app: App, patience: Patience | None = None) -> None:
        self.connections = Connections(app, patience=patience)
        self.services = Services(app)
        self.wire = Wire()
        self.connection = Connection(
            self.connections, lambda stream: self.services.begin(self.connections, stream)
        )
        self.connection.connection_made(self.wire)
        self.encoder, self._decoder = Encoder(), Decoder()
        self._read = 0
        self.answers: dict[int, Answer] = {}
        self.goaway: list[tuple[int, Code, str]] = []
        self.kinds: list[Kind] = []

    def greet(self, settings: dict[frames.Setting, int] | None = None) -> None:
        self.send(frames.PREFACE + frames.settings(settings or {}))

    def send(self, data: bytes, step: int = 0) -> None:
        for start in range(0, len(data), step or len(data) or 1):
            if not self.wire.is_closing():
                self.connection.data_received(data[start : start + (step or len(data))])

    def head(self, path: str = INFER, **more: str) -> bytes:
        """The block of a call's headers; an underscore in a name is a hyphen."""
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "x",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        block: bytes = self.encoder.encode(list(headers.items()))
        return block

    def call(
        self, stream: int, path: str = INFER, content: bytes | None = None, **more: str
    ) -> bytes:
        """A call's frames."""
        body = framed(inference() if content is None else content)
        return frames.headers(stream, self.head(path, **more), end=False) + frames.frame(
            Kind.DATA, frames.END_STREAM, stream, body
        )

    def look(self) -> None:
        """Read what the server has written since."""
        data = self.wire.written
        while len(data) - self._read >= frames.HEAD_SIZE:
            high, low, kind, flags, stream = frames.HEAD.unpack_from(data, self._read)
            start = self._read + frames.HEAD_SIZE
            payload = data[start : start + (high << 8 | low)]
            self._read = start + len(payload)
            self._take(Kind(kind), flags, stream, payload)

    def _take(self, kind: Kind, flags: int, stream: int, payload: bytes) -> None:
        self.kinds.append(kind)
        if kind == Kind.GOAWAY:
            last, code = (
                int.from_bytes(payload[:4], "big"),
                Code(int.from_bytes(payload[4:8], "big")),
            )
            self.goaway.append((last, code, payload[8:].decode()))
        if not stream or kind == Kind.WINDOW_UPDATE:
            return
        answer = self.answers.setdefault(stream, Answer())
        if kind == Kind.HEADERS:
            pairs = self._decoder.decode(payload, raw=True)
            headers = {bytes(name).decode(): bytes(text).decode() for name, text in pairs}
            if answer.headers:
                answer.trailers = headers
            else:
                answer.headers = headers
        elif kind == Kind.DATA:
            answer.body += payload
        elif kind == Kind.RST_STREAM:
            answer.reset = Code(int.from_bytes(payload, "big"))
        if kind in (Kind.HEADERS, Kind.DATA) and flags & frames.END_STREAM:
            answer.ended = True

    async def answered(self, *streams: int) -> list[Answer]:
        """The answers to streams, when all are there."""
        for _ in range(3000):
            self.look()
            if all(self._is_over(stream) for stream in streams):
                break
            await asyncio.sleep(0.001)
        return [self.answers.get(stream, Answer()) for stream in streams]

    def _is_over(self, stream: int) -> bool:
        answer = self.answers.get(stream)
        return answer is not None and (answer.ended or answer.reset is not None)


def run(
    app: App, talk: Callable[[Client], Awaitable[Given]], patience: Patience | None = None
) -> Given:
    """A client's talk with the application."""

    async def go() -> Given:
        return await talk(Client(app, patience))

    return asyncio.run(go())


def asked(app: App, data: Callable[[Client], bytes], *streams: int, step: int = 0) -> list[Answer]:
    """The answers to streams of a client that has greeted and sends these bytes."""

    async def talk(client: Client) -> list[Answer]:
        client.greet()
        client.send(data(client), step)
        return await client.answered(*streams)

    return run(app, talk)
