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
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import getrandbits
from typing import TypeVar
from urllib.parse import unquote

import msgspec
import structlog

from serving import protocol
from serving.runtime import about, arrow, coding
from serving.runtime.endpoints import Endpoint, Handler, check_addressed, endpoints
from serving.runtime.limits import Limits
from serving.runtime.messages import JSON, Answering, Request, Response, id_line, length, line
from serving.runtime.model import Answer, Prepared
from serving.runtime.origins import Origins
from serving.runtime.others import Others
from serving.runtime.predictor.workers import PredictorModel
from serving.runtime.refusal import Refusal, shown
from serving.runtime.repository import Repository
from serving.runtime.served import Served
from serving.runtime.slots import Slot

Result = TypeVar("Result")

_BYTES = b"content-type: application/octet-stream\r\n"
_SERVER, _INDEX = protocol.SERVER.path.encode(), protocol.INDEX.path.encode()
_LOAD = re.compile(protocol.LOAD.of("([a-z][a-z0-9-]{0,38}[a-z0-9])").encode())
_DENSEST = 16
"""A packed body is taken for this many times its size, when it is decided where it is unpacked."""

_PREDICTOR = protocol.PREDICTOR_HEADER.encode()
_REQUEST_ID = protocol.REQUEST_ID_HEADER.encode()
_JSON_SIZE = protocol.BINARY_HEADER.encode()

_log = structlog.get_logger("serving.runtime")
_encode = msgspec.json.encode


class App:
    """Answers for one version of one model, or for those of a repository.

    Args:
        served: the model, or the models.
        limits: what bounds the work.
        origins: the origins whose pages may ask, such as ``https://app.example.com``.
    """

    def __init__(
        self,
        served: Served | Repository,
        *,
        limits: Limits | None = None,
        origins: Iterable[str] = (),
    ) -> None:
        self.repository = served if isinstance(served, Repository) else None
        self.served = served.server if isinstance(served, Repository) else served
        """The model; where there are several, what stands for the server."""
        self.draining = False
        self.active = self._large = 0
        self.limits = limits or Limits()
        self.origins = Origins(origins)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-requests")
        self._noted, self._unnoted = -math.inf, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._endpoints: dict[bytes, Endpoint] = {}
        self._others = Others(self)
        self._survey()
        if self.repository is not None:
            self.repository.changed = self._survey

    async def start(self) -> None:
        """Start what a model needs to answer.

        Raises:
            ServingError: it cannot be started.
        """
        if self.served.loaded and isinstance(self.served.model, PredictorModel):
            await self.served.model.workers.start()

    async def end(self) -> None:
        """End what was started."""
        for own in self.known:
            if own.loaded and isinstance(own.model, PredictorModel):
                await own.model.workers.close()

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
        return self.too_large(request) if length(request) > request.until else None

    def _admit_body(self, request: Request) -> None:
        request.endpoint = endpoint = self._endpoints.get(request.path)
        if endpoint is None or endpoint.method != "POST":
            request.endpoint = None
            self._handler(request)
            endpoint = request.endpoint
        request.most, request.until = endpoint.most, endpoint.until
        headers = request.headers
        if b"origin" in headers:
            self.origins.check(headers[b"origin"])
        check_addressed(headers.get(_PREDICTOR), endpoint.served)

    def respond(self, request: Request, to: Answering) -> None:
        """Answer a whole request, now or later."""
        endpoint: Endpoint | None = request.endpoint
        if endpoint is not None and endpoint.is_inference:
            self._infer(request, endpoint, to)
            return
        try:
            handler = self._handler(request)
            answer = handler(request, (request.endpoint or self._endpoints[_SERVER]).served)
        except Refusal as refusal:
            to.answer(request, self._refused(request, refusal))
            return
        if isinstance(answer, Response):
            to.answer(request, self.signed(request, answer))
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

    def _infer(self, request: Request, endpoint: Endpoint, to: Answering) -> None:
        try:
            served = endpoint.served
            self.check_room(served)
            if not served.loaded:
                self._later(request, to, self._infer_when_loaded(request, endpoint))
                return
            body: bytes | None = request.body
            if (name := request.headers.get(b"content-encoding")) is not None:
                body = self.unpacked_here(request, coding.coding_of(name))
            if body is None or len(body) > self.limits.inline:
                self._later(request, to, self._infer_aside(request, endpoint))
                return
            prepared = _prepared(request, endpoint, body)
        except Refusal as refusal:
            to.answer(request, self._refused(request, refusal))
            return
        self.active += 1
        served.active += 1
        served.ask(prepared, partial(self._answered, request, endpoint, to))

    def _answered(
        self,
        request: Request,
        endpoint: Endpoint,
        to: Answering,
        prepared: Prepared,
        answer: Answer | Refusal,
    ) -> None:
        """A request's turn has come."""
        self.active -= 1
        endpoint.served.active -= 1
        if isinstance(answer, Refusal):
            to.answer(request, self._refused(request, answer))
            return
        if endpoint.takes_rows:
            _put_in_rows(request, endpoint, prepared, answer)
        if (accepted := request.headers.get(b"accept-encoding")) is not None:
            wish = coding.wish_of(accepted)
            if wish.coding is not None and len(answer.body) >= wish.least:
                packed = self._packed(request, endpoint, prepared, answer, wish.coding)
                self._later(request, to, packed)
                return
        to.answer(request, self._inference(request, endpoint, prepared, answer))

    async def _infer_when_loaded(self, request: Request, endpoint: Endpoint) -> Response:
        await self.loaded(endpoint.served)
        return await self._infer_aside(request, endpoint)

    async def loaded(self, served: Served) -> None:
        """Wait until a model is loaded.

        Raises:
            Refusal: it cannot be, or not soon enough.
        """
        if not served.loaded:
            assert isinstance(served, Slot)
            assert self.repository is not None
            await self.repository.loaded(served)

    async def _infer_aside(self, request: Request, endpoint: Endpoint) -> Response:
        """An inference whose body, as it came or unpacked, is large."""
        endpoint.served.active += 1
        try:
            return await self._inferred_aside(request, endpoint)
        finally:
            endpoint.served.active -= 1

    async def _inferred_aside(self, request: Request, endpoint: Endpoint) -> Response:
        body = request.body
        name = request.headers.get(b"content-encoding")
        if name is not None and (packing := coding.coding_of(name)) is not None:
            body = await self.aside(partial(coding.unpacked, body, packing, request.most))
        if len(body) <= self.limits.inline and not endpoint.served.is_beside:
            prepared, answer = _whole(request, endpoint, body)
        else:
            prepared, answer = await self.aside(partial(_whole, request, endpoint, body))
        if isinstance(answer, Refusal):
            raise answer
        wish = coding.wish_of(request.headers.get(b"accept-encoding", b""))
        if wish.coding is not None and len(answer.body) >= wish.least:
            return await self._packed(request, endpoint, prepared, answer, wish.coding)
        return self._inference(request, endpoint, prepared, answer)

    def check_room(self, served: Served | None = None) -> None:
        """Refuse where too much is being answered, by all models or by this one.

        Raises:
            Refusal: (503) it is.
        """
        if self.active >= self.limits.active:
            what = f"{self.active} requests are being answered"
            raise Refusal(503, what, fix="try again in 1 s")
        if served is not None and served.active >= self.limits.each:
            what = f"{served.active} requests to {served.name!r} are being answered"
            raise Refusal(503, what, fix="try again in 1 s")

    def unpacked_here(self, request: Request, packing: bytes | None) -> bytes | None:
        """A body as it was before it was packed; None where that is no work for the event loop."""
        if packing is None:
            return request.body
        if len(request.body) * _DENSEST > self.limits.inline:
            return None
        return coding.unpacked(request.body, packing, request.most)

    async def _packed(
        self,
        request: Request,
        endpoint: Endpoint,
        prepared: Prepared,
        answer: Answer,
        wanted: bytes,
    ) -> Response:
        """The answer as the client wants it."""
        aside = len(answer.body) > self.limits.inline
        # A client may ask for packing, not rely on it: under too much work it is left out.
        if aside and self._large >= self.limits.large:
            return self._inference(request, endpoint, prepared, answer)
        pack = partial(coding.packed, answer.body, wanted)
        content = await self.aside(pack) if aside else pack()
        lines = line(b"content-encoding", wanted) + line(b"vary", b"accept-encoding")
        return self._inference(request, endpoint, prepared, answer, content, lines)

    def _inference(
        self,
        request: Request,
        endpoint: Endpoint,
        prepared: Prepared,
        answer: Answer,
        content: bytes | None = None,
        lines: bytes = b"",
    ) -> Response:
        """An answered inference, counted and remembered."""
        self._count(request, endpoint, 200)
        endpoint.served.remember(prepared, answer)
        lines += id_line(request.headers.get(_REQUEST_ID) or prepared.identity.encode())
        if answer.json_size is None:
            lines += answer.kind
        else:
            lines += _BYTES + line(_JSON_SIZE, b"%d" % answer.json_size)
        lines += self._signature(request)
        return Response(200, answer.body if content is None else content, lines)

    @staticmethod
    def _count(request: Request, endpoint: Endpoint, status: int) -> None:
        addressed = endpoint.names_version or _PREDICTOR in request.headers
        endpoint.served.count(status, request.began, addressed=addressed)

    # -- beside the event loop -------------------------------------------------------------------

    def _later(self, request: Request, to: Answering, answer: Awaitable[Response]) -> None:
        """Answer when it is there."""

        async def work() -> None:
            try:
                response = await answer
            except Refusal as refusal:
                response = self._refused(request, refusal)
            except Exception as error:  # noqa: BLE001  whatever it is, somebody waits
                response = self.failed(request, error)
            to.answer(request, response)

        self.run(work())

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Do what takes longer than a turn; it counts as a request that is being answered."""
        self.active += 1

        async def counted() -> None:
            try:
                await work
            finally:
                self.active -= 1

        task = asyncio.get_running_loop().create_task(counted())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Do it in the thread, so that health checks are answered meanwhile.

        Raises:
            Refusal: as many wait for the thread as may. Who comes back from it and goes there again
                at once keeps its place.
        """
        if self._large >= self.limits.large:
            raise Refusal(503, f"{self._large} large requests are waiting", fix="try again in 1 s")
        self._large += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._large -= 1

    # -- everything else -------------------------------------------------------------------------

    def _survey(self) -> None:
        """See what there is."""
        one, several = {self.served.name: self.served}, self.repository
        self._endpoints = endpoints(
            self._others.handlers,
            self.limits,
            server=self.served,
            current=one if several is None else several.current,
            versions=one.values() if several is None else several.slots,
        )

    @property
    def known(self) -> Sequence[Served]:
        """All models that there are."""
        return [self.served] if self.repository is None else self.repository.slots

    def endpoint(self, path: bytes) -> Endpoint:
        """What is at a path.

        Raises:
            Refusal: nothing is.
        """
        endpoint = self._endpoints.get(path)
        if endpoint is not None:
            return endpoint
        known = [own.decode() for own in self._endpoints]
        text = unquote(path.decode("latin-1"))
        if self.repository is None:
            raise about.nothing_at(text, self.served.model, known)
        if match := _LOAD.fullmatch(path):
            # It may be there by now.
            load = self._others.handlers[protocol.LOAD.name]
            new = Slot(match[1].decode(), "", "")
            return msgspec.structs.replace(self._endpoints[_INDEX], handler=load, served=new)
        raise about.nothing_in(text, self.repository.versions, known)

    def _handler(self, request: Request) -> Handler:
        """What answers a request.

        Raises:
            Refusal: nothing does.
        """
        path, method = request.path, request.method
        endpoint = self.endpoint(path)
        taken = endpoint.method
        if method == taken or (method == "HEAD" and taken == "GET"):
            request.endpoint = endpoint
            return endpoint.handler
        allow = line(b"allow", f"{'GET, HEAD' if taken == 'GET' else taken}, OPTIONS".encode())
        if method == "OPTIONS":
            return lambda *_: Response(204, b"", allow)
        raise Refusal(405, f"{path.decode()} takes {taken}, not {shown(method)}", lines=allow)

    def index(self, body: bytes) -> list[dict[str, str]]:
        """What the repository has; `body` says which of it is wanted."""
        if self.repository is None:
            return about.index(self.served.model, body, draining=self.draining)
        return self.repository.index(ready=about.wants_ready(body))

    def steering(self, name: str, body: bytes = b"", *, load: bool) -> Awaitable[object]:
        """Load or unload a model.

        Raises:
            Refusal: that is not done here, or there is no such model, or it cannot be loaded.
        """
        if self.repository is None:
            raise Refusal(
                403,
                "which version is served is a rollout's to decide; it is not loaded or unloaded "
                "here",
                fix="see millwright rollout",
            )
        about.check_steering(body)
        return self.repository.load(name) if load else self.repository.unload(name)

    # -- answering -------------------------------------------------------------------------------

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        if refusal.status >= 500:
            self.note(refusal)
        lines = JSON + refusal.lines
        endpoint: Endpoint | None = request.endpoint
        if endpoint is not None and endpoint.is_inference:
            self._count(request, endpoint, refusal.status)
            if given := request.headers.get(_REQUEST_ID):
                lines += id_line(given)
        if refusal.status == 503:
            lines += b"retry-after: 1\r\n"
        return Response(
            refusal.status,
            _encode({"error": refusal.sentence()}),
            lines + self._signature(request),
            close=refusal.status in (413, 503),
        )

    def note(self, refusal: Refusal) -> None:
        """Log it, once a second: under too much work a line for each would be more of it."""
        now = time.monotonic()
        if now - self._noted < 1.0:
            self._unnoted += 1
            return
        _log.warning("refused", status=refusal.status, why=refusal.what, others=self._unnoted)
        self._noted, self._unnoted = now, 0

    def _signature(self, request: Request) -> bytes:
        """What every answer says: who gives it, and which pages may read it."""
        endpoint: Endpoint | None = request.endpoint
        lines = self.served.lines if endpoint is None else endpoint.served.lines
        if not self.origins:
            return lines
        return lines + self.origins.lines(request.method, request.headers)

    def signed(self, request: Request, response: Response) -> Response:
        """The answer, with what every answer says."""
        lines = response.lines + self._signature(request)
        return Response(response.status, response.body, lines, response.close)


def _prepared(request: Request, endpoint: Endpoint, body: bytes) -> Prepared:
    headers = request.headers
    given = headers.get(_REQUEST_ID)
    identity = given.decode("latin-1") if given else f"{getrandbits(128):032x}"
    if endpoint.takes_rows:
        if arrow.is_wanted(headers):
            arrow.library()
        if arrow.is_arrow(headers):
            return endpoint.served.read_arrow(body, identity)
        return endpoint.served.read_rows(body, identity)
    return endpoint.served.read(body, identity, headers.get(_JSON_SIZE))


def _whole(request: Request, endpoint: Endpoint, body: bytes) -> tuple[Prepared, Answer | Refusal]:
    prepared = _prepared(request, endpoint, body)
    answer = endpoint.served.answer(prepared)
    if endpoint.takes_rows and not isinstance(answer, Refusal):
        _put_in_rows(request, endpoint, prepared, answer)
    return prepared, answer


def _put_in_rows(request: Request, endpoint: Endpoint, prepared: Prepared, answer: Answer) -> None:
    """Predictions in place of tensors, as JSON or Arrow."""
    if arrow.is_wanted(request.headers):
        answer.body, answer.kind = endpoint.served.in_arrow(prepared, answer), arrow.LINE
    else:
        answer.body = endpoint.served.in_rows(prepared, answer)
