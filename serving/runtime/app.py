"""The routes of the Open Inference Protocol, as a bare ASGI application.

No web framework: on a model of some tens of microseconds a row, routing and validation layers cost
more than the model. Small requests are answered on the event loop itself; large ones in a thread,
so that health checks are answered meanwhile. What cannot be answered in time is refused at once
with 503 and Retry-After: a queue without a bound turns an overload into an outage.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from random import getrandbits
from typing import Any, TypeVar

import msgspec
import structlog

from serving import metrics, protocol
from serving.runtime import about, coding
from serving.runtime.counters import Counters
from serving.runtime.feedback import Record, read_feedback
from serving.runtime.model import Answer, Model
from serving.runtime.origins import Origins
from serving.runtime.refusal import Refusal, shown

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
Handler = Callable[[Message, Receive, Send], Awaitable[None]]
Result = TypeVar("Result")

_JSON: Header = (b"content-type", b"application/json")
_BYTES: Header = (b"content-type", b"application/octet-stream")
_TEXT: Header = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_CLOSE: Header = (b"connection", b"close")
_MAX_ID = 1024
_DENSEST = 16
"""A packed body is taken for this many times its size, when it is decided where it is unpacked."""

_PREDICTOR = protocol.PREDICTOR_HEADER.encode()
_REQUEST_ID = protocol.REQUEST_ID_HEADER.encode()
_JSON_SIZE = protocol.BINARY_HEADER.encode()

_log = structlog.get_logger("serving.runtime")
_encode = msgspec.json.encode


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds the work that a server takes on.

    Args:
        body: bytes of an inference's body.
        feedback: bytes of a feedback's body.
        other: bytes of any other body.
        inline: bytes of a body up to which it is answered on the event loop.
        active: requests being received or answered at once.
        large: requests that wait for the thread or are in it, to be unpacked or answered.
    """

    body: int = 16 * 2**20
    feedback: int = 2**20
    other: int = 64 * 2**10
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
        origins: the origins whose pages may ask, such as ``https://app.example.com``.
    """

    def __init__(
        self,
        model: Model,
        *,
        predictor: str = "",
        slow_over: float = 0.05,
        limits: Limits | None = None,
        origins: Iterable[str] = (),
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
        self._predictor = predictor.encode()
        self._origins = Origins(origins)
        self._headers: list[Header] = [
            (protocol.VERSION_HEADER.encode(), model.version.encode()),
        ]
        if predictor:
            self._headers.append((_PREDICTOR, self._predictor))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-requests")
        self._large = 0
        self._routes = self._table()
        self._versioned = protocol.INFER.of_version(model.name, model.version).encode()
        self._infer_paths = {protocol.INFER.of(model.name).encode(), self._versioned}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] != "http":
            return
        if self._origins:
            send = self._origins.told(scope["method"], _combined(scope["headers"]), send)
        try:
            # As it was sent, byte for byte: what a front door compares too.
            if scope["raw_path"] in self._infer_paths and scope["method"] == "POST":
                await self._infer(scope, receive, send)
            else:
                await self._other(scope, receive, send)
        except Disconnected:
            return

    # -- inference -------------------------------------------------------------------------------

    async def _infer(self, scope: Message, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = _combined(scope["headers"])
        request_id: bytes | None = headers.get(_REQUEST_ID)
        if _PREDICTOR in headers or scope["raw_path"] == self._versioned:
            self.counters.addressed += 1
        self.active += 1
        try:
            most = self._limits.body
            # Reading on for a while lets an ordinary client read the refusal instead of a reset.
            body = await self._body(headers, receive, most, until=4 * most)
            header_id = request_id.decode("latin-1") if request_id else f"{getrandbits(128):032x}"
            identity, answer = await self._answer(
                body, header_id[:_MAX_ID], headers.get(_JSON_SIZE)
            )
            content, lines = answer.body, [_JSON]
            if answer.json_size is not None:
                lines = [_BYTES, (_JSON_SIZE, b"%d" % answer.json_size)]
            if (accepted := headers.get(b"accept-encoding")) is not None:
                content = await self._packed(content, accepted, lines)
        except Refusal as refusal:
            self.counters.request(refusal.status, time.perf_counter() - began)
            await self._refuse(send, refusal, _id_header(request_id) if request_id else ())
            return
        finally:
            self.active -= 1
        self.counters.request(200, time.perf_counter() - began)
        self.counters.rows += answer.rows
        self.counters.last = time.time()
        self.counters.predictions(answer.scores)
        self._record.remember(identity, answer.classes)
        lines += _id_header(request_id or identity.encode())
        await self._send(send, 200, content, lines)

    async def _answer(
        self, body: bytes, request_id: str, json_size: bytes | None
    ) -> tuple[str, Answer]:
        if len(body) <= self._limits.inline:
            return self._checked(self.model.answer(body, request_id, json_size))
        work = partial(self.model.answer, body, request_id, json_size)
        return self._checked(await self._aside(work))

    async def _aside(self, work: Callable[[], Result]) -> Result:
        """Do it in the thread, so that health checks are answered meanwhile.

        Raises:
            Refusal: as many wait for the thread as may. Who comes back from it and goes there again
                at once keeps its place.
        """
        if self._large >= self._limits.large:
            raise Refusal(503, f"{self._large} large requests are waiting", fix="try again in 1 s")
        self._large += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._large -= 1

    @staticmethod
    def _checked(answered: tuple[str, Answer]) -> tuple[str, Answer]:
        if len(answered[0]) > _MAX_ID:
            raise Refusal(400, f"the id has {len(answered[0])} characters; at most {_MAX_ID}")
        return answered

    async def _packed(self, body: bytes, accepted: bytes, lines: list[Header]) -> bytes:
        """The answer as the client wants it; says in the headers what was done."""
        wish = coding.wish_of(accepted)
        aside = len(body) > self._limits.inline
        # A client may ask for packing, not rely on it: under too much work it is left out.
        busy = aside and self._large >= self._limits.large
        if wish.coding is None or len(body) < wish.least or busy:
            return body
        lines += [(b"content-encoding", wish.coding), (b"vary", b"accept-encoding")]
        pack = partial(coding.packed, body, wish.coding)
        return await self._aside(pack) if aside else pack()

    async def _body(
        self, headers: Mapping[bytes, bytes], receive: Receive, most: int, until: int
    ) -> bytes:
        """A request's body, unpacked: at most so many bytes, read until there are so many.

        Raises:
            Refusal: it is too large, or the request is not to be answered here, or now.
        """
        self._origins.check(headers.get(b"origin"))
        if self.active > self._limits.active:
            raise Refusal(503, f"{self.active} requests are being answered", fix="try again in 1 s")
        addressed = headers.get(_PREDICTOR)
        if addressed is not None and addressed != self._predictor and self._predictor:
            raise Refusal(
                421,
                f"this is predictor {self._predictor.decode()!r}, and the request is addressed to "
                f"{shown(addressed.decode('latin-1'))}",
            )
        name = headers.get(b"content-encoding")
        if name is None or (packing := coding.coding_of(name)) is None:
            return await self._receive(headers, receive, most, until)
        body = await self._receive(headers, receive, most, until)
        unpack = partial(coding.unpacked, body, packing, most)
        if len(body) * _DENSEST <= self._limits.inline:
            return unpack()
        return await self._aside(unpack)

    @staticmethod
    async def _receive(
        headers: Mapping[bytes, bytes], receive: Receive, most: int, until: int
    ) -> bytes:
        parts: list[bytes] = []
        length = headers.get(b"content-length", b"")
        size = int(length) if length.isdigit() and len(length) < 20 else 0
        if size <= until:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                body: bytes = message.get("body", b"")
                if len(body) <= most:
                    return body
            size = 0
            while True:
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part = message.get("body", b"")
                size += len(part)
                if size <= most:
                    parts.append(part)
                if not message.get("more_body") or size > until:
                    break
                message = await receive()
        if size > most:
            raise Refusal(
                413, f"the body is larger than {most} bytes", fix="send less in each request"
            )
        return b"".join(parts)

    # -- everything else -------------------------------------------------------------------------

    def _table(self) -> dict[bytes, tuple[str, Handler]]:
        """Path → method and handler; exact, because a server has one model in one version."""
        handlers: dict[str, Handler] = {
            "infer": self._infer,
            "server": self._constant(about.SERVER),
            "live": self._constant({"live": True}),
            "ready": self._ready({"ready": True}, {"ready": False}),
            "index": self._asked(self._index, self._limits.other),
            "load": self._asked(self._steering, self._limits.other),
            "unload": self._asked(self._steering, self._limits.other),
            "all_stats": self._statistics,
            "model": self._constant(about.metadata(self.model)),
            "model_ready": self._model_ready(),
            "config": self._constant(about.config(self.model)),
            "stats": self._statistics,
            "feedback": self._asked(self._feedback, self._limits.feedback),
            "metrics": self._metrics,
        }
        name, version = self.model.name, self.model.version
        table: dict[bytes, tuple[str, Handler]] = {}
        for route in protocol.ROUTES:
            entry = (route.method, handlers[route.name])
            table[route.of(name).encode()] = entry
            if route.versioned:
                table[route.of_version(name, version).encode()] = entry
        return table

    async def _other(self, scope: Message, receive: Receive, send: Send) -> None:
        path, method = scope["raw_path"], scope["method"]
        if path not in self._routes:
            await self._refuse(send, self._unknown(scope["path"]), ())
            return
        taken, handler = self._routes[path]
        allowed = "GET, HEAD, OPTIONS" if taken == "GET" else f"{taken}, OPTIONS"
        if method == "OPTIONS":
            await self._send(send, 204, b"", [(b"allow", allowed.encode())])
        elif method == taken or (method == "HEAD" and taken == "GET"):
            await handler(scope, receive, send)
        else:
            refusal = Refusal(405, f"{path.decode()} takes {taken}, not {shown(method)}")
            await self._refuse(send, refusal, [(b"allow", allowed.encode())])

    def _unknown(self, path: str) -> Refusal:
        own = self.model
        if meant := protocol.respelled(path, (known.decode() for known in self._routes)):
            return Refusal(
                404,
                f"there is nothing at {shown(path)}: paths are taken as they are spelled",
                fix=f"write {meant}",
            )
        match path.split("/"):
            case ["", "v1", *_] | ["", "api", *_]:
                return Refusal(
                    404,
                    f"there is nothing at {shown(path)}: this server speaks the Open Inference "
                    "Protocol, which is V2",
                    fix=f"post to {protocol.INFER.of(own.name)}; KServe's client does with "
                    'RESTConfig(protocol="v2")',
                )
            case ["", "v2", "models", name, *_] if name != own.name:
                return Refusal(404, f"there is no model {shown(name)} here; it is {own.name!r}")
            case ["", "v2", "models", _, "versions", version, *_] if version != own.version:
                return Refusal(
                    404, f"version {shown(version)} is not served here; it is {own.version!r}"
                )
        return Refusal(404, f"there is nothing at {shown(path)}; see /v2/models/{own.name}")

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

    async def _statistics(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._send(send, 200, _encode(about.statistics(self.model, self.counters)), (_JSON,))

    def _asked(self, respond: Callable[[bytes], object], most: int) -> Handler:
        """What answers a body that is no inference, of at most so many bytes."""
        most = min(most, self._limits.body)

        async def answer(scope: Message, receive: Receive, send: Send) -> None:
            self.active += 1
            try:
                headers = _combined(scope["headers"])
                value = respond(await self._body(headers, receive, most, until=most))
            except Refusal as refusal:
                await self._refuse(send, refusal, ())
                return
            finally:
                self.active -= 1
            await self._send(send, 200, _encode(value), (_JSON,))

        return answer

    def _index(self, body: bytes) -> object:
        return about.index(self.model, body, draining=self.draining)

    def _steering(self, body: bytes) -> object:
        raise Refusal(
            403,
            "which version is served is a rollout's to decide; it is not loaded or unloaded here",
            fix="see millwright rollout",
        )

    def _feedback(self, body: bytes) -> object:
        verdict = self._record.judge(read_feedback(body))
        self.counters.feedback[metrics.RIGHT] += verdict.right
        self.counters.feedback[metrics.WRONG] += verdict.wrong
        return verdict

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
        lines = [*headers, *self._headers]
        if status != 204:
            lines.append((b"content-length", b"%d" % len(body)))
        # While draining, connections are given up after an answer, so that clients go elsewhere.
        if self.draining:
            lines.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})


def _id_header(value: bytes) -> tuple[Header]:
    """The request's id as a header."""
    return ((_REQUEST_ID, protocol.header_text(value.decode(errors="replace")).encode()),)


def _combined(lines: Collection[Header]) -> dict[bytes, bytes]:
    """Headers by name; a repeated one is a list in one line (RFC 9110, section 5.3), which a header
    that holds one value is then refused for."""
    headers = dict(lines)
    if len(headers) < len(lines):
        headers.clear()
        for name, value in lines:
            headers[name] = b"%s, %s" % (headers[name], value) if name in headers else value
    return headers
