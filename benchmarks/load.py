"""Load generators on raw asyncio protocols and uvloop: a client library costs more than the server.

`run` is a closed loop, which finds the most that a server can do: each connection sends its next
request when the last is answered. `python -m benchmarks.load` is an open loop, which finds what
users see: requests come at a steady rate whether or not earlier ones were answered, and each
one's time counts from when it was due. It is a process of its own, so that what it measures is not
its neighbour's work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO, cast

import uvloop

_LENGTH = b"content-length:"
_PATIENCE = 30.0
"""Seconds after the time is up in which the last answers have to come."""


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


class Asking(asyncio.Protocol):
    """A connection of a closed loop: its next request is sent when the last is answered.

    Args:
        until: when the last one is sent, by `time.perf_counter`.
        seconds: gets how long each took.
    """

    def __init__(self, until: float, seconds: list[float]) -> None:
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._until = until
        self._seconds = seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """End; before the time it is a failure."""
        self.failed += time.perf_counter() < self._until
        if not self.done.done():
            self.done.set_result(None)

    def _next(self) -> None:
        self._sent = time.perf_counter()
        self._send()

    def _send(self) -> None:
        raise NotImplementedError

    def _answered(self, *, failed: bool) -> None:
        now = time.perf_counter()
        self._seconds.append(now - self._sent)
        self.failed += failed
        if now < self._until:
            self._next()
        else:
            self._transport.close()


class _Connection(Asking):
    def __init__(self, request: bytes, until: float, seconds: list[float]) -> None:
        super().__init__(until, seconds)
        self._request = request
        self._received = bytearray()
        self._need = 0

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._need:
            self._need = _whole(self._received)
        if self._need and len(self._received) >= self._need:
            failed = not self._received.startswith(b"HTTP/1.1 200")
            self._received.clear()
            self._need = 0
            self._answered(failed=failed)

    def _send(self) -> None:
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


def wrk(port: int, path: str, body: bytes, *, connections: int, seconds: float) -> Result | None:
    """Load 127.0.0.1:port by wrk, which costs less than the servers that it measures.

    Returns:
        None where wrk is not there (https://github.com/wg/wrk, Debian's package ``wrk``).
    """
    program = shutil.which("wrk")
    if program is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
            f"wrk.body = [==[{body.decode()}]==]\n"
            "done = function(summary, latency)\n"
            '  io.write(string.format("RESULT %d %d %g %g %d\\n", summary.requests,\n'
            "    summary.duration, latency:percentile(50), latency:percentile(99),\n"
            "    summary.errors.status + summary.errors.connect + summary.errors.read))\nend\n"
        )
        script.flush()
        command = [program, "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "-s"]
        url = f"http://127.0.0.1:{port}{path}"
        said = subprocess.run(
            [*command, script.name, url], capture_output=True, text=True, check=True
        ).stdout
    numbers = said.partition("RESULT ")[2].split()
    requests, microseconds, p50, p99, failed = map(float, numbers)
    return Result(
        per_second=1e6 * requests / microseconds, p50=p50 / 1e3, p99=p99 / 1e3, failed=int(failed)
    )


def run(port: int, request: bytes, *, connections: int, seconds: float) -> Result:
    """Load 127.0.0.1:port.

    Args:
        port: where the server listens.
        request: what each connection sends, again and again.
        connections: how many ask at once.
        seconds: for how long.
    """

    def asking(until: float, latencies: list[float]) -> Asking:
        return _Connection(request, until, latencies)

    return closed_loop(asking, port, connections=connections, seconds=seconds)


def closed_loop(
    asking: Callable[[float, list[float]], Asking],
    port: int,
    *,
    connections: int,
    seconds: float,
) -> Result:
    """Load 127.0.0.1:port by connections that ask again when they are answered.

    Args:
        asking: makes one, as `Asking` is made.
        port: where the server listens.
        connections: how many ask at once.
        seconds: for how long.
    """
    return uvloop.run(_closed_loop(asking, port, connections, seconds))


async def _closed_loop(
    asking: Callable[[float, list[float]], Asking], port: int, connections: int, seconds: float
) -> Result:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    began = time.perf_counter()
    made = [
        (
            await loop.create_connection(
                lambda: asking(began + seconds, latencies), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(one.done for one in made)), seconds + _PATIENCE)
    took = time.perf_counter() - began
    latencies.sort()
    return Result(
        per_second=len(latencies) / took,
        p50=1000 * latencies[len(latencies) // 2],
        p99=1000 * latencies[int(len(latencies) * 0.99)],
        failed=sum(one.failed for one in made),
    )


# --- The open loop --------------------------------------------------------------------------------


class Seen(NamedTuple):
    """One request of the open loop.

    Args:
        at: when it was due, in seconds since 1970.
        seconds: from then until its answer was whole, or it was given up.
        status: its HTTP status; 0 without an answer.
        version: the model's version that answered.
    """

    at: float
    seconds: float
    status: int
    version: str


class _Caller(asyncio.Protocol):
    """A connection that is used again and again, for one request at a time."""

    def __init__(self) -> None:
        self.alive = True
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        need = _whole(self._received)
        if need and len(self._received) >= need and self._answer and not self._answer.done():
            self._answer.set_result(bytes(self._received))

    def connection_lost(self, error: Exception | None) -> None:
        self.alive = False
        if self._answer and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed"))

    async def ask(self, request: bytes) -> bytes:
        """Send a request and wait for its whole answer."""
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


class OpenLoop:
    """Requests at a steady rate.

    Args:
        port: of the server on 127.0.0.1.
        requests: sent in turn.
        rate: of them, a second.
        out: gets a line of JSON for each one that is over.
        patience: seconds after which one is given up.
    """

    def __init__(
        self, port: int, requests: Sequence[bytes], rate: float, out: TextIO, patience: float = 10.0
    ) -> None:
        self._port, self._requests, self._rate = port, requests, rate
        self._out, self._patience = out, patience
        self._free: list[_Caller] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until SIGTERM; then waits for what is under way."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        began, wall, number = time.monotonic(), time.time(), 0
        while not stopped.is_set():
            due = number / self._rate
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            request = self._requests[number % len(self._requests)]
            task = loop.create_task(self._one(request, began + due, wall + due))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            number += 1
        if self._running:
            await asyncio.wait(self._running)

    async def _one(self, request: bytes, due: float, at: float) -> None:
        status, version = 0, ""
        try:
            async with asyncio.timeout_at(due + self._patience):
                caller = await self._caller()
                try:
                    answer = await caller.ask(request)
                except BaseException:
                    caller.transport.abort()
                    raise
            self._free.append(caller)
            status, version = int(answer[9:12]), _header(answer, b"x-millwright-version")
        except (OSError, TimeoutError):
            pass  # The status says it: no answer.
        seen = Seen(at, time.monotonic() - due, status, version)
        self._out.write(json.dumps(seen) + "\n")

    async def _caller(self) -> _Caller:
        while self._free:
            caller = self._free.pop()
            if caller.alive:
                return caller
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Caller, "127.0.0.1", self._port))[1]


def _header(answer: bytes, name: bytes) -> str:
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return head.partition(name + b": ")[2].partition(b"\r\n")[0].decode()


def main(argv: Sequence[str] | None = None) -> int:
    """Load 127.0.0.1:PORT until SIGTERM, a line of JSON for each request on standard output."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="a file with one JSON a line")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument(
        "--patience", type=float, default=10.0, help="seconds after which a request is given up"
    )
    given = parser.parse_args(argv)
    bodies = given.bodies.read_bytes().splitlines()
    requests = [post(given.path, body) for body in bodies]
    uvloop.run(OpenLoop(given.port, requests, given.rate, sys.stdout, given.patience).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
