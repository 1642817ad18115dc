"""Listens, and ends without losing a request.

On SIGTERM readiness goes false at once, so that whoever routes to this server stops; requests that
are under way or still arriving are answered for a grace; then the port closes. Closing at once, as
servers do by default, loses what was already on its way.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import structlog
import uvloop

from contracts.errors import ServingError
from serving.runtime import http
from serving.runtime.app import App
from serving.runtime.connections import MOST_HELD, Connections
from serving.runtime.grpc.connection import Connection as Http2
from serving.runtime.grpc.opening import Opening
from serving.runtime.grpc.services import Services
from serving.runtime.refusal import CANNOT_SERVE

_log = structlog.get_logger("serving.runtime")
BACKLOG = 2048
"""Connections that may wait to be taken."""
TICK = 0.1
LINGER = 0.2
"""Seconds in which the request may still come of a connection that was just accepted."""
UNDER_WAY = 25.0
"""Seconds for which a request that is under way at the end of the grace is waited for."""


def opening(connections: Connections, services: Services) -> Opening:
    """What finds out which protocol a new connection speaks."""
    begin = partial(services.begin, connections)
    return Opening(
        connections, partial(http.Connection, connections), partial(Http2, connections, begin)
    )


class Listener(Protocol):
    """What connections come from."""

    def close(self) -> None:
        """Take no more."""


class Server:
    """A server that drains.

    Args:
        app: what answers.
        host: address to listen on.
        port: port to listen on.
        grace: seconds for which requests are still taken after SIGTERM.
        held: bytes that bodies may have together that are still arriving.
        also: another port, which is as the first; 0 for none.
    """

    def __init__(
        self,
        app: App,
        *,
        host: str,
        port: int,
        grace: float,
        held: int = MOST_HELD,
        also: int = 0,
    ) -> None:
        self._app = app
        self._services = Services(app)
        self._host = host
        self._ports = (port, also) if also else (port,)
        self._grace = grace
        self._held = held
        self._until: float | None = None
        self.announce: Callable[[], None] = lambda: None
        """Called when it listens, and its model is ready."""

    def run(self) -> int:
        """Serve until SIGTERM.

        Returns:
            The exit status: 1 where the port cannot be had.
        """
        # What was made to start with stays; looking through it again and again is a tail's tail.
        gc.collect()
        gc.freeze()
        return uvloop.run(self._serve())

    async def _serve(self) -> int:
        connections = Connections(self._app, held=self._held)
        try:
            await self._app.start()
        except ServingError as error:
            print(f"{CANNOT_SERVE}{error}", file=sys.stderr)
            return error.exit_code
        try:
            listeners = await self._listen(connections)
        except OSError as error:
            print(f"{CANNOT_SERVE}{error.strerror}", file=sys.stderr)
            await self._app.end()
            return 1
        self.announce()
        while self._until is None or time.monotonic() < self._until:
            self._tick(connections)
            await asyncio.sleep(TICK)
        for listener in listeners:
            listener.close()
        await asyncio.sleep(LINGER)
        connections.end()
        until = time.monotonic() + UNDER_WAY
        while connections.open and time.monotonic() < min(until, self._until + UNDER_WAY):
            self._tick(connections)
            await asyncio.sleep(TICK)
        connections.abort()
        await self._app.end()
        return 0

    async def _listen(self, connections: Connections) -> Sequence[Listener]:
        """Take connections, and heed who ends it.

        Raises:
            OSError: a port cannot be had; it says which.
        """
        loop = asyncio.get_running_loop()
        begin = partial(opening, connections, self._services)
        listeners = []
        for port in self._ports:
            try:
                listeners.append(await loop.create_server(begin, self._host, port, backlog=BACKLOG))
            except OSError as error:
                what = f"{self._host}:{port}: {error.strerror}"
                raise OSError(error.errno, what) from None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain)
        return listeners

    def _tick(self, connections: Connections) -> None:
        connections.tick()

    def _drain(self) -> None:
        """A signal: drain; a second one: end now."""
        if self._until is not None:
            self._until = time.monotonic() - UNDER_WAY
            return
        self._be_unready()
        self._until = time.monotonic() + self._grace
        _log.info("draining", seconds=self._grace, active=self._app.active)

    def _be_unready(self) -> None:
        """Whoever routes here is to stop."""
        self._app.draining = True
        self._services.health.changed()
