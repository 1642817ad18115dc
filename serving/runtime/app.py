"""The routes of the Open Inference Protocol, as a bare ASGI application.

No web framework: on a model of some tens of microseconds a row, routing and validation layers cost
more than the model. Small requests are answered on the event loop itself; large ones in a thread,
so that health checks are answered meanwhile. What cannot be answered in time is refused at once
with 503 and Retry-After: a queue without a bound turns an overload into an outage.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import getrandbits
from typing import Any
from urllib.parse import quote

import msgspec
import structlog

from contracts.version import VERSION
from serving import metrics
from serving.runtime.counters import Counters
from serving.runtime.feedback import Record, read_feedback
from serving.runtime.model import Answer, Model
from serving.runtime.refusal import Refusal, shown

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
Handler = Callable[[Message, Receive, Send], Awaitable[None]]

_JSON: Header = (b"content-type", b"application/json")
_TEXT: Header = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_CLOSE: Header = (b"connection", b"close")
_MAX_ID = 1024

_log = structlog.get_logger("serving.runtime")
_encode = msgspec.json.encode


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds the work that a server takes on.

    Args:
        body: bytes of a request's body.
        inline: bytes of a body up to which it is answered on the event loop.
        active: requests being received or answered at once.
        large: requests that wait for the thread or are in it.
    """

    body: int = 16 * 2**20
    inline: int = 64 * 2**10
    active: int = 512
    large: int = 8


class Disconnected(Exception):  # noqa: N818  not an error: the client went away
    """The client left before its request was whole."""


class App:
    """Answers for one version of one model.

    Args:
        model: the loaded model.
        predictor: the name under which traffic is sent to this version.
        slow_over: seconds; a response that takes longer is slow.
        limits: what bounds the work.
    """

    def __init__(
        self,
        model: Model,
        *,
        predictor: str = "",
        slow_over: float = 0.05,
        limits: Limits | None = None,
    ) -> None:
        self.model = model
        self.draining = False
        self.active = 0
        self._limits = limits or Limits()
        labels = {
            metrics.MODEL: model.name,
            metrics.VERSION: model.version,
            metrics.PREDICTOR: predictor,
        }
        self.counters = Counters(labels, slow_over, model.meaning.bounds)
        self._record = Record(model.version, model.meaning.is_wrong)
        self._headers: list[Header] = [(b"x-millwright-version", model.version.encode())]
        if predictor:
            self._headers.append((b"x-millwright-predictor", predictor.encode()))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-requests")
        self._large = 0
        base = f"/v2/models/{model.name}"
        self._infer_paths = {f"{base}/infer", f"{base}/versions/{model.version}/infer"}
        self._routes = self._table(base, f"{base}/versions/{model.version}")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] != "http":
            return
        try:
            if scope["path"] in self._infer_paths and scope["method"] == "POST":
                await self._infer(scope, receive, send)
            else:
                await self._other(scope, receive, send)
        except Disconnected:
            return

    # -- inference -------------------------------------------------------------------------------

    async def _infer(self, scope: Message, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id: bytes | None = headers.get(b"x-request-id")
        self.active += 1
        try:
            body = await self._body(headers, receive)
            header_id = request_id.decode("latin-1") if request_id else f"{getrandbits(128):032x}"
            identity, answer = await self._answer(body, header_id[:_MAX_ID])
        except Refusal as refusal:
            self.counters.request(refusal.status, time.perf_counter() - began)
            await self._refuse(send, refusal, _id_header(request_id))
            return
        finally:
            self.active -= 1
        self.counters.request(200, time.perf_counter() - began)
        self.counters.predictions(answer.scores)
        self._record.remember(identity, answer.classes)
        given = request_id or identity.encode("ascii", "ignore")
        await self._send(send, 200, answer.body, (_JSON, *_id_header(given)))

    async def _answer(self, body: bytes, request_id: str) -> tuple[str, Answer]:
        if len(body) <= self._limits.inline:
            return self._checked(self.model.answer(body, request_id))
        if self._large >= self._limits.large:
            raise Refusal(503, f"{self._large} large requests are waiting", fix="try again in 1 s")
        self._large += 1
        try:
            loop = asyncio.get_running_loop()
            return self._checked(
                await loop.run_in_executor(self._thread, self.model.answer, body, request_id)
            )
        finally:
            self._large -= 1

    @staticmethod
    def _checked(answered: tuple[str, Answer]) -> tuple[str, Answer]:
        if len(answered[0]) > _MAX_ID:
            raise Refusal(400, f"the id has {len(answered[0])} characters; at most {_MAX_ID}")
        return answered

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        if self.active > self._limits.active:
            raise Refusal(503, f"{self.active} requests are being answered", fix="try again in 1 s")
        if b"inference-header-content-length" in headers:
            raise Refusal(400, "the binary data extension is not supported; send JSON tensors")
        coding = headers.get(b"content-encoding")
        if coding not in (None, b"identity"):
            raise Refusal(
                400, f"content-encoding {shown(coding)} is not supported; send plain JSON"
            )
        return await self._receive(receive)

    async def _receive(self, receive: Receive) -> bytes:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) <= self._limits.body:
                return body
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size <= self._limits.body:
                parts.append(part)
            # Reading on for a while lets an ordinary client read the refusal instead of a reset.
            if not message.get("more_body") or size > 4 * self._limits.body:
                break
            message = await receive()
        if size > self._limits.body:
            raise Refusal(
                413,
                f"the body is larger than {self._limits.body} bytes",
                fix="send the rows in several requests",
            )
        return b"".join(parts)

    # -- everything else -------------------------------------------------------------------------

    def _table(self, base: str, versioned: str) -> dict[str, tuple[str, Handler]]:
        """Path → method and handler; exact, because a server has one model in one version."""
        metadata = self._constant(self._metadata())
        return {
            "/v2": ("GET", self._constant(_SERVER)),
            "/v2/health/live": ("GET", self._constant({"live": True})),
            "/v2/health/ready": ("GET", self._ready({"live": True}, {"live": False})),
            base: ("GET", metadata),
            versioned: ("GET", metadata),
            f"{base}/ready": ("GET", self._model_ready()),
            f"{versioned}/ready": ("GET", self._model_ready()),
            f"{base}/feedback": ("POST", self._feedback),
            f"{versioned}/feedback": ("POST", self._feedback),
            "/metrics": ("GET", self._metrics),
        }

    async def _other(self, scope: Message, receive: Receive, send: Send) -> None:
        path, method = scope["path"].rstrip("/"), scope["method"]
        handler: Handler
        if path in self._infer_paths:
            allowed, handler = "POST", self._infer
        elif path in self._routes:
            allowed, handler = self._routes[path]
        else:
            await self._refuse(send, self._unknown(path), ())
            return
        if method != allowed and not (method == "HEAD" and allowed == "GET"):
            refusal = Refusal(405, f"{path} takes {allowed}, not {method}")
            await self._refuse(send, refusal, [(b"allow", allowed.encode())])
            return
        await handler(scope, receive, send)

    def _unknown(self, path: str) -> Refusal:
        match path.split("/"):
            case ["", "v2", "models", name, *_] if name != self.model.name:
                return Refusal(
                    404, f"there is no model {shown(name)} here; it is {self.model.name!r}"
                )
            case ["", "v2", "models", _, "versions", version, *_] if version != self.model.version:
                return Refusal(
                    404,
                    f"version {shown(version)} is not served here; it is {self.model.version!r}",
                )
        return Refusal(404, f"there is nothing at {shown(path)}; see /v2/models/{self.model.name}")

    def _metadata(self) -> dict[str, object]:
        artifact = self.model.artifact
        tensors = {
            side: [
                {"name": t.name, "datatype": t.datatype, "shape": t.shape, **_notes(t.optional)}
                for t in declared
            ]
            for side, declared in (("inputs", artifact.inputs), ("outputs", artifact.outputs))
        }
        return {
            "name": self.model.name,
            "versions": [self.model.version],
            "platform": "onnx_onnxv1",
            **tensors,
        }

    def _constant(self, value: object) -> Handler:
        body = _encode(value)

        async def answer(scope: Message, receive: Receive, send: Send) -> None:
            await self._send(send, 200, body, (_JSON,))

        return answer

    def _ready(self, yes: object, no: object) -> Handler:
        bodies = {True: _encode(yes), False: _encode(no)}

        async def answer(scope: Message, receive: Receive, send: Send) -> None:
            ready = not self.draining
            await self._send(send, 200 if ready else 503, bodies[ready], (_JSON,))

        return answer

    def _model_ready(self) -> Handler:
        name = self.model.name
        return self._ready({"name": name, "ready": True}, {"name": name, "ready": False})

    async def _metrics(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._send(send, 200, self.counters.text(), (_TEXT,))

    async def _feedback(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            verdict = self._record.judge(read_feedback(await self._receive(receive)))
        except Refusal as refusal:
            await self._refuse(send, refusal, ())
            return
        self.counters.feedback[metrics.RIGHT] += verdict.right
        self.counters.feedback[metrics.WRONG] += verdict.wrong
        await self._send(send, 200, _encode(verdict), (_JSON,))

    # -- answering -------------------------------------------------------------------------------

    async def _refuse(self, send: Send, refusal: Refusal, headers: Iterable[Header]) -> None:
        if refusal.status >= 500:
            _log.warning("refused", status=refusal.status, why=refusal.what)
        extra = [_JSON, *headers]
        if refusal.status == 503:
            extra.append((b"retry-after", b"1"))
        if refusal.status in (413, 503):
            extra.append(_CLOSE)
        await self._send(send, refusal.status, _encode({"error": refusal.sentence()}), extra)

    async def _send(self, send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
        lines = [*headers, *self._headers, (b"content-length", b"%d" % len(body))]
        # While draining, connections are given up after an answer, so that clients go elsewhere.
        if self.draining:
            lines.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})


_SERVER = {"name": "millwright", "version": VERSION, "extensions": ["feedback"]}


def _notes(optional: bool) -> dict[str, object]:
    return {"parameters": {"optional": True}} if optional else {}


def _id_header(value: bytes | None) -> tuple[Header, ...]:
    """The request's id as a header; quoted where it holds what a header cannot."""
    if not value:
        return ()
    text = value.decode("latin-1")
    plain = text if text.isascii() and text.isprintable() else quote(text)
    return ((b"x-request-id", plain.encode()),)
