"""A closed-loop load generator: each connection sends its next request when the last is answered.

Raw asyncio protocols on uvloop, because a client library costs more than the server that is
measured.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import cast

import uvloop

_LENGTH = b"content-length:"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run.

    Args:
        per_second: answered requests a second.
        p50: median latency in milliseconds.
        p99: 99th percentile in milliseconds.
        failed: answers that were not 200.
    """

    per_second: float
    p50: float
    p99: float
    failed: int


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, until: float, seconds: list[float]) -> None:
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._seconds = seconds
        self._received = bytearray()
        self._need = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._need:
            self._need = _whole(self._received)
        if self._need and len(self._received) >= self._need:
            now = time.perf_counter()
            self._seconds.append(now - self._sent)
            self.failed += not self._received.startswith(b"HTTP/1.1 200")
            self._received.clear()
            self._need = 0
            if now < self._until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.failed += time.perf_counter() < self._until
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def _whole(received: bytearray) -> int:
    """The length of the answer that begins here; 0 while its head is not complete."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return 0
    start = received[:head].lower().find(_LENGTH) + len(_LENGTH)
    end = received.find(b"\r\n", start)
    return head + 4 + int(received[start:end])


def post(path: str, body: bytes) -> bytes:
    """An HTTP/1.1 request as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(port: int, request: bytes, *, connections: int, seconds: float) -> Result:
    """Load 127.0.0.1:port.

    Args:
        port: where the server listens.
        request: what each connection sends, again and again.
        connections: how many ask at once.
        seconds: for how long.
    """
    return uvloop.run(_run(port, request, connections, seconds))


async def _run(port: int, request: bytes, connections: int, seconds: float) -> Result:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    began = time.perf_counter()
    asking = [
        (
            await loop.create_connection(
                lambda: _Connection(request, began + seconds, latencies), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(one.done for one in asking))
    took = time.perf_counter() - began
    latencies.sort()
    return Result(
        per_second=len(latencies) / took,
        p50=1000 * latencies[len(latencies) // 2],
        p99=1000 * latencies[int(len(latencies) * 0.99)],
        failed=sum(one.failed for one in asking),
    )
