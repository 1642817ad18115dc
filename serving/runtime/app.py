"""The routes of the Open Inference Protocol, and what surrounds an inference.

No web framework: on a model of some tens of microseconds a row, routing and validation layers cost
more than the model. Small requests are read on the event loop and answered with those that are
there at the same time; large ones in a thread, so that health checks are answered meanwhile. What
cannot be answered in time is refused at once with 503 and Retry-After: a queue without a bound
turns an overload into an outage.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import getrandbits
from typing import TypeVar
from urllib.parse import unquote

import msgspec
import structlog

from serving import metrics, protocol
from serving.bodies import Input
from serving.runtime import about, coding, rows
from serving.runtime.batches import Batches
from serving.runtime.counters import Counters
from serving.runtime.feedback import Record, read_feedback
from serving.runtime.limits import Batch, Limits
from serving.runtime.messages import JSON, Answering, Request, Response
from serving.runtime.model import Answer, Model, Prepared
from serving.runtime.origins import Origins
from serving.runtime.refusal import Refusal, shown
from serving.runtime.turns import Turns

Handler = Callable[[Request], Response | Awaitable[Response]]
Result = TypeVar("Result")

_BYTES = b"content-type: application/octet-stream\r\n"
_TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
_MAX_ID = 1024
_DENSEST = 16
"""A packed body is taken for this many times its size, when it is decided where it is unpacked."""

_PREDICTOR = protocol.PREDICTOR_HEADER.encode()
_REQUEST_ID = protocol.REQUEST_ID_HEADER.encode()
_ID_START = _REQUEST_ID + b": "
_JSON_SIZE = protocol.BINARY_HEADER.encode()

_log = structlog.get_logger("serving.runtime")
_encode = msgspec.json.encode


class App:
    """Answers for one version of one model.

    Args:
        model: the loaded model.
        predictor: the name under which traffic is sent to this version.
        slow_over: seconds; a response that takes longer is slow.
        limits: what bounds the work.
        origins: the origins whose pages may ask, such as ``https://app.example.com``.
        shared: whether requests that are there together share calls of the model.
        batch: how requests wait for others to share calls with; None for not at all.
    """

    def __init__(
        self,
        model: Model,
        *,
        predictor: str = "",
        slow_over: float = 0.05,
        limits: Limits | None = None,
        origins: Iterable[str] = (),
        shared: bool = False,
        batch: Batch | None = None,
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
        self._own_lines = _line(protocol.VERSION_HEADER.encode(), model.version.encode())
        if predictor:
            self._own_lines += _line(_PREDICTOR, self._predictor)
        self._turns = Batches(model, batch) if batch else Turns(model, shared=shared)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-requests")
        self._large = 0
        self._noted = -math.inf
        self._unnoted = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._routes = self._table()
        self._predict_paths = self._paths(protocol.PREDICT)
        self._infer_paths = self._paths(protocol.INFER) | self._predict_paths
        self._feedback_paths = self._paths(protocol.FEEDBACK)
        self._versioned = {
            route.of_version(model.name, model.version).encode() for route in protocol.INFERENCES
        }
        self._inputs = [Input(own.name, own.datatype, own.shape) for own in model.artifact.inputs]

    def _paths(self, route: protocol.Route) -> set[bytes]:
        name, version = self.model.name, self.model.version
        return {route.of(name).encode(), route.of_version(name, version).encode()}

    # -- the connection's side -------------------------------------------------------------------

    def admit(self, request: Request) -> Response | None:
        """Look at a request's head: how large its body may be, or why it is refused at once."""
        try:
            if request.method == "POST":
                self._admit_body(request)
            elif request.method != "OPTIONS":
                self._handler(request)
        except Refusal as refusal:
            return self._refused(request, refusal)
        return self.too_large(request) if _length(request) > request.until else None

    def _admit_body(self, request: Request) -> None:
        limits = self._limits
        if request.path in self._infer_paths:
            # Reading on for a while lets an ordinary client read the refusal instead of a reset.
            request.most, request.until = limits.body, 4 * limits.body
        else:
            self._handler(request)
            most = limits.feedback if request.path in self._feedback_paths else limits.other
            request.most = request.until = min(most, limits.body)
        headers = request.headers
        if b"origin" in headers:
            self._origins.check(headers[b"origin"])
        addressed = headers.get(_PREDICTOR)
        if addressed is not None and addressed != self._predictor and self._predictor:
            raise Refusal(
                421,
                f"this is predictor {self._predictor.decode()!r}, and the request is addressed to "
                f"{shown(addressed.decode('latin-1'))}",
            )

    def respond(self, request: Request, to: Answering) -> None:
        """Answer a whole request, now or later."""
        if request.path in self._infer_paths and request.method == "POST":
            self._infer(request, to)
            return
        try:
            answer = self._handler(request)(request)
        except Refusal as refusal:
            to.answer(request, self._refused(request, refusal))
            return
        if isinstance(answer, Response):
            to.answer(request, self._signed(request, answer))
        else:
            self._later(request, to, answer)

    def too_large(self, request: Request) -> Response:
        """What is answered to a body that is larger than it may be."""
        what = f"the body is larger than {request.most} bytes"
        return self._refused(request, Refusal(413, what, fix="send less in each request"))

    def crowded(self, request: Request, what: str) -> Response:
        """What is answered to a request for which there is no room."""
        return self._refused(request, Refusal(503, what, fix="try again in 1 s"))

    def failed(self, request: Request, error: Exception) -> Response:
        """What is answered where this server has a fault."""
        _log.error("failed", path=request.path.decode("latin-1"), exc_info=error)
        return self._refused(request, Refusal(500, "the server has a fault; see its log"))

    # -- inference -------------------------------------------------------------------------------

    def _infer(self, request: Request, to: Answering) -> None:
        try:
            self._check_room()
            body: bytes | None = request.body
            if (name := request.headers.get(b"content-encoding")) is not None:
                body = self._unpacked_here(request, coding.coding_of(name))
            if body is None or len(body) > self._limits.inline:
                self._later(request, to, self._infer_aside(request))
                return
            prepared = self._prepared(request, body)
        except Refusal as refusal:
            to.answer(request, self._refused(request, refusal))
            return
        self.active += 1
        self._turns.ask(prepared, partial(self._answered, request, to))

    def _answered(
        self, request: Request, to: Answering, prepared: Prepared, answer: Answer | Refusal
    ) -> None:
        """A request's turn has come."""
        self.active -= 1
        if isinstance(answer, Refusal):
            to.answer(request, self._refused(request, answer))
            return
        if request.path in self._predict_paths:
            self._reform(prepared, answer)
        if (accepted := request.headers.get(b"accept-encoding")) is not None:
            wish = coding.wish_of(accepted)
            if wish.coding is not None and len(answer.body) >= wish.least:
                self._later(request, to, self._packed(request, prepared, answer, wish.coding))
                return
        to.answer(request, self._inference(request, prepared, answer))

    async def _infer_aside(self, request: Request) -> Response:
        """An inference whose body, as it came or unpacked, is large."""
        body = request.body
        name = request.headers.get(b"content-encoding")
        if name is not None and (packing := coding.coding_of(name)) is not None:
            body = await self._aside(partial(coding.unpacked, body, packing, request.most))
        if len(body) <= self._limits.inline:
            prepared, answer = self._whole(request, body)
        else:
            prepared, answer = await self._aside(partial(self._whole, request, body))
        if isinstance(answer, Refusal):
            raise answer
        if request.path in self._predict_paths:
            self._reform(prepared, answer)
        wish = coding.wish_of(request.headers.get(b"accept-encoding", b""))
        if wish.coding is not None and len(answer.body) >= wish.least:
            return await self._packed(request, prepared, answer, wish.coding)
        return self._inference(request, prepared, answer)

    def _check_room(self) -> None:
        if self.active >= self._limits.active:
            what = f"{self.active} requests are being answered"
            raise Refusal(503, what, fix="try again in 1 s")

    def _whole(self, request: Request, body: bytes) -> tuple[Prepared, Answer | Refusal]:
        prepared = self._prepared(request, body)
        return prepared, self.model.answers([prepared])[0]

    def _prepared(self, request: Request, body: bytes) -> Prepared:
        headers = request.headers
        given = headers.get(_REQUEST_ID)
        identity = given.decode("latin-1")[:_MAX_ID] if given else f"{getrandbits(128):032x}"
        if request.path in self._predict_paths:
            prepared = self.model.prepared(rows.inference_of(body, self._inputs), identity)
        else:
            prepared = self.model.prepared(body, identity, headers.get(_JSON_SIZE))
        if len(prepared.identity) > _MAX_ID:
            raise Refusal(400, f"the id has {len(prepared.identity)} characters; at most {_MAX_ID}")
        return prepared

    def _reform(self, prepared: Prepared, answer: Answer) -> None:
        """Predictions in place of tensors."""
        answer.body = rows.predictions(
            self.model.name,
            self.model.version,
            prepared.identity,
            answer.classes,
            answer.scores if self.model.artifact.task == "classification" else (),
            prepared.findings,
        )

    def _unpacked_here(self, request: Request, packing: bytes | None) -> bytes | None:
        """A body as it was before it was packed; None where that is no work for the event loop."""
        if packing is None:
            return request.body
        if len(request.body) * _DENSEST > self._limits.inline:
            return None
        return coding.unpacked(request.body, packing, request.most)

    async def _packed(
        self, request: Request, prepared: Prepared, answer: Answer, wanted: bytes
    ) -> Response:
        """The answer as the client wants it."""
        aside = len(answer.body) > self._limits.inline
        # A client may ask for packing, not rely on it: under too much work it is left out.
        if aside and self._large >= self._limits.large:
            return self._inference(request, prepared, answer)
        pack = partial(coding.packed, answer.body, wanted)
        content = await self._aside(pack) if aside else pack()
        lines = _line(b"content-encoding", wanted) + _line(b"vary", b"accept-encoding")
        return self._inference(request, prepared, answer, content, lines)

    def _inference(
        self,
        request: Request,
        prepared: Prepared,
        answer: Answer,
        content: bytes | None = None,
        lines: bytes = b"",
    ) -> Response:
        """An answered inference, counted and remembered."""
        self._count(request, 200)
        counters = self.counters
        counters.rows += answer.rows
        counters.last = time.time()
        counters.predictions(answer.scores)
        if prepared.findings:
            counters.found(prepared.findings)
        identity = prepared.identity
        self._record.remember(identity, answer.classes)
        lines += _id_line(request.headers.get(_REQUEST_ID) or identity.encode())
        if answer.json_size is None:
            lines += JSON
        else:
            lines += _BYTES + _line(_JSON_SIZE, b"%d" % answer.json_size)
        lines += self._signature(request)
        return Response(200, answer.body if content is None else content, lines)

    def _count(self, request: Request, status: int) -> None:
        seconds = time.perf_counter() - request.began if request.began else 0.0
        self.counters.request(status, seconds)
        if _PREDICTOR in request.headers or request.path in self._versioned:
            self.counters.addressed += 1

    # -- beside the event loop -------------------------------------------------------------------

    def _later(self, request: Request, to: Answering, answer: Awaitable[Response]) -> None:
        """Answer when it is there."""
        self.active += 1

        async def work() -> None:
            try:
                response = await answer
            except Refusal as refusal:
                response = self._refused(request, refusal)
            except Exception as error:  # noqa: BLE001  whatever it is, somebody waits
                response = self.failed(request, error)
            finally:
                self.active -= 1
            to.answer(request, response)

        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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

    # -- everything else -------------------------------------------------------------------------

    def _table(self) -> dict[bytes, tuple[str, Handler]]:
        """Path → method and handler; exact, because a server has one model in one version."""
        model = {"name": self.model.name}
        handlers: dict[str, Handler] = {
            # They are answered in turns.
            **{route.name: _never for route in protocol.INFERENCES},
            "server": self._constant(about.SERVER),
            "live": self._constant({"live": True}),
            "ready": self._ready({"ready": True}, {"ready": False}),
            "index": self._asked(self._index),
            "load": self._asked(self._steering),
            "unload": self._asked(self._steering),
            "all_stats": self._statistics,
            "model": self._constant(about.metadata(self.model)),
            "model_ready": self._ready(model | {"ready": True}, model | {"ready": False}),
            "config": self._constant(about.config(self.model)),
            "stats": self._statistics,
            "feedback": self._asked(self._feedback),
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

    def _handler(self, request: Request) -> Handler:
        """What answers a request.

        Raises:
            Refusal: nothing does.
        """
        path, method = request.path, request.method
        if path not in self._routes:
            known = [own.decode() for own in self._routes]
            raise about.nothing_at(unquote(path.decode("latin-1")), self.model, known)
        taken, handler = self._routes[path]
        if method == taken or (method == "HEAD" and taken == "GET"):
            return handler
        allow = _line(b"allow", f"{'GET, HEAD' if taken == 'GET' else taken}, OPTIONS".encode())
        if method == "OPTIONS":
            return lambda _: Response(204, b"", allow)
        raise Refusal(405, f"{path.decode()} takes {taken}, not {shown(method)}", lines=allow)

    @staticmethod
    def _constant(value: object) -> Handler:
        response = Response(200, _encode(value))
        return lambda _: response

    def _ready(self, yes: object, no: object) -> Handler:
        ready, unready = Response(200, _encode(yes)), Response(503, _encode(no))
        return lambda _: unready if self.draining else ready

    def _metrics(self, _: Request) -> Response:
        return Response(200, self.counters.text(), _TEXT)

    def _statistics(self, _: Request) -> Response:
        return Response(200, _encode(about.statistics(self.model, self.counters)))

    def _asked(self, answer: Callable[[bytes], object]) -> Handler:
        """What answers a body that is no inference."""

        def respond(request: Request) -> Response | Awaitable[Response]:
            self._check_room()
            name = request.headers.get(b"content-encoding")
            body = self._unpacked_here(request, coding.coding_of(name) if name else None)
            return unpack(request) if body is None else Response(200, _encode(answer(body)))

        async def unpack(request: Request) -> Response:
            packing = coding.coding_of(request.headers[b"content-encoding"])
            assert packing is not None
            work = partial(coding.unpacked, request.body, packing, request.most)
            response = Response(200, _encode(answer(await self._aside(work))))
            return self._signed(request, response)

        return respond

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

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        if refusal.status >= 500:
            self._note(refusal)
        lines = JSON + refusal.lines
        if request.method == "POST" and request.path in self._infer_paths:
            self._count(request, refusal.status)
            if given := request.headers.get(_REQUEST_ID):
                lines += _id_line(given)
        if refusal.status == 503:
            lines += b"retry-after: 1\r\n"
        return Response(
            refusal.status,
            _encode({"error": refusal.sentence()}),
            lines + self._signature(request),
            close=refusal.status in (413, 503),
        )

    def _note(self, refusal: Refusal) -> None:
        """Log it, once a second: under too much work a line for each would be more of it."""
        now = time.monotonic()
        if now - self._noted < 1.0:
            self._unnoted += 1
            return
        _log.warning("refused", status=refusal.status, why=refusal.what, others=self._unnoted)
        self._noted, self._unnoted = now, 0

    def _signature(self, request: Request) -> bytes:
        """What every answer says: who gives it, and which pages may read it."""
        if not self._origins:
            return self._own_lines
        return self._own_lines + self._origins.lines(request.method, request.headers)

    def _signed(self, request: Request, response: Response) -> Response:
        lines = response.lines + self._signature(request)
        return Response(response.status, response.body, lines, response.close)


async def _never(_: Request) -> Response:
    raise AssertionError("an inference is answered in turns")


def _length(request: Request) -> int:
    """Bytes that the body is said to have."""
    text = request.headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _line(name: bytes, value: bytes) -> bytes:
    return b"%b: %b\r\n" % (name, value)


def _id_line(value: bytes) -> bytes:
    """The request's id as a header."""
    if value.isalnum():
        return b"%b%b\r\n" % (_ID_START, value)
    return _line(_REQUEST_ID, protocol.header_text(value.decode(errors="replace")).encode())
