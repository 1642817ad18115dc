"""``python -m serving.tuning.load``: asks servers as fast as they answer, in a process of its own.

Plain sockets and a selector: a client library costs more than the servers do. What is measured is
still partly the machine that both run on, so numbers are for comparing settings with each other,
not with a loader written in C.

Each line of the standard input is an `Order` in JSON; each gets its `Seen` as a line.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

_LENGTH = b"content-length:"
_DRAIN = 2.0
"""Seconds for which answers that are still due at the end are waited for."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be asked.

    Args:
        port: of the server on 127.0.0.1.
        path: of the request.
        bodies: a file with one body a line, asked in turn.
        connections: how many ask at once, each its next when its last is answered.
        seconds: for how long.
    """

    port: int
    path: str
    bodies: str
    connections: int
    seconds: float


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Args:
        answered: answers within the time.
        failed: of them, and of the connections, those that were no 200.
        seconds: that it took.
        p50: median of the latencies in milliseconds.
        p99: their 99th percentile.
    """

    answered: int
    failed: int
    seconds: float
    p50: float
    p99: float


class _Asking:
    """A connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self._received = b""
        self._left = b""

    def ask(self, request: bytes) -> None:
        self.sent = time.perf_counter()
        self._left = request
        self.go_on()

    def go_on(self) -> None:
        """Send what is left of the request."""
        try:
            while self._left:
                self._left = self._left[self.socket.send(self._left) :]
        except BlockingIOError:
            pass

    @property
    def sends(self) -> bool:
        return bool(self._left)

    def answer(self) -> bytes | None:
        """The whole answer when it is there; empty when the connection has ended."""
        try:
            data = self.socket.recv(2**20)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        if not data:
            return b""
        self._received += data
        need = _whole(self._received)
        if not need or len(self._received) < need:
            return None
        answer, self._received = self._received, b""
        return answer


def _whole(received: bytes) -> int:
    """The length of the answer that begins here; 0 while its head is not complete."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return 0
    start = received[:head].lower().find(_LENGTH) + len(_LENGTH)
    return head + 4 + int(received[start : received.find(b"\r\n", start)])


def requests_of(order: Order) -> list[bytes]:
    """The requests, as bytes."""
    return [
        f"POST {order.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
        for body in Path(order.bodies).read_bytes().splitlines()
    ]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of values in their order; 0 where there are none."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def run(order: Order) -> Seen:
    """Ask until the time is up."""
    requests = requests_of(order)
    latencies: list[float] = []
    failed = number = 0
    with selectors.DefaultSelector() as selector:
        asking = [_Asking(order.port) for _ in range(order.connections)]
        began = time.perf_counter()
        until, waiting = began + order.seconds, set(asking)
        for one in asking:
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.ask(requests[number % len(requests)])
            number += 1
        while waiting and (now := time.perf_counter()) < until + _DRAIN:
            # What could not be sent at once is tried again soon: only large bodies are concerned.
            sending = [one for one in waiting if one.sends]
            for one in sending:
                one.go_on()
            for key, _ in selector.select(0.001 if sending else min(0.1, until + _DRAIN - now)):
                one = key.data
                answer = one.answer()
                if answer is None:
                    continue
                now = time.perf_counter()
                failed += not answer.startswith(b"HTTP/1.1 200")
                if now < until and answer:
                    latencies.append(now - one.sent)
                    one.ask(requests[number % len(requests)])
                    number += 1
                else:
                    selector.unregister(one.socket)
                    waiting.discard(one)
        for one in asking:
            one.socket.close()
    latencies.sort()
    return Seen(
        answered=len(latencies),
        failed=failed,
        seconds=order.seconds,
        p50=1000 * percentile(latencies, 0.5),
        p99=1000 * percentile(latencies, 0.99),
    )


def main() -> int:
    """Obey until the standard input ends."""
    decoder = msgspec.json.Decoder(Order)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(run(decoder.decode(line))) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
