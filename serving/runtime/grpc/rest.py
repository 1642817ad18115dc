"""REST in HTTP/2: the same site answers, only the framing differs.

Whoever speaks HTTP/2 to a front door is passed on in HTTP/2, and some clients begin with it
(``curl --http2-prior-knowledge``), so both protocols' requests may come in either framing.
"""

from __future__ import annotations

import time
from http import HTTPStatus

from serving.runtime.connections import Connections
from serving.runtime.grpc import heads
from serving.runtime.grpc.streams import Stream
from serving.runtime.messages import Request, Response, refused

_STATUS = b":status"


class Rest:
    """One request.

    Args:
        stream: it.
        connections: all of them, and so what answers.
        refusal: what is answered, whatever is asked.
    """

    def __init__(
        self, stream: Stream, connections: Connections, refusal: Response | None = None
    ) -> None:
        self._stream = stream
        self._all = connections
        self._site = connections.site
        headers = {name: value for name, value in stream.headers.items() if name[:1] != b":"}
        if b"host" not in headers and (host := stream.headers.get(b":authority")):
            headers[b"host"] = host
        method = stream.headers[b":method"].decode("latin-1")
        path = stream.headers[b":path"].partition(b"?")[0]
        self._request = Request(method, path, headers, keep=True)
        self._gone = False
        refusal = refusal or self._site.admit(self._request)
        if refusal is not None:
            self.answer(self._request, refusal)

    def data(self, content: bytes) -> None:
        """A piece of the body."""
        request = self._request
        if request.answered:
            return
        request.size += len(content)
        if request.size > request.most:
            self.answer(request, self._site.too_large(request))
        else:
            request.parts.append(content)

    def whole(self) -> None:
        """All of it has come."""
        request = self._request
        if request.answered:
            return
        request.body = b"".join(request.parts)
        request.parts.clear()
        request.began = time.perf_counter()
        try:
            self._site.respond(request, self)
        except Exception as error:  # noqa: BLE001  whatever it is, somebody waits
            self.answer(request, self._site.failed(request, error))

    def answer(self, request: Request, response: Response) -> None:
        """Send the answer."""
        request.answered = True
        request.parts.clear()
        if self._gone:
            return
        body = b"" if request.method == "HEAD" else response.body
        pairs = [(_STATUS, b"%d" % response.status)]
        for text in (response.lines + self._all.date).split(b"\r\n"):
            if text:
                name, _, value = text.partition(b": ")
                pairs.append((name.lower(), value))
        if response.status != 204:
            pairs.append((b"content-length", b"%d" % len(response.body)))
        self._stream.answer(heads.block(pairs), body)

    def gone(self) -> None:
        """Nobody waits for it any more."""
        self._gone = True
        self._request.answered = True
        self._request.parts.clear()

    def late(self, what: str) -> None:
        """The body does not come to its end."""
        if not self._request.answered:
            sentence = f"{what} in the time that it has; send it faster"
            self.answer(self._request, refused(HTTPStatus.REQUEST_TIMEOUT, sentence))

    def crowded(self, what: str) -> None:
        """There is no room for it."""
        if not self._request.answered:
            self.answer(self._request, self._site.crowded(self._request, what))

    def expired(self) -> None:
        """REST has no deadlines."""

    def ending(self) -> None:
        """It ends by itself."""
