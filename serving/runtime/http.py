"""HTTP/1.1 on a connection: requests in, answers out in their order, and nobody is held up.

An application server costs more than most models do, and hides when requests arrive together. Here
requests are parsed as their bytes come and handed on at once, so that those of one turn of the
event loop, whichever connections they came on, are there together (`serving.runtime.turns`). The
parser is httptools', which is llhttp, Node's.

What a client may hold is bounded: a head's bytes, a body's bytes, the bytes of all bodies that are
still arriving, and the time for each. A request takes a place among those that are answered only
when it is whole, so half-sent ones keep nobody out.

Source: RFC 9110 and RFC 9112.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import cast

import httptools

from serving.runtime.connections import Connections
from serving.runtime.messages import (
    MOST_HEAD,
    NO_REQUEST,
    Request,
    Response,
    head_size,
    is_chunked,
    late,
    path_of,
    plain_head,
    rendered,
    too_long_a_head,
)

_TURN = 0.002
"""Seconds of one connection's turn, after which others have theirs; a request is always begun."""
_PIECE = 8 * 2**10
"""Bytes that are parsed before the time is looked at."""
_LINGER = 0.5
"""Seconds for which a connection that may have sent more is left open by a server that ends."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """A client's connection.

    Requests that are sent before the last one is answered wait, and nothing more is read meanwhile.

    Args:
        connections: all of them, among which this is to be.
    """

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._site = connections.site
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._offer = False
        self._unread = 0
        self._receiving: Request | None = None
        self._answering: Request | None = None
        self._waiting: deque[Request] = deque()
        self._stepping = self._feeding = self._reading_paused = False
        self._writing_paused = False
        """The client does not read its answers: it gets no more, and nothing of it is begun."""
        self._rest = b""
        """What has come and is not parsed yet."""
        self._begun, self._until = 0, 0.0
        """Requests that were looked at in this turn, and when it is over."""
        self._ignores_input = False
        """Whatever else comes is passed over; answers may still be due."""
        self._said_last = False
        """All is said; follows only on `_ignores_input`."""
        self._last: Response | None = None
        """What is said at the end, after the answers to whole requests."""
        self._since = time.monotonic()
        self._held = self._unsent = 0

    # -- the transport's side --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._all.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; what is being answered is answered for nobody."""
        self._all.open.discard(self)
        self._transport = None
        self._ignores_input = True
        self._waiting.clear()
        self._rest = b""
        self._release()

    def eof_received(self) -> bool:
        """The client sends nothing more; it may still read."""
        self._ignores_input = True
        return self._answering is not None or bool(self._waiting)

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets no more before it does."""
        self._writing_paused = True
        self._since = time.monotonic()
        if self._transport is not None:
            self._unsent = self._transport.get_write_buffer_size()
        self._pause()

    def resume_writing(self) -> None:
        """It has read some."""
        self._writing_paused = False
        self._since = time.monotonic()
        self._step()

    def data_received(self, data: bytes) -> None:
        """Bytes of a client.

        A client that offers another protocol (Java's HttpClient does, ``Upgrade: h2c``) is answered
        in this one, as RFC 9110 (7.8) has it. The parser takes such a request to be over after its
        head, and what follows for the other protocol; so it is given the head again, without the
        offer.

        The parser collects a head, and what follows a body in chunks, without a bound. So bytes
        that end no head and are of no body are counted, and refused beyond `MOST_HEAD`.
        """
        if self._ignores_input:
            self._unread += len(data)
            return
        if self._rest:
            self._rest += data
            return
        self._new_turn()
        at = 0
        while True:
            piece = data if not at and len(data) <= _PIECE else data[at : at + self._next()]
            at += len(piece)
            self._unread += len(piece)
            self._feeding = True
            self._feed(piece, len(data) - at)
            self._feeding = False
            if at == len(data):
                break
            if self._ignores_input:
                self._unread += len(data) - at
                break
            if self._has_later() or time.perf_counter() > self._until:
                self._rest = data[at:]
                break
        if self._rest:
            self._pause()
            self._step()
        elif self._has_later():
            self._step()
            if self._has_later():
                self._pause()

    def _next(self) -> int:
        """Bytes to parse next: all that are of the same body, which is little work."""
        if self._receiving is None:
            return _PIECE
        length = self._receiving.headers.get(b"content-length", b"0")
        return max(_PIECE, int(length) - self._receiving.size)

    def _new_turn(self) -> None:
        self._begun, self._until = 0, time.perf_counter() + _TURN

    def _is_over(self) -> bool:
        """Whether it is others' turn."""
        return self._begun > 0 and time.perf_counter() > self._until

    def _feed(self, data: bytes, more: int) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if not self._offer:  # CONNECT, which is refused
                    return
                data = plain_head(self._parser, self._url, self._headers) + data[offer.args[0] :]
                self._offer = False
                self._parser = httptools.HttpRequestParser(self)
                continue
            except httptools.HttpParserError:
                if self._ignores_input:  # it has said that it sends no more
                    return
                is_small = self._unread + more <= MOST_HEAD
                self._part(NO_REQUEST if is_small else too_long_a_head(self._url))
                return
            if self._unread > MOST_HEAD and not self._ignores_input:
                self._part(too_long_a_head(self._url))
            elif self._receiving is not None:
                self._hold(self._receiving)
            return

    # -- the parser's side -----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = {}
        self._since = time.monotonic()

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody reads."""
        name = name.lower()
        headers = self._headers
        headers[name] = b"%s, %s" % (headers[name], value) if name in headers else value

    def on_headers_complete(self) -> None:
        """A request's head is there; one that offers another protocol is read again."""
        # Exactly only where it may be too large: its body may have come with it.
        if self._unread > MOST_HEAD and head_size(self._url, self._headers) > MOST_HEAD:
            raise httptools.HttpParserError("the head is too large")
        self._unread = 0
        parser, headers = self._parser, self._headers
        method = parser.get_method().decode()
        if b"upgrade" in headers:
            self._offer = parser.should_upgrade() and method != "CONNECT"
            if self._offer:
                return
        if self._ignores_input:
            return
        # The parser says so too, but after this, when the head has been answered.
        if b"transfer-encoding" in headers and not is_chunked(headers[b"transfer-encoding"]):
            raise httptools.HttpParserError("the body has no end that can be known")
        path = self._url
        if path[:1] != b"/" or b"?" in path or b"#" in path:
            path = path if method == "CONNECT" else path_of(path)
        # What follows CONNECT is for whom it wants to be connected with.
        keep = method != "CONNECT" and parser.should_keep_alive()
        request = self._receiving = Request(method, path, headers, keep)
        self._headers = {}  # a trailer is no header
        # Who speaks the older version keeps a connection only if both say so, and is told nothing
        # before its answer.
        if b"connection" in headers or b"expect" in headers:
            request.old = parser.get_http_version() == "1.0"
        waits = self._answering is not None or self._waiting or self._writing_paused
        if not waits and not self._is_over():
            self._admit(request)

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there."""
        self._unread = 0
        request = self._receiving
        if request is None:
            return
        request.size += len(body)
        if request.answered:
            if request.size > request.until:
                self._part(None)
        elif not request.admitted or request.size <= request.most:
            request.parts.append(body)
        else:
            request.over = True
            request.parts.clear()
            if request.size > request.until:
                self._refuse(request, self._site.too_large(request))

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._unread = 0
        request = self._receiving
        if self._offer or request is None:
            return
        self._receiving = None
        if self._held:
            self._release()
        if not request.keep:
            self._ignores_input = True
        if request.answered:
            self._since = time.monotonic()
        elif (
            self._answering is not None
            or self._waiting
            or self._writing_paused
            or (not request.admitted and self._is_over())
            or self._ends()  # then it has to be known what comes after it
        ):
            self._waiting.append(request)
        else:
            self._begin(request)

    # -- requests, one after the other -----------------------------------------------------------

    def _admit(self, request: Request) -> None:
        request.admitted = True
        self._begun += 1
        try:
            refusal = self._site.admit(request)
        except Exception as error:  # noqa: BLE001  the parser would take it for the client's
            refusal = self._site.failed(request, error)
        if refusal is not None:
            self._refuse(request, refusal)
        elif not request.old and request.waits() and self._transport is not None:
            self._transport.write(_CONTINUE)

    def _refuse(self, request: Request, response: Response) -> None:
        """Answer what is not whole yet, or not to be answered."""
        request.answered = True
        request.parts.clear()
        self._release()
        if self._receiving is request and (response.close or not request.keep):
            self._part(response)
        else:
            request.told = True
            self._write(request, response)

    def _begin(self, request: Request) -> None:
        if not request.admitted:
            self._admit(request)
            if request.answered:
                return
        if request.over or request.size > request.most:
            self._refuse(request, self._site.too_large(request))
            return
        parts = request.parts
        request.body = parts[0] if len(parts) == 1 else b"".join(parts)
        request.parts = []
        request.began = time.perf_counter()
        self._answering = request
        try:
            self._site.respond(request, self)
        except Exception as error:  # noqa: BLE001  the parser would take it for the client's
            self.answer(request, self._site.failed(request, error))

    def answer(self, request: Request, response: Response) -> None:
        """Send the answer to the request that is being answered."""
        self._answering = None
        self._write(request, response)
        if not self._stepping:
            if self._waiting or self._reading_paused or self._last is not None:
                self._step()
            elif self._ignores_input and not self._said_last and self._transport is not None:
                self._transport.close()

    def _step(self) -> None:
        """On with what has waited."""
        if self._feeding:
            return
        self._stepping = True
        while self._waiting and self._answering is None and not self._writing_paused:
            if self._is_over():
                asyncio.get_running_loop().call_soon(self._turn)
                break
            self._begin(self._waiting.popleft())
        self._stepping = False
        if self._waiting or self._answering is not None or self._writing_paused:
            return
        if self._last is not None:
            last, self._last = self._last, None
            self._part(last)
        elif self._ignores_input:
            if self._transport is not None and not self._said_last:
                self._transport.close()
        elif self._receiving is not None and not self._receiving.admitted:
            self._admit(self._receiving)
        if self._rest:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._resume()

    def _has_later(self) -> bool:
        """Whether there are requests, or one that begins, for which it is too early."""
        unadmitted = self._receiving is not None and not self._receiving.admitted
        return bool(self._waiting) or unadmitted

    def _turn(self) -> None:
        """On, now that others have had their turn."""
        self._new_turn()
        if self._waiting or not self._rest:
            self._step()
        elif self._answering is None and not self._writing_paused:
            rest, self._rest = self._rest, b""
            self.data_received(rest)
            if not self._rest and not self._has_later():
                self._resume()

    def _ends(self) -> bool:
        return self._site.draining or self._all.ending

    def _write(self, request: Request, response: Response) -> None:
        if self._transport is None or self._said_last:
            return
        close = response.close or not request.keep
        if not close and self._ends():
            # What has been sent is answered first.
            later = self._waiting or self._receiving not in (None, request)
            close = not (
                later or self._unread or self._rest or self._reading_paused or self._feeding
            )
        self._since = time.monotonic()
        self._transport.write(rendered(response, self._all.date, to=request, close=close))
        if not close:
            return
        self._waiting.clear()
        if request.keep or self._unread:
            self._leave()
        else:
            self._ignores_input = self._said_last = True
            self._transport.close()

    # -- ends ------------------------------------------------------------------------------------

    def _part(self, response: Response | None) -> None:
        """Say the last thing, and close; who still sends may read it before."""
        self._ignores_input = True
        self._release()
        if self._answering is not None or self._waiting:
            self._last = response
            return
        transport, request = self._transport, self._receiving
        if transport is None or transport.is_closing() or self._said_last:
            return
        if response is not None and not (request is not None and request.told):
            transport.write(rendered(response, self._all.date, to=request, close=True))
        self._leave()

    def _leave(self) -> None:
        """Send no more, and read on until the client closes too.

        Closing at once would reset the connection of a client that still sends, and a reset takes
        from it what it has not read yet (RFC 9112, 9.6).
        """
        assert self._transport is not None
        self._ignores_input = self._said_last = True
        self._receiving, self._rest = None, b""
        self._since = time.monotonic()
        if self._transport.can_write_eof():
            self._transport.write_eof()  # the rest in `check`, or when the client closes too
            self._resume()
        else:
            self._transport.close()

    def check(self, now: float) -> None:
        """End it if its client has taken too long."""
        if self._transport is None or (self._answering is not None and not self._writing_paused):
            return
        patience, waited = self._all.patience, now - self._since
        if self._writing_paused:
            if waited > patience.reading + self._unsent / patience.rate:
                self.abort()
        elif self._ignores_input:
            if waited > patience.parting:
                self.abort()
        elif (request := self._receiving) is not None:
            if waited > patience.body + request.size / patience.rate:
                self._part(late(f"the body did not come; {request.size} bytes of it did"))
        elif self._unread:
            if waited > patience.head:
                self._part(late("the head did not come"))
        elif waited > (_LINGER if self._all.ending else patience.idle):
            self._transport.close()

    def end(self) -> None:
        """The server ends: close it, after its answer if one is under way."""
        due = self._answering or self._receiving or self._waiting or self._unread or self._rest
        if not due and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()

    # -- bounds ----------------------------------------------------------------------------------

    def _hold(self, request: Request) -> None:
        """A body comes in pieces: those that are kept count until it is whole."""
        if request.answered or request.over:
            return
        self._all.held += request.size - self._held
        self._held = request.size
        if self._all.held > self._all.most_held:
            what = f"bodies of {self._all.held} bytes are arriving"
            self._refuse(request, self._site.crowded(request, what))

    def _release(self) -> None:
        self._all.held -= self._held
        self._held = 0

    def _pause(self) -> None:
        transport = self._transport
        if not self._reading_paused and transport is not None and not transport.is_closing():
            self._reading_paused = True
            transport.pause_reading()

    def _resume(self) -> None:
        if self._reading_paused and self._transport is not None and not self._writing_paused:
            self._reading_paused = False
            self._transport.resume_reading()
