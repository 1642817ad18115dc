"""What passes between a connection and what answers: requests, answers, and their form in bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Protocol

import httptools
import msgspec

from serving import protocol

MOST_HEAD = 64 * 2**10
"""Bytes of a request's head: its target and its headers."""
_OFFER = (b"upgrade", b"http2-settings")
"""Headers, and words of the header Connection, that offer another protocol."""
_STATUS = {s.value: b"HTTP/1.1 %d %s\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}
_REQUEST_ID = protocol.REQUEST_ID_HEADER.encode()
_ID_START = _REQUEST_ID + b": "
JSON = b"content-type: application/json\r\n"


class Request:
    """One request; `body` once it is whole."""

    body = b""
    began = 0.0
    """When it was whole, by `time.perf_counter`."""
    most = until = MOST_HEAD
    """Bytes that its body may have, and up to which it is read to be refused."""
    size = 0
    """Bytes of its body that have come."""
    endpoint: Any = None
    """What the site has found for it."""
    over = admitted = answered = told = old = False
    """`answered`: its answer is certain; `told`: that was sent, though its body still comes."""

    def __init__(self, method: str, path: bytes, headers: dict[bytes, bytes], keep: bool) -> None:
        self.method = method
        self.path = path
        """As it was sent, byte for byte, without its query."""
        self.headers = headers
        """By name in small letters; a repeated one is a list in one line (RFC 9110, 5.3)."""
        self.keep = keep
        """Whether the connection lives on."""
        self.parts: list[bytes] = []

    def waits(self) -> bool:
        """Whether the client sends the body only when it is told to (RFC 9110, 10.1.1)."""
        expected = self.headers.get(b"expect")
        return expected is not None and expected.lower() == b"100-continue" and not self.size


class Response(msgspec.Struct):
    """An answer; its headers are lines, each with its end."""

    status: int
    body: bytes
    lines: bytes = JSON
    close: bool = False


class Answering(Protocol):
    """Who waits for an answer."""

    def answer(self, request: Request, response: Response) -> None:
        """Take it."""


class Site(Protocol):
    """What answers requests."""

    draining: bool

    def admit(self, request: Request) -> Response | None:
        """Look at a head: set how large the body may be, or refuse it at once."""

    def too_large(self, request: Request) -> Response:
        """What a body is answered with that is larger than it may be."""

    def crowded(self, request: Request, what: str) -> Response:
        """What is answered to a request for which there is no room."""

    def failed(self, request: Request, error: Exception) -> Response:
        """What is answered where the site has a fault."""

    def respond(self, request: Request, to: Answering) -> None:
        """Answer a whole request, now or later."""


def line(name: bytes, value: bytes) -> bytes:
    """A header's line."""
    return b"%b: %b\r\n" % (name, value)


def id_line(value: bytes) -> bytes:
    """The request's id as a header."""
    if value.isalnum():
        return b"%b%b\r\n" % (_ID_START, value)
    return line(_REQUEST_ID, protocol.header_text(value.decode(errors="replace")).encode())


def length(request: Request) -> int:
    """Bytes that the body is said to have."""
    text = request.headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def rendered(
    response: Response, date: bytes, *, to: Request | None = None, close: bool = False
) -> bytes:
    """An answer's bytes.

    Args:
        response: the answer.
        date: the line that says when it is given.
        to: the request, where it was one.
        close: whether the connection ends with it.
    """
    body, start = response.body, _STATUS[response.status]
    size = (
        b"" if response.status == HTTPStatus.NO_CONTENT else b"content-length: %d\r\n" % len(body)
    )
    if close:
        size += b"connection: close\r\n"
    elif to is not None and to.old:
        size += b"connection: keep-alive\r\n"
    if to is not None and to.method == "HEAD":
        body = b""
    return b"%b%b%b%b\r\n%b" % (start, response.lines, date, size, body)


def refused(status: HTTPStatus, sentence: str) -> Response:
    """What no application sees, answered in the form of all refusals."""
    return Response(status, msgspec.json.encode({"error": sentence}), close=True)


NO_REQUEST = refused(HTTPStatus.BAD_REQUEST, "this is not a request in HTTP/1.1")


def late(what: str) -> Response:
    """What is answered where something did not come in time."""
    sentence = f"{what} in the time that it has; send it faster"
    return refused(HTTPStatus.REQUEST_TIMEOUT, sentence)


def too_long_a_head(target: bytes) -> Response:
    """What is answered to a head of more than `MOST_HEAD` bytes; `target` as far as it is known."""
    if 2 * len(target) > MOST_HEAD:
        status, name = HTTPStatus.REQUEST_URI_TOO_LONG, "target is"
    else:
        status, name = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers are"
    return refused(status, f"the request's {name} too long; a head has at most {MOST_HEAD} bytes")


def is_chunked(coding: bytes) -> bool:
    """Whether a body's transfer coding says where it ends (RFC 9112, 6.3)."""
    return coding.rpartition(b",")[2].strip().lower() == b"chunked"


def head_size(target: bytes, headers: dict[bytes, bytes]) -> int:
    """Bytes of a head."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers.items())


def plain_head(
    parser: httptools.HttpRequestParser, target: bytes, headers: dict[bytes, bytes]
) -> bytes:
    """The head of the request that a parser has read, without the offer of another protocol."""
    version = parser.get_http_version().encode()
    lines = [b"%s %s HTTP/%s" % (parser.get_method(), target, version)]
    for name, value in headers.items():
        if name == b"connection":
            tokens = (token.strip() for token in value.split(b","))
            value = b", ".join(token for token in tokens if token.lower() not in _OFFER)
        if name not in _OFFER:
            lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join((*lines, b"", b""))


def path_of(target: bytes) -> bytes:
    """The path of a target that has more than that, or another form (RFC 9112, 3.2).

    Raises:
        httptools.HttpParserError: it is no target.
    """
    if target == b"*":
        return target
    path: bytes | None = httptools.parse_url(target).path
    return path or b"/"
