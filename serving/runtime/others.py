"""Everything that is no inference: what a server says of itself and of its models, and feedback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from random import getrandbits
from typing import TYPE_CHECKING, Literal

import msgspec

from serving import protocol
from serving.runtime import about, coding
from serving.runtime.counters import exposition
from serving.runtime.endpoints import Handler
from serving.runtime.explaining.thread import ExplainingThread
from serving.runtime.messages import JSON, Request, Response, id_line
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served
from serving.runtime.store import UnreachableError

if TYPE_CHECKING:
    from serving.runtime.app import App

_TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
_REQUEST_ID = protocol.REQUEST_ID_HEADER.encode()
_encode = msgspec.json.encode


class Others:
    """What answers the routes that are no inferences.

    Args:
        app: whose models, and bounds, they are.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._explanations = ExplainingThread()
        server = about.SERVER if app.repository is None else about.REPOSITORY_SERVER
        self.handlers: dict[str, Handler] = {
            "server": self._constant(server),
            "live": self._constant({"live": True}),
            "ready": self._ready,
            "index": self._asked(self._index),
            "load": self._asked(self._load),
            "unload": self._asked(self._unload),
            "all_stats": self._statistics,
            "model": self._described("metadata"),
            "model_ready": self._model_ready,
            "config": self._described("config"),
            "stats": self._statistics,
            "feedback": self._asked(lambda body, served: served.judge(body)),
            "explain": self._explained,
            "metrics": self._metrics,
        }
        """By the route's name."""

    @staticmethod
    def _constant(value: object) -> Handler:
        response = Response(200, _encode(value))
        return lambda *_: response

    def _ready(self, request: Request, served: Served) -> Response:
        ready = not self._app.draining and (
            self._app.repository is not None or self._app.served.ready
        )
        return Response(200 if ready else 503, _encode({"ready": ready}))

    def _model_ready(self, request: Request, served: Served) -> Response:
        ready = served.ready and not self._app.draining
        return Response(200 if ready else 503, _encode({"name": served.name, "ready": ready}))

    def _metrics(self, request: Request, served: Served) -> Response:
        return Response(200, exposition(own.counters.merged() for own in self._app.known), _TEXT)

    def _statistics(self, request: Request, served: Served) -> Response:
        asked = [served] if served.name else self._app.known
        known = [(own.name, own.version, own.counters.merged()) for own in asked]
        return Response(200, _encode(about.statistics(known)))

    def _described(self, what: Literal["metadata", "config"]) -> Handler:
        """What answers with what a model says of itself; one that is not loaded is, for that."""

        def respond(request: Request, served: Served) -> Response | Awaitable[Response]:
            return getattr(served, what) if served.loaded else load(request, served)

        async def load(request: Request, served: Served) -> Response:
            await self._app.loaded(served)
            return self._app.signed(request, getattr(served, what))

        return respond

    def _asked(self, answer: Callable[[bytes, Served], object]) -> Handler:
        """What answers a body that is no inference."""

        def respond(request: Request, served: Served) -> Response | Awaitable[Response]:
            self._app.check_room()
            name = request.headers.get(b"content-encoding")
            body = self._app.unpacked_here(request, coding.coding_of(name) if name else None)
            if body is None:
                return unpack(request, served)
            value = answer(body, served)
            return finish(request, value) if isawaitable(value) else Response(200, _encode(value))

        async def unpack(request: Request, served: Served) -> Response:
            packing = coding.coding_of(request.headers[b"content-encoding"])
            assert packing is not None
            work = partial(coding.unpacked, request.body, packing, request.most)
            value = answer(await self._app.aside(work), served)
            return await finish(request, value)

        async def finish(request: Request, value: object) -> Response:
            if isawaitable(value):
                value = await value
            return self._app.signed(request, Response(200, _encode(value)))

        return respond

    async def _explained(self, request: Request, served: Served) -> Response:
        """Why a model predicts what it does."""
        self._app.check_room()
        await self._app.loaded(served)
        body = request.body
        name = request.headers.get(b"content-encoding")
        if name is not None and (packing := coding.coding_of(name)) is not None:
            body = await self._app.aside(partial(coding.unpacked, body, packing, request.most))
        given = request.headers.get(_REQUEST_ID)
        identity = given.decode("latin-1") if given else f"{getrandbits(128):032x}"
        served.active += 1
        try:
            content = await self._explanations.answer(served, body, identity)
        finally:
            served.active -= 1
        lines = JSON + id_line(given or identity.encode())
        return self._app.signed(request, Response(200, content, lines))

    def _index(self, body: bytes, served: Served) -> object:
        return self._app.index(body) if self._app.repository is None else self._index_anew(body)

    async def _index_anew(self, body: bytes) -> object:
        """The index of what is in the repository now."""
        assert self._app.repository is not None
        about.wants_ready(body)
        try:
            await self._app.repository.refresh()
        except UnreachableError as error:
            raise Refusal(503, error.what, fix=error.fix) from None
        return self._app.index(body)

    def _load(self, body: bytes, served: Served) -> object:
        return self._app.steering(served.name, body, load=True)

    def _unload(self, body: bytes, served: Served) -> object:
        return self._app.steering(served.name, body, load=False)
