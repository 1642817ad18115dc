"""One stream of an HTTP/2 connection: a request that comes, and the answer that it gets."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from serving.runtime.grpc import frames
from serving.runtime.grpc.frames import MOST_FRAME, Code, Kind, StreamFault
from serving.runtime.grpc.heads import Headers

WINDOW = 2**20
"""Bytes of a body that may be on their way before some were read."""
_HEADERS, _DATA = int(Kind.HEADERS), int(Kind.DATA)
_pack = frames.HEAD.pack


class Exchange(Protocol):
    """What is made of a stream's request."""

    def data(self, content: bytes) -> None:
        """A piece of the body has come."""

    def whole(self) -> None:
        """All of it has."""

    def gone(self) -> None:
        """The client, or its connection, waits no more."""

    def late(self, what: str) -> None:
        """The body takes too long."""

    def crowded(self, what: str) -> None:
        """There is no room for the body."""

    def expired(self) -> None:
        """The client's deadline is over."""

    def ending(self) -> None:
        """The server ends: what has no end by itself is to end."""


class Sender(Protocol):
    """The connection, as its streams have to know it."""

    window: int
    """Bytes that may be sent on it."""
    blocked: bool
    """Whether the client reads too slowly."""

    def write(self, data: bytes) -> None:
        """Send it."""

    def opened(self, block: bytes) -> bytes:
        """A block as it has to be in this connection."""

    def waiting(self, stream: Stream) -> None:
        """A stream has more to send than it may now."""

    def closed(self, stream: Stream) -> None:
        """A stream is over."""


class Stream:
    """One request and its answer.

    Args:
        sender: its connection.
        number: by which both sides name it.
        headers: what its first block says.
        window: bytes that may be sent on it at first.
    """

    def __init__(self, sender: Sender, number: int, headers: Headers, window: int) -> None:
        self._sender = sender
        self.number = number
        self.headers = headers
        self.exchange: Exchange | None = None
        self.window = window
        self.credit = WINDOW
        """Bytes that the client may send."""
        self.size = self.held = 0
        """Bytes of the body that have come, and those that are kept."""
        self.ended = self.closed = False
        """Whether the client has said all, and whether this side has."""
        self.began = self.since = time.monotonic()
        """When it began, and when anything of it was last sent."""
        self.deadline = math.inf
        """By `time.monotonic`."""
        self.lasting = False
        """Whether the client may be silent between messages."""
        self._unsent: deque[memoryview] = deque()
        self._trailers: bytes | None = None
        self._last = False

    # -- what is sent ----------------------------------------------------------------------------

    def answer(self, block: bytes, body: bytes, trailers: bytes | None = None) -> None:
        """Send a whole answer: its headers, its body, and its trailers where it has some."""
        if self.closed:
            return
        sender, size, number = self._sender, len(body), self.number
        block = sender.opened(block)
        fits = size <= MOST_FRAME and size <= self.window and size <= sender.window
        if not fits or sender.blocked or not size:
            self.begin(block, end=not size and trailers is None, fresh=False)
            if size:
                self.push(body)
            if size or trailers is not None:
                self.finish(trailers)
            return
        self.window -= size
        sender.window -= size
        head = _pack(len(block) >> 8, len(block) & 0xFF, _HEADERS, frames.END_HEADERS, number)
        if trailers is None:
            data = _pack(size >> 8, size & 0xFF, _DATA, frames.END_STREAM, number)
            sender.write(b"".join((head, block, data, body)))
        else:
            data = _pack(size >> 8, size & 0xFF, _DATA, 0, number)
            end = frames.headers(number, trailers, end=True)
            sender.write(b"".join((head, block, data, body, end)))
        self._close()

    def begin(self, block: bytes, *, end: bool = False, fresh: bool = True) -> None:
        """Send the answer's headers, and with `end` nothing else."""
        if self.closed:
            return
        if fresh:
            block = self._sender.opened(block)
        self._sender.write(frames.headers(self.number, block, end=end))
        if end:
            self._close()

    def push(self, content: bytes) -> None:
        """Send a piece of the answer's body, as soon as the client takes it."""
        if content and not self.closed:
            self._unsent.append(memoryview(content))
            self._go_on()

    def finish(self, trailers: bytes | None = None) -> None:
        """The answer is over, when all of it is sent."""
        if not self.closed:
            self._last, self._trailers = True, trailers
            self._go_on()

    def reset(self, code: Code) -> None:
        """End it, whatever is on its way."""
        if not self.closed:
            self._sender.write(frames.reset(self.number, code))
            self._close(told=True)

    @property
    def stuck(self) -> bool:
        """Whether something waits for the client to take it."""
        return bool(self._unsent)

    def send(self) -> bool:
        """Send a frame of what waits; False where nothing can be sent now."""
        if self.closed or not self._unsent:
            return False
        sender = self._sender
        content = self._unsent[0]
        size = min(len(content), MOST_FRAME, self.window, sender.window)
        if size <= 0 or sender.blocked:
            return False
        self.window -= size
        sender.window -= size
        self.since = time.monotonic()
        if size == len(content):
            self._unsent.popleft()
        else:
            self._unsent[0] = content[size:]
        over = self._last and not self._unsent
        flags = frames.END_STREAM if over and self._trailers is None else 0
        sender.write(frames.frame(_DATA, flags, self.number, bytes(content[:size])))
        if over:
            self._end()
        return True

    def _go_on(self) -> None:
        if self._unsent:
            self._sender.waiting(self)
        elif self._last:
            if self._trailers is None:
                self._sender.write(frames.frame(_DATA, frames.END_STREAM, self.number))
            self._end()

    def _end(self) -> None:
        if self._trailers is not None:
            self._sender.write(frames.headers(self.number, self._trailers, end=True))
        self._close()

    def _close(self, *, told: bool = False) -> None:
        self.closed = True
        self._unsent.clear()
        if not self.ended and not told:
            # RFC 9113, 8.1: the answer is whole, and the rest of the request is not wanted.
            self._sender.write(frames.reset(self.number, Code.NO_ERROR))
        self._sender.closed(self)

    # -- what comes ------------------------------------------------------------------------------

    def take(self, payload: bytes, flags: int) -> bytes:
        """A DATA frame's content, counted.

        Raises:
            StreamFault: it is more than may come.
        """
        self.credit -= len(payload)
        if self.credit < 0:
            raise StreamFault(Code.FLOW_CONTROL_ERROR, "more has come than may")
        content = frames.unpadded(payload, flags)
        self.size += len(content)
        return content

    def more(self) -> bytes:
        """Let the client send on, once half of what it may send has come."""
        if self.credit > WINDOW // 2 or self.closed:
            return b""
        more, self.credit = WINDOW - self.credit, WINDOW
        return frames.window_update(self.number, more)

    def check_length(self) -> None:
        """Compare the body with what its head says.

        Raises:
            StreamFault: it is another length (RFC 9113, 8.1.1).
        """
        said = self.headers.get(b"content-length")
        if said is not None and not (said.isdigit() and len(said) < 20 and int(said) == self.size):
            raise StreamFault(Code.PROTOCOL_ERROR, "the body is not as long as its head says")


def round_robin(streams: dict[int, Stream]) -> Iterator[Stream]:
    """Each stream in turn, as long as any can send."""
    moving = True
    while moving:
        moving = False
        for stream in list(streams.values()):
            if stream.send():
                moving = True
                yield stream
