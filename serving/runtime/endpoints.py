"""What is at each path of a server: made from `serving.protocol`'s table, looked up once a request.

Paths are exact, byte for byte, and there are only those of models that there are: what a client
writes is looked for here and used for nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from serving import protocol
from serving.runtime.limits import Limits
from serving.runtime.messages import Request, Response
from serving.runtime.refusal import Refusal, shown
from serving.runtime.served import Served

Handler = Callable[[Request, Served], Response | Awaitable[Response]]


class Endpoint(msgspec.Struct, frozen=True):
    """What is at a path."""

    method: str
    handler: Handler
    served: Served
    """The model that it is of; where it is of none, what stands for the server."""
    most: int
    """Bytes that a body may have."""
    until: int
    """Bytes up to which a larger one is read to be refused."""
    is_inference: bool = False
    takes_rows: bool = False
    """Whether it is an inference of rows in place of tensors."""
    names_version: bool = False


def endpoints(
    handlers: Mapping[str, Handler],
    limits: Limits,
    *,
    server: Served,
    current: Mapping[str, Served],
    versions: Iterable[Served],
) -> dict[bytes, Endpoint]:
    """What is at each path.

    Args:
        handlers: by the route's name; what has none is answered in turns.
        limits: how large bodies may be.
        server: what stands for the server where a path is of no model.
        current: of each model the version that answers where none is named.
        versions: all of them.
    """
    every = list(versions)
    table: dict[bytes, Endpoint] = {}
    for route in protocol.ROUTES:
        inference = route in protocol.INFERENCES
        has_rows = route in (protocol.FEEDBACK, protocol.EXPLAIN)
        most = limits.feedback if has_rows else limits.other
        most = limits.body if inference else min(most, limits.body)
        endpoint = Endpoint(
            method=route.method,
            handler=handlers.get(route.name, _never),
            served=server,
            most=most,
            # Reading on for a while lets an ordinary client read the refusal instead of a reset.
            until=4 * most if inference else most,
            is_inference=inference,
            takes_rows=route is protocol.PREDICT,
        )
        if "{model}" not in route.path:
            table[route.path.encode()] = endpoint
            continue
        for name, served in current.items():
            # In front of a model that is named as a route is.
            table[route.of(name).encode()] = msgspec.structs.replace(endpoint, served=served)
        for served in every if route.versioned else ():
            path = route.of_version(served.name, served.version).encode()
            table[path] = msgspec.structs.replace(endpoint, served=served, names_version=inference)
    return table


def check_addressed(addressed: bytes | None, served: Served) -> None:
    """Refuse what is addressed to another predictor.

    Raises:
        Refusal: (421) it is.
    """
    predictor = served.predictor
    if addressed is not None and addressed != predictor and predictor:
        raise Refusal(
            421,
            f"this is predictor {predictor.decode()!r}, and the request is addressed to "
            f"{shown(addressed.decode('latin-1'))}",
        )


async def _never(request: Request, served: Served) -> Response:
    raise AssertionError("an inference is answered in turns")
