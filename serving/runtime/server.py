"""Runs the application on uvicorn, and ends without losing a request.

On SIGTERM readiness goes false at once, so that whoever routes to this server stops; requests that
are under way or still arriving are answered for a grace; then the port closes. Closing at once, as
servers do by default, loses what was already on its way.
"""

from __future__ import annotations

import asyncio
import socket
import time
from types import FrameType
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.runtime.app import App

_log = structlog.get_logger("serving.runtime")
_LINGER = 0.2


class OneWrite:
    """A connection on which an answer's head waits for its body.

    Written one after the other, the head wakes the client, which takes the processor from the
    server before it has written the body: half of an answer's time, and most of its tail.

    Args:
        transport: the connection.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write; a head only with what follows it, or when nothing does."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close when all is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with one write for each answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(OneWrite(transport))  # type: ignore[arg-type]


class Server(uvicorn.Server):
    """A server that drains.

    Args:
        app: what answers.
        host: address to listen on.
        port: port to listen on; 0 picks a free one.
        grace: seconds for which requests are still taken after SIGTERM.
    """

    def __init__(self, app: App, *, host: str, port: int, grace: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                loop="uvloop",
                http=Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=2048,
                # Longer than a proxy keeps an idle connection, so that it is never us who close it.
                timeout_keep_alive=120,
                timeout_graceful_shutdown=30,
            )
        )
        self._app = app
        self._grace = grace
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: drain; a second one: end now. Not recorded, so that the exit status is 0."""
        if self._until is not None:
            self.should_exit = True
            return
        self._app.draining = True
        self._until = time.monotonic() + self._grace
        _log.info("draining", seconds=self._grace, active=self._app.active)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn asks every 0.1 s whether to end."""
        if self._until is not None and time.monotonic() >= self._until and not self._app.active:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port first, and the connections a moment later.

        A connection that was just accepted has its request still on the way; uvicorn would close it
        as idle.
        """
        for listener in self.servers:
            listener.close()
        await asyncio.sleep(_LINGER)
        await super().shutdown(sockets)
