"""The services that are spoken here: what each method does, by its path.

What they say of server and model is what REST says (`serving.runtime.about`), and an inference is
counted, remembered and bounded as one of REST is.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import lru_cache, partial
from http import HTTPStatus
from random import getrandbits
from typing import Any
from urllib.parse import quote

import msgspec
import structlog

from serving import protocol
from serving.runtime import about, coding
from serving.runtime.app import App
from serving.runtime.connections import Connections
from serving.runtime.endpoints import Endpoint, check_addressed
from serving.runtime.grpc import heads, inference, reflection
from serving.runtime.grpc.calls import Call, Method, is_grpc
from serving.runtime.grpc.health import Health
from serving.runtime.grpc.inference import parsed
from serving.runtime.grpc.rest import Rest
from serving.runtime.grpc.schema import INFERENCE, REFLECTIONS, message
from serving.runtime.grpc.streams import Exchange, Stream
from serving.runtime.messages import refused
from serving.runtime.model import Answer, Prepared
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served

_log = structlog.get_logger("serving.runtime")
_NOT_GRPC = "a call of gRPC has the content-type application/grpc; send protobuf"
_DENSEST = 16
"""A packed message is taken for this many times its size, when it is decided where it is unpacked.
"""
_PREDICTOR = protocol.PREDICTOR_HEADER.encode()
_REQUEST_ID = protocol.REQUEST_ID_HEADER.encode()


class Asked(msgspec.Struct):
    """What is known of a call of ModelInfer."""

    served: Served
    prepared: Prepared | None = None


class _NotLoaded(Exception):  # noqa: N818  what it is to the call
    """The model that a call is of has to be loaded first."""


class Services:
    """Answers calls.

    Args:
        app: what answers REST, and bounds the work of both.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.health = Health(lambda: app.draining)
        infer = Method(
            take=self._infer,
            most=app.limits.body,
            unpacks=True,
            opens=self._open,
            gone=self._gone,
            refused=self._refused,
        )
        own = {
            "ServerLive": self._plain("ServerLive", lambda _: {"live": True}),
            "ServerReady": self._plain("ServerReady", lambda _: {"ready": not app.draining}),
            "ModelReady": self._plain("ModelReady", self._model_ready),
            "ServerMetadata": self._plain("ServerMetadata", lambda _: about.SERVER),
            "ModelMetadata": self._plain("ModelMetadata", self._model),
            "ModelInfer": infer,
            "RepositoryIndex": self._plain("RepositoryIndex", self._index),
            "RepositoryModelLoad": self._steering("RepositoryModelLoad", load=True),
            "RepositoryModelUnload": self._steering("RepositoryModelUnload", load=False),
        }
        start = f"/{protocol.CALLS}/"
        self.methods: dict[bytes, Method] = {
            **{f"{start}{name}".encode(): method for name, method in own.items()},
            **self.health.methods(),
        }
        for file in REFLECTIONS:
            self.methods |= reflection.methods(file)
        self._blocks: dict[bytes, bytes] = {}

    def begin(self, connections: Connections, stream: Stream) -> Exchange:
        """What answers a request in HTTP/2: a call's, or one of REST."""
        method = self.methods.get(stream.headers[b":path"])
        if is_grpc(stream.headers):
            block = self._block(self._app.served)
            return Call(stream, method, block=block, guard=self._guard, failed=self._failed)
        if method is None:
            return Rest(stream, connections)
        refusal = refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _NOT_GRPC)
        return Rest(stream, connections, refusal)

    def _guard(self, call: Call) -> None:
        """Refuse what REST would refuse of any request."""
        headers = call.headers
        if headers[b":method"] != b"POST":
            raise Refusal(405, "a call of gRPC is a POST")
        if (origin := headers.get(b"origin")) is not None:
            self._app.origins.check(origin)

    def _failed(self, call: Call, error: Exception) -> Refusal:
        _log.error("failed", path=call.headers[b":path"].decode("latin-1"), exc_info=error)
        return Refusal(500, "the server has a fault; see its log")

    def _block(self, served: Served) -> bytes:
        """The headers of every answer of a model's."""
        if served.lines not in self._blocks:
            lines = served.lines.split(b"\r\n")
            pairs = [line.partition(b": ")[::2] for line in lines if line]
            self._blocks[served.lines] = heads.block(pairs)
        return self._blocks[served.lines]

    # -- what is no inference --------------------------------------------------------------------

    def _plain(self, name: str, answer: Any) -> Method:
        """A method that gives a message's fields at once."""
        taken, given = (message(INFERENCE, own) for own in INFERENCE.methods[name])

        def take(call: Call, content: bytes) -> None:
            self._app.check_room()
            call.answer(given(**answer(parsed(taken, content))).SerializeToString())

        return Method(take=take)

    def _endpoint(self, route: protocol.Route, name: str, version: str) -> Endpoint:
        """What is at a model's path in REST, or why nothing is."""
        if not name:
            raise Refusal(400, "no model is named; expected its name")
        return self._app.endpoint(_path(route, name, version))

    def _model_ready(self, asked: Any) -> dict[str, object]:
        served = self._endpoint(protocol.MODEL_READY, asked.name, asked.version).served
        return {"ready": served.ready and not self._app.draining}

    def _model(self, asked: Any) -> dict[str, object]:
        served = self._endpoint(protocol.MODEL, asked.name, asked.version).served
        if not served.loaded:
            what = f"model {served.name!r} is not loaded"
            raise Refusal(503, what, fix="it is loaded when it is asked for a prediction")
        known = about.metadata(served.model)
        fields = ("name", "datatype", "shape")
        for side in ("inputs", "outputs"):
            known[side] = [{own: tensor[own] for own in fields} for tensor in known[side]]
        return known

    def _index(self, asked: Any) -> dict[str, object]:
        return {"models": self._app.index(b'{"ready":true}' if asked.ready else b"")}

    def _steering(self, name: str, *, load: bool) -> Method:
        """A method that loads or unloads a model, where that is done here."""
        taken, given = (message(INFERENCE, own) for own in INFERENCE.methods[name])
        answer = given().SerializeToString()

        def take(call: Call, content: bytes) -> None:
            app = self._app
            app.check_room()
            asked = parsed(taken, content)
            body = b""
            if asked.parameters:
                body = msgspec.json.encode({"parameters": inference.parameters(asked.parameters)})
            app.run(done(call, app.steering(asked.model_name, body, load=load)))

        async def done(call: Call, work: Awaitable[object]) -> None:
            try:
                await work
            except Refusal as refusal:
                call.refuse(refusal)
            except Exception as error:  # noqa: BLE001  whatever it is, somebody waits
                call.refuse(self._failed(call, error))
            call.answer(answer)

        return Method(take=take)

    # -- inference -------------------------------------------------------------------------------

    def _open(self, call: Call) -> None:
        call.model = Asked(self._app.served)
        if (given := call.headers.get(_REQUEST_ID)) is not None:
            call.block += _identity(given.decode("latin-1"))

    def _infer(self, call: Call, content: bytes) -> None:
        app = self._app
        app.check_room()
        packing, size = call.packing if call.is_packed else None, len(content)
        if (size if packing is None else size * _DENSEST) > app.limits.inline:
            app.run(self._infer_aside(call, content, packing))
            return
        if packing is not None:
            content = coding.unpacked(content, packing, app.limits.body)
        try:
            prepared = self._prepared(call, content)
        except _NotLoaded:
            app.run(self._infer_aside(call, content, None))
            return
        assert isinstance(call.model, Asked)
        served = call.model.served
        app.check_room(served)
        app.active += 1
        served.active += 1
        served.ask(prepared, partial(self._answered, call))

    def _prepared(self, call: Call, content: bytes) -> Prepared:
        """A call's message, read and checked."""
        asked, state, headers = inference.read(content), call.model, call.headers
        assert isinstance(state, Asked)
        endpoint = self._endpoint(protocol.INFER, asked.model_name, asked.model_version)
        state.served = endpoint.served
        check_addressed(headers.get(_PREDICTOR), endpoint.served)
        if not endpoint.served.loaded:
            raise _NotLoaded
        given = headers.get(_REQUEST_ID)
        identity = given.decode("latin-1") if given else f"{getrandbits(128):032x}"
        prepared = state.prepared = inference.prepared(endpoint.served, asked, identity)
        return prepared

    async def _infer_aside(self, call: Call, content: bytes, packing: bytes | None) -> None:
        """An inference whose message is large, as it came or unpacked."""

        def work() -> tuple[Prepared, Answer | Refusal]:
            if call.over:
                raise Refusal(499, "nobody waits for it")
            plain = content
            if packing is not None:
                plain = coding.unpacked(content, packing, self._app.limits.body)
            prepared = self._prepared(call, plain)
            assert isinstance(call.model, Asked)
            return prepared, call.model.served.answer(prepared)

        try:
            try:
                result = await self._app.aside(work)
            except _NotLoaded:
                assert isinstance(call.model, Asked)
                await self._app.loaded(call.model.served)
                result = await self._app.aside(work)
            self._give(call, *result)
        except Refusal as refusal:
            call.refuse(refusal)
        except Exception as error:  # noqa: BLE001  whatever it is, somebody waits
            call.refuse(self._failed(call, error))

    def _answered(self, call: Call, prepared: Prepared, answer: Answer | Refusal) -> None:
        """A call's turn has come."""
        assert isinstance(call.model, Asked)
        self._app.active -= 1
        call.model.served.active -= 1
        self._give(call, prepared, answer)

    def _give(self, call: Call, prepared: Prepared, answer: Answer | Refusal) -> None:
        if call.over:
            return
        if isinstance(answer, Refusal):
            call.refuse(answer)
            return
        state = call.model
        assert isinstance(state, Asked)
        self._count(call, state, 200)
        state.served.remember(prepared, answer)
        if _REQUEST_ID not in call.headers:
            call.block += _identity(prepared.identity)
        call.answer(answer.body)

    def _gone(self, call: Call) -> None:
        state = call.model
        if isinstance(state, Asked) and state.prepared is not None:
            state.prepared.gone = True

    def _refused(self, call: Call, refusal: Refusal) -> None:
        if refusal.status >= 500:
            self._app.note(refusal)
        self._gone(call)
        if isinstance(call.model, Asked):
            self._count(call, call.model, refusal.status)

    @staticmethod
    def _count(call: Call, state: Asked, status: int) -> None:
        # A version's name is inside the message, where no front door sees it.
        state.served.count(status, call.began, addressed=_PREDICTOR in call.headers)


@lru_cache(maxsize=256)
def _path(route: protocol.Route, name: str, version: str) -> bytes:
    name, version = quote(name, safe=""), quote(version, safe="")
    path = route.of_version(name, version) if version else route.of(name)
    return path.encode()


def _identity(text: str) -> bytes:
    return heads.block([(_REQUEST_ID, protocol.header_text(text).encode())])
