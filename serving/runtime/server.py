"""Runs the application on uvicorn, and ends without losing a request.

On SIGTERM readiness goes false at once, so that whoever routes to this server stops; requests that
are under way or still arriving are answered for a grace; then the port closes. Closing at once, as
servers do by default, loses what was already on its way.
"""

from __future__ import annotations

import asyncio
import socket
import time
from http import HTTPStatus
from types import FrameType
from typing import Any

import httptools
import msgspec
import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.runtime.app import App

_log = structlog.get_logger("serving.runtime")
_LINGER = 0.2
_UNDER_WAY = 25
"""Seconds for which a request that is under way at the end of the grace is waited for."""
_MOST_HEAD = 64 * 2**10
"""Bytes of a request's head: its target and its headers."""
_OFFER = (b"upgrade", b"http2-settings")
"""Headers, and words of the header Connection, that offer another protocol."""


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
    """uvicorn's HTTP/1.1, with one write for each answer, our refusals, and nothing lost to an
    offer of another protocol."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(OneWrite(transport))  # type: ignore[arg-type]
        self._offer = False
        self._unread = 0
        self.url = b""

    def data_received(self, data: bytes) -> None:
        """Bytes of a client.

        A client that offers another protocol (Java's HttpClient does, ``Upgrade: h2c``) is answered
        in this one, as RFC 9110 (7.8) has it. The parser takes such a request to be over after its
        head, and what follows for the other protocol; so it is given the head again, without the
        offer.

        The parser collects a head, and what follows a body in chunks, without a bound. So bytes
        that end no head and are of no body are counted, and refused beyond `_MOST_HEAD`.
        """
        self._unread += len(data)
        self._unset_keepalive_if_required()
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if not self._offer:  # CONNECT, which has been refused
                    return
                data = self._head() + data[offer.args[0] :]
                self._offer = False
                self.parser = httptools.HttpRequestParser(self)
                continue
            except httptools.HttpParserError:
                if self._unread <= _MOST_HEAD:
                    self.send_400_response("this is not a request in HTTP/1.1")
                    return
            if self._unread > _MOST_HEAD:
                self._refuse_head()
            return

    def on_headers_complete(self) -> None:
        """A request's head is there; one that offers another protocol is read again."""
        # Exactly only where it may be too large: its body may have come with it.
        if self._unread > _MOST_HEAD and self._head_size() > _MOST_HEAD:
            raise httptools.HttpParserError("the head is too large")
        self._unread = 0
        self._offer = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._offer:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is there."""
        self._unread = 0
        if not self._offer:
            super().on_message_complete()

    def _head(self) -> bytes:
        """The request's head without the offer of another protocol."""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                value = b", ".join(token for token in tokens if token.lower() not in _OFFER)
            if name not in _OFFER:
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join((*lines, b"", b""))

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        if 2 * len(self.url) > _MOST_HEAD:
            status, name = HTTPStatus.REQUEST_URI_TOO_LONG, "target is"
        else:
            status, name = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers are"
        self._end(status, f"the request's {name} too long; a head has at most {_MOST_HEAD} bytes")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the form of all refusals."""
        self._end(HTTPStatus.BAD_REQUEST, msg)

    def _end(self, status: HTTPStatus, sentence: str) -> None:
        """Answer what no application sees, and close."""
        body = msgspec.json.encode({"error": sentence})
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%s"
            % (status, status.phrase.encode(), len(body), body)
        )
        self.transport.close()


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
                timeout_graceful_shutdown=_UNDER_WAY,
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
        """uvicorn asks every 0.1 s whether to end.

        Once the grace is over: what is under way then has `_UNDER_WAY` seconds more, and a client
        that never finishes its request keeps nothing alive.
        """
        if self._until is not None and time.monotonic() >= self._until:
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
