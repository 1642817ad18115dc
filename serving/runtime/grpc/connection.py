"""HTTP/2 on a connection: many requests at once, and none of them for free.

A connection has its turn as one of HTTP/1.1 has: two milliseconds, then others have theirs. While
its client does not read, nothing is read of it either.

When the server drains, a client is told first that it should open no more streams, and those that
it had opened meanwhile are answered; then which was the last one that was looked at, so that it may
send any after that again elsewhere (RFC 9113, 6.8).
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import cast

from serving.runtime.connections import Connections
from serving.runtime.grpc import frames
from serving.runtime.grpc.frames import (
    HEAD,
    HEAD_SIZE,
    MOST_FRAME,
    MOST_WINDOW,
    PREFACE,
    Code,
    ConnectionFault,
)
from serving.runtime.grpc.session import GREETING, Begin, Session

_TURN = 0.002
"""Seconds of one connection's turn, after which others have theirs."""


class Connection(Session, asyncio.Protocol):
    """A client's connection in HTTP/2.

    Args:
        connections: all of them, among which this is to be.
        begin: makes of a stream, whose head is there, what answers it.
    """

    def __init__(self, connections: Connections, begin: Begin) -> None:
        super().__init__(connections, begin)
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        """What has come and is not read yet."""
        self._opened = False
        self._waits = False
        """Whether it waits for its next turn."""
        self._deaf = False
        """Whatever else comes is passed over."""
        self._noticed = self._leaving = False
        """Whether its client knows that it will end; whether all is said."""
        self._since = self._born = self._read_at = time.monotonic()
        self._unsent = 0
        self._alarm: asyncio.TimerHandle | None = None

    # -- the transport's side --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._all.open.add(self)
        self.write(GREETING)

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

    # -- the session's side ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send it."""
        transport = self._transport
        if transport is not None and not self._leaving:
            transport.write(data)

    def _emptied(self) -> None:
        self._since = time.monotonic()
        if self._final or self._deaf:
            self._leave()

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
        first = min((own.deadline for own in self._streams.values()), default=math.inf)
        if first != math.inf:
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
        elif self._is_partial() and now - self._read_at > patience.head:
            self._fail(ConnectionFault(Code.ENHANCE_YOUR_CALM, "a frame does not come to its end"))
        elif not self._streams:
            if now - self._since > patience.idle:
                self.end()
        else:
            self._check_streams(now)
        if self._all.site.draining and not self._noticed and now - self._born > 1.0:
            self._noticed = True
            self.write(frames.goaway(MOST_WINDOW, Code.NO_ERROR))

    def _is_partial(self) -> bool:
        """Whether a frame, or a header block, has begun to come."""
        return not self._waits and bool(self._rest or self._block)

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
