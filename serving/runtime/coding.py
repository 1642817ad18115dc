"""Bodies that are sent smaller than they are: gzip and deflate, both ways.

A body's size is bounded after it is unpacked too, or a few bytes would fill the memory.

Source: RFC 9110, sections 8.4.1 (content codings; deflate is zlib's format, which some clients send
without its frame) and 12.5.3 (Accept-Encoding).
"""

from __future__ import annotations

import gzip
import zlib
from functools import lru_cache
from typing import NamedTuple

from serving.runtime.refusal import Refusal, shown

_WINDOW = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
_SAME = {b"x-gzip": b"gzip", b"": b"identity"}
_LEVEL = 1
_MEMBERS = 16
"""Of a gzip file at most: behind each of them zlib copies all that follows."""
_WORTH = 16 * 2**10
"""Bytes of an answer from which on a client that lists what it could read gets it packed; below,
packing costs more time than the network saves."""


def coding_of(header: bytes) -> bytes | None:
    """The coding that a Content-Encoding names; None for none.

    Raises:
        Refusal: it is not one that is spoken here.
    """
    name = header.strip().lower()
    name = _SAME.get(name, name)
    if name == b"identity":
        return None
    if name not in _WINDOW:
        raise Refusal(
            415,
            f"content-encoding {shown(header.decode('latin-1'))} is not spoken here; "
            "send gzip, deflate or identity",
        )
    return name


def unpacked(body: bytes, coding: bytes, most: int) -> bytes:
    """A body as it was before it was packed.

    Args:
        body: as it came.
        coding: of `coding_of`.
        most: how many bytes it may have.

    Raises:
        Refusal: it is not so packed, larger than it may be, or in too many pieces.
    """
    window = _WINDOW[coding]
    if coding == b"deflate" and not _framed(body):
        window = -zlib.MAX_WBITS
    parts: list[bytes] = []
    size = 0
    try:
        while body:
            if len(parts) == _MEMBERS:
                raise Refusal(
                    400,
                    f"the body is packed in more than {_MEMBERS} pieces, one behind the other",
                    fix="pack it as a whole",
                )
            unpacker = zlib.decompressobj(window)
            parts.append(unpacker.decompress(body, most + 1 - size))
            size += len(parts[-1])
            if size > most:
                raise Refusal(
                    413,
                    f"the body is larger than {most} bytes when it is unpacked",
                    fix="send less in each request",
                )
            if not unpacker.eof:
                raise zlib.error("it ends too early")
            body = unpacker.unused_data  # a gzip file may have several members
    except zlib.error as error:
        raise Refusal(400, f"the body is not {coding.decode()}: {error}") from None
    return b"".join(parts)


def _framed(body: bytes) -> bool:
    """Whether it begins as zlib's format does (RFC 1950, section 2.2)."""
    return len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0


class Wish(NamedTuple):
    """How a client wants answers packed."""

    coding: bytes | None
    least: int
    """Bytes of an answer from which on it is done."""


_PLAIN = Wish(None, 0)


@lru_cache(maxsize=256)
def wish_of(header: bytes) -> Wish:
    """What an Accept-Encoding asks for.

    Who names one coding alone wants it; a list is what libraries send by themselves, and is
    followed where it is worth it.
    """
    given: dict[bytes, float] = {}
    for part in header.lower().split(b","):
        name, _, parameters = part.partition(b";")
        name = _SAME.get(name.strip(), name.strip())
        given[name] = _quality(parameters)
    others = given.get(b"*", 0.0)
    qualities = {name: given.get(name, others) for name in (b"gzip", b"deflate")}
    best = max(qualities, key=lambda name: qualities[name])
    if qualities[best] <= 0 or given.get(b"identity", 0.0) > qualities[best]:
        return _PLAIN
    return Wish(best, 0 if set(given) <= {best, b"identity"} else _WORTH)


def _quality(parameters: bytes) -> float:
    for parameter in parameters.split(b";"):
        name, _, text = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return min(1.0, max(0.0, float(text)))
            except ValueError:
                return 0.0
    return 1.0


def packed(body: bytes, coding: bytes) -> bytes:
    """A body made smaller."""
    if coding == b"gzip":
        return gzip.compress(body, _LEVEL, mtime=0)
    return zlib.compress(body, _LEVEL)
