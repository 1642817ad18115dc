"""Header blocks of HTTP/2: what a request says before its body, and what an answer says.

A client of gRPC sends the same head with each call, and HPACK makes it a few bytes that point into
a table. Such a block is decoded once: as long as the table is not changed, equal bytes mean equal
headers. What an answer says is written without that table, so no state is kept for it.

Sources: RFC 7541 (HPACK); RFC 9113, section 8.
"""

from __future__ import annotations

from collections.abc import Iterable

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from serving.runtime.grpc.frames import Code, ConnectionFault, StreamFault

MOST_HEADERS = 16 * 2**10
"""Bytes of a request's head: of its block, and of its headers when they are unpacked, where each
counts for 32 bytes more than it has (RFC 9113, 6.5.2)."""
_KEPT = 64
"""Blocks of a connection that are remembered."""
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_NEEDED = frozenset((b":method", b":scheme", b":path"))
_OF_CONNECTIONS = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_NAME = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_BREAKS = (b"\0", b"\r", b"\n")

Headers = dict[bytes, bytes]


class _Table(HeaderTable):
    """HPACK's table, which says how often it was changed."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)


class Heads:
    """Reads the header blocks of one connection, in the order in which they come."""

    def __init__(self) -> None:
        self._decoder = Decoder(MOST_HEADERS)
        self._table = self._decoder.header_table = _Table()
        self._kept: dict[bytes, Headers] = {}

    def request(self, block: bytes) -> Headers:
        """A request's headers by name, also those that begin with a colon; not to be changed.

        Raises:
            ConnectionFault: the block cannot be read, and so none after it can.
            StreamFault: the headers are none of a request.
        """
        kept = self._kept.get(block)
        if kept is not None:
            return kept
        changes, size = self._table.changes, self._table.maxsize
        headers = _checked(self._decoded(block))
        if changes != self._table.changes or size != self._table.maxsize:
            self._kept.clear()
        elif len(self._kept) < _KEPT:
            self._kept[block] = headers
        return headers

    def are_trailers(self, block: bytes) -> bool:
        """Whether a block may follow a body. Nobody reads it, but it may change the table."""
        self._kept.clear()
        names = [name for name, _ in self._decoded(block)]
        return not any(name[:1] == b":" for name in names)

    def _decoded(self, block: bytes) -> Iterable[tuple[bytes, bytes]]:
        try:
            pairs: Iterable[tuple[bytes, bytes]] = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            what = f"the headers are larger than {MOST_HEADERS} bytes"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, what) from None
        except (HPACKError, IndexError, ValueError):
            what = "a header block cannot be read"
            raise ConnectionFault(Code.COMPRESSION_ERROR, what) from None
        return pairs


def _checked(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers by name; a repeated one is a list in one line (RFC 9110, 5.3)."""
    headers: Headers = {}
    regular = False
    for name, value in pairs:
        if name[:1] == b":":
            if regular or name not in _PSEUDO or name in headers:
                raise StreamFault(Code.PROTOCOL_ERROR, "the request's first headers are not so")
            headers[name] = value
        else:
            regular = True
            _check(name, value)
            if name in headers:
                between = b"; " if name == b"cookie" else b", "
                value = headers[name] + between + value
            headers[name] = value
    path = headers.get(b":path", b"")
    if not headers.keys() >= _NEEDED or not (path[:1] == b"/" or path == b"*"):
        raise StreamFault(Code.PROTOCOL_ERROR, "the request has no method, scheme or path")
    if any(0 <= byte <= 0x20 or byte == 0x7F for byte in path):
        raise StreamFault(Code.PROTOCOL_ERROR, "the path has a blank")
    return headers


def _check(name: bytes, value: bytes) -> None:
    if not name or name.strip(_NAME):
        raise StreamFault(Code.PROTOCOL_ERROR, "a header's name is none")
    if name in _OF_CONNECTIONS or (name == b"te" and value.lower() != b"trailers"):
        raise StreamFault(Code.PROTOCOL_ERROR, "a header is of connections in HTTP/1.1")
    if any(mark in value for mark in _BREAKS):
        raise StreamFault(Code.PROTOCOL_ERROR, "a header's value has a line's end")


def block(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The block of an answer's headers."""
    return b"".join(b"\x00%b%b%b%b" % (_size(k), k, _size(v), v) for k, v in pairs)


def _size(text: bytes) -> bytes:
    """A length, in HPACK's form with 7 bits (RFC 7541, 5.1)."""
    size = len(text)
    if size < 127:
        return bytes((size,))
    size -= 127
    digits = [127]
    while size >= 128:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes((*digits, size))
