"""HTTP/2 on a connection: many requests at once, none of them for free.

A client of HTTP/2 can ask for much with few bytes: streams that it resets at once, headers that
never end, pings, windows that it never opens. So everything that a client can repeat is counted, and
a connection has its turn as one of HTTP/1.1 has: two milliseconds, then others have theirs.

When the server drains, a client is told first that it should open no more streams, and those that
it had opened meanwhile are answered; then which was the last one that was looked at, so that it may
send any after that again elsewhere.

Sources: RFC 9113; for the floods its section 10.5, CVE-2019-9511 to 9518, CVE-2023-44487 (streams
that are reset), and CVE-2024-27316 (headers that go on).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import cast

from serving.runtime.connections import Connections
from serving.runtime.grpc import frames
from serving.runtime.grpc.frames import (
    FIRST_WINDOW,
    HEAD,
    HEAD_SIZE,
    MOST_FRAME,
    MOST_WINDOW,
    PREFACE,
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
_TURN = 0.002
_SETTINGS = {
    Setting.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
    Setting.INITIAL_WINDOW_SIZE: WINDOW,
    Setting.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
}
_NO_TABLE = b"\x20"
"""Said once, in the first block: this side's blocks use no table (RFC 7541, 6.3)."""
_OF_STREAMS = (Kind.DATA, Kind.HEADERS, Kind.PRIORITY, Kind.RST_STREAM, Kind.CONTINUATION)
_OF_CONNECTION = (Kind.SETTINGS, Kind.PING, Kind.GOAWAY)

Begin = Callable[[Stream], Exchange]


class Connection(asyncio.Protocol):
    """A client's connection in HTTP/2.

    Args:
        connections: all of them, among which this is to be.
        begin: makes of a stream, whose head is there, what answers it.
    """

    def __init__(self, connections: Connections, begin: Begin) -> None:
        self._all = connections
        self._begin = begin
        self._transport: asyncio.Transport | None = None
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
        self._rest = PREFACE[:0]
        self._opened = self._greeted = self._fresh = False
        self._block: tuple[int, int, list[bytes]] | None = None
        """Stream, flags and pieces of a header block that goes on."""
        self._resets = self._noise = 0
        self._waits = self._deaf = self._noticed = self._leaving = self._final = False
        self._since = self._born = self._read_at = time.monotonic()
        self._unsent = 0
        self._alarm: asyncio.TimerHandle | None = None

    # -- the transport's side --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._all.open.add(self)
        more = frames.window_update(0, _WINDOW - FIRST_WINDOW)
        self.write(frames.settings(_SETTINGS) + more)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and so is who waited for answers."""
        self._all.open.discard(self)
        self._transport = None
        self._drop()

    def eof_received(self) -> bool:
        """The client sends nothing more; it may still read."""
        self._deaf = True
        return any(stream.ended for stream in self._streams.values())

    def pause_writing(self) -> None:
        """The client does not read: nothing more is read of it either."""
        self.blocked = True
        self._since = time.monotonic()
        if self._transport is not None:
            self._unsent = self._transport.get_write_buffer_size()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has read some."""
        self.blocked = False
        self._since = time.monotonic()
        self._pump()
        if not self.blocked:
            self._turn()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._deaf:
            return
        if self._rest:
            data = self._rest + data
        else:
            self._read_at = time.monotonic()
        self._rest = data
        if not self._waits:
            self._read()

    def _turn(self) -> None:
        """On with what has come, now that others have had their turn."""
        self._waits = False
        transport = self._transport
        if transport is None or self._deaf or self.blocked:
            return
        if self._rest:
            self._read()
        if not self._waits and not self.blocked and not transport.is_closing():
            transport.resume_reading()

    def _read(self) -> None:
        data, at, until = self._rest, 0, time.perf_counter() + _TURN
        end = len(data)
        try:
            if not self._opened:
                if end < len(PREFACE):
                    return
                if not data.startswith(PREFACE):
                    raise ConnectionFault(Code.PROTOCOL_ERROR, "this is not HTTP/2")
                self._opened, at = True, len(PREFACE)
            while end - at >= HEAD_SIZE:
                high, low, kind, flags, stream = HEAD.unpack_from(data, at)
                size = high << 8 | low
                if size > MOST_FRAME:
                    raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame is too large")
                if at + HEAD_SIZE + size > end:
                    break
                payload = data[at + HEAD_SIZE : at + HEAD_SIZE + size]
                at += HEAD_SIZE + size
                self._take(kind, flags, stream & MOST_WINDOW, payload)
                if self._deaf:
                    return
                if self.blocked or time.perf_counter() > until:
                    self._wait()
                    break
        except ConnectionFault as fault:
            self._fail(fault)
            return
        if at:
            self._rest = data[at:]
            self._read_at = time.monotonic()

    def _wait(self) -> None:
        """Others have their turn."""
        self._waits = True
        if self._transport is not None:
            self._transport.pause_reading()
        if not self.blocked:
            asyncio.get_running_loop().call_soon(self._turn)

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
            self._heads.trailers(block)
            if stream.ended:
                raise ConnectionFault(Code.STREAM_CLOSED, "a stream has headers after its end")
            if not flags & frames.END_STREAM:
                raise StreamFault(Code.PROTOCOL_ERROR, "trailers do not end the stream")
            self._whole(stream)
            return
        if number <= self._last:
            self._heads.trailers(block)
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
        stream.exchange = self._begin(stream)
        if stream.deadline != float("inf"):
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
                self._leave()

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
        stream.closed = True
        self.closed(stream)
        if stream.exchange is not None:
            stream.exchange.gone()

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
        stream.reset(code)
        if stream.exchange is not None:
            stream.exchange.gone()

    def _count_noise(self) -> None:
        self._noise += 1
        if self._noise > MOST_NOISE:
            what = f"more than {MOST_NOISE} frames in a second brought nothing"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, what)

    # -- the streams' side -----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send it."""
        transport = self._transport
        if transport is not None and not self._leaving:
            transport.write(data)

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
        self._streams.pop(stream.number, None)
        self._sending.pop(stream.number, None)
        if not stream.ended:
            self._reset.append(stream.number)
        if not self._streams:
            self._since = time.monotonic()
            if self._final or self._deaf:
                self._leave()

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

    def _arm(self, deadline: float) -> None:
        """Look at deadlines when the first of them is over."""
        loop = asyncio.get_running_loop()
        at = loop.time() + deadline - time.monotonic()
        if self._alarm is not None:
            if self._alarm.when() <= at:
                return
            self._alarm.cancel()
        self._alarm = loop.call_at(at, self._expire)

    def _expire(self) -> None:
        self._alarm = None
        now = time.monotonic()
        for stream in [own for own in self._streams.values() if own.deadline <= now]:
            if stream.exchange is not None:
                stream.exchange.expired()
        first = min((own.deadline for own in self._streams.values()), default=float("inf"))
        if first != float("inf"):
            self._arm(max(first, now + 0.001))

    # -- ends ------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """End it, or streams of it, if the client has taken too long."""
        self._resets = self._noise = 0
        transport, patience = self._transport, self._all.patience
        if transport is None:
            return
        if self._leaving:
            if now - self._since > patience.parting:
                transport.abort()
        elif self.blocked:
            if now - self._since > patience.reading + self._unsent / patience.rate:
                transport.abort()
        elif (self._rest or self._block) and now - self._read_at > patience.head:
            self._fail(ConnectionFault(Code.ENHANCE_YOUR_CALM, "a frame does not come to its end"))
        elif not self._streams:
            if now - self._since > patience.idle:
                self.end()
        else:
            self._check_streams(now)
        if self._all.site.draining and not self._noticed and now - self._born > 1.0:
            self._noticed = True
            self.write(frames.goaway(MOST_WINDOW, Code.NO_ERROR))

    def _check_streams(self, now: float) -> None:
        patience = self._all.patience
        for stream in list(self._streams.values()):
            exchange = stream.exchange
            if exchange is None:
                continue
            if stream.stuck:
                if now - stream.since > patience.reading:
                    stream.reset(Code.CANCEL)
                    exchange.gone()
            elif stream.ended:
                continue
            elif stream.lasting:
                if now - stream.since > patience.idle:
                    exchange.late("no message came")
            elif now - stream.began > patience.body + stream.size / patience.rate:
                exchange.late(f"the body did not come; {stream.size} bytes of it did")

    def end(self) -> None:
        """The server ends: say which stream was the last, and close after the last answer."""
        if not self._final:
            self._final = True
            self.write(frames.goaway(self._last, Code.NO_ERROR))
        for stream in list(self._streams.values()):
            if stream.exchange is not None:
                stream.exchange.ending()
        if not self._streams:
            self._leave()

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, fault: ConnectionFault) -> None:
        self.write(frames.goaway(self._last, fault.code, str(fault)))
        self._drop()
        self._leave()

    def _drop(self) -> None:
        """Nobody waits for these answers any more."""
        self._deaf = True
        self._rest, self._block = b"", None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for stream in list(self._streams.values()):
            stream.closed = True
            self._release(stream)
            if stream.exchange is not None:
                stream.exchange.gone()
        self._streams.clear()
        self._sending.clear()

    def _leave(self) -> None:
        """Send no more, and read on until the client closes too (RFC 9112, 9.6, says why)."""
        if self._leaving:
            return
        self._leaving = self._deaf = True
        self._since = time.monotonic()
        self._rest = b""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
            if not self.blocked:
                transport.resume_reading()
        else:
            transport.close()
