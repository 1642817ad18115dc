"""Frames of HTTP/2: their bytes, both ways, and what is no frame.

Only what a server needs, and no state: `serving.runtime.grpc.connection` knows which frame may come
when. Header compression, the part of HTTP/2 in which mistakes are hardest to see, is hpack's.

Source: RFC 9113, sections 4, 6 and 7.
"""

from __future__ import annotations

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 sends first."""
HEAD = struct.Struct(">HBBBI")
"""A frame's first bytes: its length (in two parts), kind, flags and stream."""
HEAD_SIZE = 9
MOST_FRAME = 2**14
"""Bytes of a frame's payload that every peer takes, and the most that is taken here."""
MOST_WINDOW = 2**31 - 1
FIRST_WINDOW = 2**16 - 1
"""Bytes that may be sent before a window is made larger."""
_NUMBER = struct.Struct(">I")
_SETTING = struct.Struct(">HI")
_PAIR = struct.Struct(">II")


class Kind(IntEnum):
    """What a frame is."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20


class Code(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Setting(IntEnum):
    """What a peer may set."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ConnectionFault(Exception):  # noqa: N818  the RFC's "connection error"
    """The peer does what ends the connection (RFC 9113, 5.4.1)."""

    def __init__(self, code: Code, what: str) -> None:
        super().__init__(what)
        self.code = code


class StreamFault(Exception):  # noqa: N818  the RFC's "stream error"
    """The peer does what ends a stream (RFC 9113, 5.4.2)."""

    def __init__(self, code: Code, what: str) -> None:
        super().__init__(what)
        self.code = code


# -- to the peer ---------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame's bytes."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """What this side sets."""
    payload = b"".join(_SETTING.pack(name, value) for name, value in values.items())
    return frame(Kind.SETTINGS, 0, 0, payload)


def window_update(stream: int, more: int) -> bytes:
    """So many more bytes may come."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, _NUMBER.pack(more))


def reset(stream: int, code: Code) -> bytes:
    """The end of a stream."""
    return frame(Kind.RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(last: int, code: Code, what: str = "") -> bytes:
    """The end of a connection: streams above `last` have not been looked at."""
    return frame(Kind.GOAWAY, 0, 0, _PAIR.pack(last, code) + what.encode())


def headers(stream: int, block: bytes, *, end: bool) -> bytes:
    """A header block, in as many frames as it needs."""
    flags = END_STREAM if end else 0
    if len(block) <= MOST_FRAME:
        return frame(Kind.HEADERS, flags | END_HEADERS, stream, block)
    frames = [frame(Kind.HEADERS, flags, stream, block[:MOST_FRAME])]
    for start in range(MOST_FRAME, len(block), MOST_FRAME):
        last = END_HEADERS if start + MOST_FRAME >= len(block) else 0
        piece = block[start : start + MOST_FRAME]
        frames.append(frame(Kind.CONTINUATION, last, stream, piece))
    return b"".join(frames)


# -- from the peer -------------------------------------------------------------------------------


def unpadded(payload: bytes, flags: int) -> bytes:
    """A payload without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a frame is padded with more than it has")
    return payload[1 : len(payload) - payload[0]]


def block_of(payload: bytes, flags: int, stream: int) -> bytes:
    """The block of a HEADERS frame; a priority is passed over, as RFC 9113 (5.3.2) has it."""
    block = unpadded(payload, flags)
    if not flags & PRIORITIZED:
        return block
    if len(block) < 5:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a priority has less than 5 bytes")
    if _NUMBER.unpack_from(block)[0] & MOST_WINDOW == stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream depends on itself")
    return block[5:]


def number_of(payload: bytes, kind: str) -> int:
    """The number that is all of a frame."""
    if len(payload) != 4:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"a {kind} has not 4 bytes")
    number: int = _NUMBER.unpack(payload)[0]
    return number


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """What the peer sets, in its order; what is not known is passed over.

    Raises:
        ConnectionFault: a value is out of its range (RFC 9113, 6.5.2).
    """
    if len(payload) % 6:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "settings are not 6 bytes each")
    values = list(_SETTING.iter_unpack(payload))
    for name, value in values:
        if name == Setting.INITIAL_WINDOW_SIZE and value > MOST_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "the first window is too large")
        if name == Setting.MAX_FRAME_SIZE and not MOST_FRAME <= value < 2**24:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the largest frame is out of range")
        if name == Setting.ENABLE_PUSH and value > 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "push is neither 0 nor 1")
    return values
