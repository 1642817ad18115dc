"""Streams for `benchmarks.fuzz`: requests, right ones and ones whose framing is changed."""

from __future__ import annotations

import json
import random
import re
from typing import NamedTuple

from benchmarks.peers.plain_asgi import INFERENCE, ROUTE


class Stream(NamedTuple):
    """What a client does: pieces to send, pauses in seconds, and how it ends.

    Args:
        pieces: bytes to send and seconds to wait.
        end: "wait" for answers, "half" (send no more, and wait), "reset", or "leave" unread.
    """

    pieces: tuple[bytes | float, ...]
    end: str = "wait"

    @property
    def data(self) -> bytes:
        """All that it sends."""
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    def slowly(self, seconds: float) -> Stream:
        """The same with a pause after each piece and each line."""
        pieces = re.findall(rb"[^\n]*\n|[^\n]+", self.data)
        return self._replace(pieces=tuple(part for piece in pieces for part in (piece, seconds)))


CONTENT = json.dumps(INFERENCE).encode()
PATHS = (*ROUTE, b"/", b"/nowhere", b"/v2/", b"/v2//health/live", b"/v2/health/%6cive", b"/v2/\xe4")
METHODS: tuple[bytes, ...] = (
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"PATCH",
    b"TRACE",
    b"get",
)
METHODS += (b"CONNECT", b"PRI", b"G\0T", b"", b"M-SEARCH", b"QUERY", b"X" * 40)
VERSIONS = (b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"http/1.1", b"", b"H")
TARGETS: tuple[bytes, ...] = (
    b"http://x/v2",
    b"http://x",
    b"x:80",
    b"*",
    b"//x/v2",
    b"http://[::1]:1/v2?a",
    b"http:///",
)
TARGETS += (
    b"/v2?a=b",
    b"/v2#a",
    b"/v2/health/live?%00",
    b"/v2%",
    b"/v2 ",
    b"?",
    b"",
    b"https://x/v2",
)
TARGETS += (b"/" + b"a" * 70_000, b"/v2;a", b"/\x7f", b"http://u:p@x/v2", b"ftp://x/v2", b"/v2\t")
SIZES: tuple[bytes, ...] = (
    b"",
    b"0",
    b"-1",
    b"+5",
    b"5;a=b",
    b"5 ",
    b" 5",
    b"0x5",
    b"5\t;a",
    b"g",
    b"00000005",
    b"f" * 16,
)
SIZES += (b"f" * 17, b'5;a="\n"', b"5;", b"3", b"7", b"5\r", b"000")
HEADERS: tuple[bytes, ...] = (
    *(
        b"content-length: " + size
        for size in (b"0", b"5", b"-1", b"+5", b"5, 5", b"05", b"5 5", b"x")
    ),
    *(
        b"content-length: " + size
        for size in (b"", b"9" * 25, b"99999", b"0x5", b"5\x0b", b"70000")
    ),
    *(
        b"transfer-encoding: " + name
        for name in (b"chunked", b"Chunked", b"gzip, chunked", b"xchunked")
    ),
    *(
        b"transfer-encoding: " + name
        for name in (b"chunked, gzip", b"", b"identity", b"chunked\t", b"\x0bchunked")
    ),
    *(
        b"connection: " + word
        for word in (b"close", b"keep-alive", b"upgrade", b"close, keep-alive", b"x")
    ),
    *(
        b"connection: " + word
        for word in (b"CLOSE", b"te, close", b"keep-alive, upgrade", b",", b"")
    ),
    *(b"upgrade: " + name for name in (b"h2c", b"websocket", b"", b"TLS/1.2, h2c")),
    *(b"expect: " + word for word in (b"100-continue", b"100-Continue", b"200-ok", b"")),
    *(
        b"x: " + value
        for value in (b"a\0b", b"\xff", b"a\rb", b"\t", b"a" * 70_000, b"a\x01b", b"a\x7f")
    ),
    *(
        b"x : y",
        b"x",
        b": y",
        b"x y: z",
        b"\xe4: y",
        b"(: y",
        b" x: y",
        b"x\t: y",
        b"host: y",
        b"host:",
    ),
    *(b"http2-settings: AAMAAABk", b"proxy-connection: close", b"te: trailers", b"trailer: x"),
    *(
        b"keep-alive: timeout=5",
        b"content-length : 5",
        b"transfer-encoding : chunked",
        b"x-request-id: a",
    ),
)
ENDS = (
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\r",
    b"",
    b"\r\n\r\n",
    b" \r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\0\r\n",
)
OCTETS = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"\x80",
    b"\xff",
    b"\x0b",
    b"%",
    b"\x7f",
    b",",
)


def request(choose: random.Random) -> list[bytes]:
    """A right request in its parts: the first line, headers, an empty line, pieces of a body."""
    path = choose.choice(PATHS if choose.random() < 0.2 else tuple(ROUTE))
    route = ROUTE.get(path)
    method = (
        route.method.encode() if route and choose.random() < 0.9 else choose.choice(METHODS[:4])
    )
    head = [b"%s %s HTTP/1.1\r\n" % (method, path), b"host: x\r\n"]
    head += [choose.choice(HEADERS) + b"\r\n" for _ in range(choose.choice((0, 0, 0, 0, 0, 1, 2)))]
    if method != b"POST" and choose.random() < 0.9:
        return [*head, b"\r\n"]
    body = CONTENT if choose.random() < 0.8 else choose.choice((b"", b"{}", b"[]", b" " * 300))
    if choose.random() < 0.5:
        return [*head, b"content-length: %d\r\n" % len(body), b"\r\n", body]
    cut = choose.randint(0, len(body))
    parts = [part for part in (body[:cut], body[cut:]) if part]
    chunks = [piece for part in parts for piece in (b"%x\r\n" % len(part), part + b"\r\n")]
    trailer = [b"x: y\r\n"] * (choose.random() < 0.2)
    return [*head, b"transfer-encoding: chunked\r\n", b"\r\n", *chunks, b"0\r\n", *trailer, b"\r\n"]


def mutated(choose: random.Random, parts: list[bytes]) -> list[bytes]:
    """The same with one thing changed."""
    parts, at = list(parts), choose.randrange(len(parts))
    part = parts[at]
    match choose.randrange(11):
        case 0:
            parts[at] = part.replace(b"\r\n", choose.choice(ENDS))
        case 1:
            del parts[at]
        case 2:
            parts.insert(at, part)
        case 3:
            parts.insert(at, parts.pop(choose.randrange(len(parts))))
        case 4 | 5:
            parts.insert(1, choose.choice(HEADERS) + b"\r\n")
        case 6:
            words = parts[0].split(b" ")
            place = choose.randrange(3)
            if place < len(words):
                words[place] = choose.choice((METHODS, TARGETS, VERSIONS)[place])
            parts[0] = b" ".join(words) + b"\r\n" * (place == 2)
        case 7:
            sizes = [n for n, text in enumerate(parts) if re.fullmatch(rb"[0-9a-f]+\r\n", text)]
            if sizes:
                parts[choose.choice(sizes)] = choose.choice(SIZES) + b"\r\n"
        case 8 | 9:
            place = choose.randint(0, len(part))
            parts[at] = part[:place] + choose.choice(OCTETS) + part[place + choose.randrange(2) :]
        case 10:
            parts[at] = part.swapcase()
    return parts or [b"\r\n"]


def made(choose: random.Random) -> Stream:
    """A stream of one to six requests."""
    parts: list[bytes] = []
    for _ in range(choose.choice((1, 1, 1, 2, 2, 3, 6))):
        own = request(choose)
        for _ in range(choose.choice((0, 0, 1, 1, 2, 3))):
            own = mutated(choose, own)
        parts += own
    if choose.random() < 0.1:
        del parts[choose.randint(1, len(parts)) :]  # abandoned
    pieces: list[bytes | float] = list(parts)
    for _ in range(choose.choice((0, 0, 0, 1, 2, 5))):
        at = choose.randrange(len(pieces))
        piece = pieces[at]
        if isinstance(piece, bytes) and piece:
            cut = choose.randrange(len(piece))
            pieces[at : at + 1] = [piece[:cut], choose.choice((0.001, 0.01, 0.05)), piece[cut:]]
    end = choose.choices(("wait", "half", "reset", "leave"), (75, 15, 5, 5))[0]
    return Stream(tuple(piece for piece in pieces if piece), end)
