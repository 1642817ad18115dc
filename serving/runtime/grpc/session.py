"""What the frames of one HTTP/2 connection mean, without its socket and without a clock.

Everything that a client can repeat is counted, and what it may not do ends its stream or its
connection with the code that RFC 9113 says.

Sources: RFC 9113; for floods its section 10.5, CVE-2019-9511 to 9518, CVE-2023-44487 (streams that
are reset at once), and CVE-2024-27316 (headers that go on).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import structlog

from serving.runtime.connections import Connections
from serving.runtime.grpc import frames
from serving.runtime.grpc.frames import (
    FIRST_WINDOW,
    MOST_WINDOW,
    Code,
    ConnectionFault,
    Kind,
    Setting,
    StreamFault,
)
from serving.runtime.grpc.heads import MOST_HEADERS, Heads
from serving.runtime.grpc.streams import WINDOW, Exchange, Stream, round_robin

MOST_STREAMS = 256
"""Requests of one connection at once."""
MOST_RESETS = 500
MOST_NOISE = 4000
"""Streams that a client may reset, and frames that bring nothing, in a second."""
_MOST_PIECES = 8
"""Frames of one header block."""
_WINDOW = 4 * 2**20
"""Bytes of all bodies of a connection that may be on their way before some were read."""
GREETING = frames.settings(
    {
        Setting.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
        Setting.INITIAL_WINDOW_SIZE: WINDOW,
        Setting.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
    }
) + frames.window_update(0, _WINDOW - FIRST_WINDOW)
"""What a server says first."""
_NO_TABLE = b"\x20"
"""Said once, in the first block: this side's blocks use no table (RFC 7541, 6.3)."""
_OF_STREAMS = (Kind.DATA, Kind.HEADERS, Kind.PRIORITY, Kind.RST_STREAM, Kind.CONTINUATION)
_OF_CONNECTION = (Kind.SETTINGS, Kind.PING, Kind.GOAWAY)

_log = structlog.get_logger("serving.runtime")

Begin = Callable[[Stream], Exchange]


class Session(ABC):
    """The streams of a connection, and what its client may do.

    Args:
        connections: all of them.
        begin: makes of a stream, whose head is there, what answers it.
    """

    def __init__(self, connections: Connections, begin: Begin) -> None:
        self._all = connections
        self._begin = begin
        self._heads = Heads()
        self._streams: dict[int, Stream] = {}
        self._sending: dict[int, Stream] = {}
        self._reset: deque[int] = deque(maxlen=1024)
        """Streams that this side has ended early, of which more may still come."""
        self._last = 0
        """The stream that was begun last."""
        self.window = FIRST_WINDOW
        self.blocked = False
        self._first_window = FIRST_WINDOW
        self._credit = _WINDOW
        self._greeted = self._fresh = self._final = False
        self._block: tuple[int, int, list[bytes]] | None = None
        """Stream, flags and pieces of a header block that goes on."""
        self._resets = self._noise = 0

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send it."""

    @abstractmethod
    def _arm(self, deadline: float) -> None:
        """Look at deadlines when this one is over."""

    @abstractmethod
    def _emptied(self) -> None:
        """No stream is left."""

    # -- frames ----------------------------------------------------------------------------------

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != Kind.CONTINUATION or number != self._block[0]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._greeted:
            if kind != Kind.SETTINGS or flags & frames.ACK:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame is no settings")
            self._greeted = True
        if (number == 0 and kind in _OF_STREAMS) or (number and kind in _OF_CONNECTION):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a frame is of the wrong stream")
        try:
            if kind == Kind.DATA:
                self._data(number, flags, payload)
            elif kind == Kind.HEADERS:
                self._open_block(number, flags, frames.block_of(payload, flags, number))
            elif kind == Kind.WINDOW_UPDATE:
                self._window(number, frames.number_of(payload, "window"))
            elif kind == Kind.CONTINUATION:
                self._continue(flags, payload)
            elif kind == Kind.SETTINGS:
                self._set(flags, payload)
            else:
                self._other(kind, flags, number, payload)
        except StreamFault as fault:
            self._end_stream(number, fault.code)
        except ConnectionFault:
            raise
        except Exception:  # noqa: BLE001  one request's; the others on the connection go on
            _log.exception("failed")
            self._end_stream(number, Code.INTERNAL_ERROR)

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        self._credit -= len(payload)
        if self._credit < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more has come than may")
        if self._credit < _WINDOW // 2:
            self.write(frames.window_update(0, _WINDOW - self._credit))
            self._credit = _WINDOW
        stream = self._streams.get(number)
        if stream is None:
            self._passed_over(number)
            return
        if stream.ended:
            raise ConnectionFault(Code.STREAM_CLOSED, "a body goes on after its end")
        content = stream.take(payload, flags)
        exchange = stream.exchange
        assert exchange is not None
        if content:
            if not flags & frames.END_STREAM:
                self._hold(stream, len(content))
            if not stream.closed:
                exchange.data(content)
        elif not flags & frames.END_STREAM:
            self._count_noise()
        if flags & frames.END_STREAM:
            self._whole(stream)
        elif update := stream.more():
            self.write(update)

    def _hold(self, stream: Stream, size: int) -> None:
        """A body comes in pieces: those that are kept count until it is whole."""
        stream.held += size
        self._all.held += size
        if self._all.held > self._all.most_held and stream.exchange is not None:
            stream.exchange.crowded(f"bodies of {self._all.held} bytes are arriving")

    def _whole(self, stream: Stream) -> None:
        if stream.closed:
            return
        stream.check_length()
        stream.ended = True
        self._release(stream)
        assert stream.exchange is not None
        stream.exchange.whole()

    def _open_block(self, number: int, flags: int, block: bytes) -> None:
        if flags & frames.END_HEADERS:
            self._head(number, flags, block)
        else:
            self._block = (number, flags, [block])

    def _continue(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "no header block goes on")
        number, first, pieces = self._block
        pieces.append(payload)
        if len(pieces) > _MOST_PIECES or sum(map(len, pieces)) > MOST_HEADERS:
            what = f"the headers are larger than {MOST_HEADERS} bytes"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, what)
        if flags & frames.END_HEADERS:
            self._block = None
            self._head(number, first, b"".join(pieces))

    def _head(self, number: int, flags: int, block: bytes) -> None:
        """A whole header block: a request's, or what follows a body."""
        stream = self._streams.get(number)
        if stream is not None:
            are_trailers = self._heads.are_trailers(block)
            if stream.ended:
                raise ConnectionFault(Code.STREAM_CLOSED, "a stream has headers after its end")
            if not (are_trailers and flags & frames.END_STREAM):
                raise StreamFault(Code.PROTOCOL_ERROR, "trailers do not end the stream")
            self._whole(stream)
            return
        if number <= self._last:
            self._heads.are_trailers(block)
            self._passed_over(number)
            return
        if not number & 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a client's stream has an even number")
        if not self._final:
            self._last = number
        headers = self._heads.request(block)
        if self._final:
            return  # the client knows that it was not looked at
        if len(self._streams) >= MOST_STREAMS:
            self._count_noise()
            raise StreamFault(Code.REFUSED_STREAM, "too many streams")
        stream = Stream(self, number, headers, self._first_window)
        self._streams[number] = stream
        exchange = self._begin(stream)
        if stream.closed:  # refused by its head
            return
        stream.exchange = exchange
        if stream.deadline != math.inf:
            self._arm(stream.deadline)
        if flags & frames.END_STREAM:
            self._whole(stream)

    def _window(self, number: int, more: int) -> None:
        more &= MOST_WINDOW
        stream = self._streams.get(number) if number else None
        if number and stream is None:
            if number > self._last:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "a window of a stream that is none")
            self._count_noise()
            return
        if not more:
            fault = StreamFault if number else ConnectionFault
            raise fault(Code.PROTOCOL_ERROR, "a window grows by nothing")
        if stream is not None:
            stream.window += more
            if stream.window > MOST_WINDOW:
                raise StreamFault(Code.FLOW_CONTROL_ERROR, "a window is too large")
            if not stream.stuck:
                self._count_noise()
        else:
            self.window += more
            if self.window > MOST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "the window is too large")
        if self._sending:
            self._pump()

    def _set(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "an answer to settings has content")
            return
        self._count_noise()
        for name, value in frames.settings_of(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                more = value - self._first_window
                self._first_window = value
                for stream in self._streams.values():
                    stream.window += more
                    if stream.window > MOST_WINDOW:
                        raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window is too large")
        self.write(frames.frame(Kind.SETTINGS, frames.ACK, 0))
        self._pump()

    def _other(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        self._count_noise()
        if kind == Kind.PING:
            if len(payload) != 8:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a ping has not 8 bytes")
            if not flags & frames.ACK:
                self.write(frames.frame(Kind.PING, frames.ACK, 0, payload))
        elif kind == Kind.RST_STREAM:
            frames.number_of(payload, "reset")
            self._client_reset(number)
        elif kind == Kind.PRIORITY:
            if len(payload) != 5:
                raise StreamFault(Code.FRAME_SIZE_ERROR, "a priority has not 5 bytes")
        elif kind == Kind.PUSH_PROMISE:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a client cannot push")
        elif kind == Kind.GOAWAY:
            if len(payload) < 8:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a farewell has less than 8 bytes")
            self._final = True
            if not self._streams:
                self._emptied()

    def _client_reset(self, number: int) -> None:
        if number > self._last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream is reset that is none")
        stream = self._streams.get(number)
        if stream is None:
            return
        self._resets += 1
        if self._resets > MOST_RESETS:
            what = f"more than {MOST_RESETS} streams were reset in a second"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, what)
        exchange = stream.exchange
        stream.closed = True
        self.closed(stream)
        if exchange is not None:
            exchange.gone()

    def _passed_over(self, number: int) -> None:
        """A frame of a stream that is over, or was never there."""
        if number > self._last:
            if self._final:
                return
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a body of a stream that is none")
        self._count_noise()
        if number not in self._reset:
            raise ConnectionFault(Code.STREAM_CLOSED, "a stream goes on after its end")

    def _end_stream(self, number: int, code: Code) -> None:
        """The client has done what ends a stream."""
        stream = self._streams.get(number)
        if stream is None:
            self._reset.append(number)
            self.write(frames.reset(number, code))
            return
        exchange = stream.exchange
        stream.reset(code)
        if exchange is not None:
            exchange.gone()

    def _count_noise(self) -> None:
        self._noise += 1
        if self._noise > MOST_NOISE:
            what = f"more than {MOST_NOISE} frames in a second brought nothing"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, what)

    # -- the streams' side -----------------------------------------------------------------------

    def opened(self, block: bytes) -> bytes:
        """A block as it has to be in this connection."""
        if self._fresh:
            return block
        self._fresh = True
        return _NO_TABLE + block

    def waiting(self, stream: Stream) -> None:
        """A stream has more to send than it may now."""
        self._sending[stream.number] = stream
        self._pump()

    def closed(self, stream: Stream) -> None:
        """A stream is over."""
        self._release(stream)
        # The two hold each other: as a cycle, each call would be the garbage collector's work.
        stream.exchange = None
        self._streams.pop(stream.number, None)
        self._sending.pop(stream.number, None)
        if not stream.ended:
            self._reset.append(stream.number)
        if not self._streams:
            self._emptied()

    def _pump(self) -> None:
        if self.blocked or not self._sending:
            return
        for stream in round_robin(self._sending):
            if not stream.stuck:
                self._sending.pop(stream.number, None)
            if self.window <= 0 or self.blocked:
                break

    def _release(self, stream: Stream) -> None:
        self._all.held -= stream.held
        stream.held = 0
