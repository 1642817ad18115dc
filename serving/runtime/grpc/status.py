"""How a call ends: gRPC's status codes, beside the HTTP status that says the same.

A call that fails is an answer with HTTP status 200 whose trailers say otherwise. Who counts
failures must know which of gRPC's codes are a server's: they are those whose HTTP status, by this
table, begins with a 5.

Sources: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md and PROTOCOL-HTTP2.md;
google/rpc/code.proto, which names the HTTP status of each.
"""

from __future__ import annotations

from enum import IntEnum
from urllib.parse import quote

from serving.runtime.refusal import Refusal, shown

_SAFE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_MOST_MESSAGE = 2**10
"""Characters of a sentence: clients take no more than 8 KiB of trailers."""
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Status(IntEnum):
    """gRPC's codes that are given here."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


_OF_HTTP = {
    400: Status.INVALID_ARGUMENT,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    405: Status.UNIMPLEMENTED,
    408: Status.CANCELLED,
    413: Status.RESOURCE_EXHAUSTED,
    415: Status.UNIMPLEMENTED,
    421: Status.FAILED_PRECONDITION,
    499: Status.CANCELLED,
    501: Status.UNIMPLEMENTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}


def status_of(refusal: Refusal) -> Status:
    """The code of a refusal, by its HTTP status."""
    return _OF_HTTP.get(refusal.status, Status.INTERNAL)


def message(sentence: str) -> bytes:
    """A sentence as a trailer holds it."""
    if len(sentence) > _MOST_MESSAGE:
        sentence = f"{sentence[:_MOST_MESSAGE]}…"
    return quote(sentence, safe=_SAFE).encode()


def timeout_of(value: bytes) -> float:
    """The seconds that a client gives a call, of its header ``grpc-timeout``.

    Raises:
        Refusal: it is none.
    """
    digits, unit = value[:-1], _UNITS.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 8:
        raise Refusal(
            400,
            f"grpc-timeout is {shown(value.decode('latin-1'))}; expected up to 8 digits and one of "
            "H, M, S, m, u and n",
        )
    return int(digits) * unit
