"""gRPC on a stream: messages in, messages out, and a status at the end.

A message is its length and its bytes, perhaps packed; a call's status comes behind the answer, in
trailers, and a call that fails at once has nothing but them. Whatever goes wrong before a method is
reached is answered here.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and compression.md.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.runtime import coding
from serving.runtime.grpc import heads
from serving.runtime.grpc.heads import Headers
from serving.runtime.grpc.status import message, status_of, timeout_of
from serving.runtime.grpc.streams import Stream
from serving.runtime.refusal import Refusal, shown

CONTENT_TYPE = b"application/grpc"
MOST_MESSAGE = 64 * 2**10
"""Bytes of a message, unless its method takes larger ones."""
_PREFIX = struct.Struct(">BI")
_WORTH = 2**10
"""Bytes of an answer from which on it is packed for a client that packs."""
_INLINE = 64 * 2**10
"""Bytes of an answer up to which packing is no work for a thread; a larger one goes as it is."""
_CODINGS = b"identity, deflate, gzip"
_HEAD = b"\x88" + heads.block([(b"content-type", CONTENT_TYPE)])  # 0x88 is :status 200
_ACCEPTS = heads.block([(b"grpc-accept-encoding", _CODINGS)])
_OK = heads.block([(b"grpc-status", b"0")])


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a service has.

    Args:
        take: given a call and a message of its, which it answers, now or later.
        many: whether the client may send more than one message.
        most: bytes that a message may have.
        unpacks: whether `take` unpacks a message itself, which may be much work.
        opens: looks at a call before its message comes.
        gone: told when nobody waits for an answer any more.
        refused: told when a call is refused before `take` has it, or after.
        ending: told that the server ends, of a call that has no end by itself.
    """

    take: Callable[[Call, bytes], None]
    many: bool = False
    most: int = MOST_MESSAGE
    unpacks: bool = False
    opens: Callable[[Call], None] = lambda call: None
    gone: Callable[[Call], None] = lambda call: None
    refused: Callable[[Call, Refusal], None] = lambda call, refusal: None
    ending: Callable[[Call], None] = lambda call: None


class Call:
    """One call of a method.

    Args:
        stream: it.
        method: what it calls; None where there is no such method.
        block: headers, beside gRPC's own, that its answer has, whichever it is.
        guard: looks at it first; raises why it is refused.
        failed: says so where this server has a fault.
    """

    def __init__(
        self,
        stream: Stream,
        method: Method | None,
        *,
        block: bytes,
        guard: Callable[[Call], None],
        failed: Callable[[Call, Exception], Refusal],
    ) -> None:
        self._stream = stream
        self._method = method
        self._failed = failed
        self.headers: Headers = stream.headers
        self.began = 0.0
        """When it was whole, by `time.perf_counter`."""
        self.over = False
        """Whether its answer is certain, or nobody waits for it."""
        self.block = block
        self.model: object = None
        """What its method has found for it."""
        self._begun = False
        self._parts: list[bytes] = []
        self._size = 0
        self._need = 0
        """Bytes that the message has with its prefix; 0 until they are known."""
        self.packing: bytes | None = None
        """How its messages may be packed."""
        self.is_packed = False
        """Whether the message is, where the method unpacks it itself."""
        try:
            self._open(guard)
        except Refusal as refusal:
            self.refuse(refusal)

    def _open(self, guard: Callable[[Call], None]) -> None:
        headers, stream = self.headers, self._stream
        if (timeout := headers.get(b"grpc-timeout")) is not None:
            stream.deadline = stream.began + timeout_of(timeout)
        if (method := self._method) is None:
            path = headers[b":path"].decode("latin-1")
            raise Refusal(501, f"there is no method {shown(path)} here", fix="see its reflection")
        stream.lasting = method.many
        method.opens(self)
        guard(self)
        if (named := headers.get(b"grpc-encoding")) is not None:
            try:
                self.packing = coding.coding_of(named)
            except Refusal:
                self.block += _ACCEPTS
                raise Refusal(
                    501,
                    f"grpc-encoding {shown(named.decode('latin-1'))} is not spoken here; "
                    "send gzip, deflate or identity",
                ) from None

    @property
    def deadline(self) -> float:
        """When its client waits no more, by `time.monotonic`."""
        return self._stream.deadline

    # -- the stream's side -----------------------------------------------------------------------

    def data(self, content: bytes) -> None:
        """A piece of the messages."""
        if self.over:
            return
        self._parts.append(content)
        self._size += len(content)
        try:
            self._look()
        except Refusal as refusal:
            self.refuse(refusal)

    def _look(self) -> None:
        assert self._method is not None
        while self._size:
            if not self._need:
                if self._size < _PREFIX.size:
                    return
                self._need = self._length() + _PREFIX.size
            if self._size < self._need or not self._method.many:
                if self._size > self._need:
                    raise Refusal(400, "this method takes one message, and more have come")
                return
            whole = b"".join(self._parts)
            own, rest = whole[: self._need], whole[self._need :]
            self._parts, self._size, self._need = [rest], len(rest), 0
            self._stream.since = time.monotonic()
            self._method.take(self, self._unpacked(own))
            if self.over:
                return

    def _length(self) -> int:
        """Bytes of the message that begins."""
        if len(self._parts[0]) < _PREFIX.size:
            self._parts = [b"".join(self._parts)]
        packed, size = _PREFIX.unpack_from(self._parts[0])
        assert self._method is not None
        most = self._method.most
        if size > most:
            what = f"the message has {size} bytes; at most {most} are taken"
            raise Refusal(413, what, fix="send less in each call")
        if packed not in (0, 1):
            raise Refusal(400, "this is no message of gRPC: its first byte is neither 0 nor 1")
        if packed and self.packing is None:
            raise Refusal(400, "the message is packed, but no grpc-encoding says how")
        return int(size)

    def whole(self) -> None:
        """The client has said all."""
        if self.over:
            return
        self.began = time.perf_counter()
        method = self._method
        assert method is not None
        try:
            if method.many:
                if self._size:
                    raise Refusal(400, "the last message is not whole")
                self.finish()
                return
            if not self._need or self._size != self._need:
                what = "no message has come" if not self._size else "the message is not whole"
                raise Refusal(400, f"{what}, and this method takes one")
            parts, self._parts = self._parts, []
            own = parts[0] if len(parts) == 1 else b"".join(parts)
            if time.monotonic() > self.deadline:
                raise Refusal(504, "the call's deadline was over before it began")
            method.take(self, self._unpacked(own))
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception as error:  # noqa: BLE001  whatever it is, somebody waits
            self.refuse(self._failed(self, error))

    def _unpacked(self, own: bytes) -> bytes:
        content, method = own[_PREFIX.size :], self._method
        assert method is not None
        if method.unpacks:
            self.is_packed = own[0] == 1
            return content
        if not own[0]:
            return content
        assert self.packing is not None
        return coding.unpacked(content, self.packing, method.most)

    def gone(self) -> None:
        """Nobody waits for it any more."""
        if not self.over:
            self.over = True
            self._parts.clear()
            if self._method is not None:
                self._method.gone(self)

    def late(self, what: str) -> None:
        """It does not come to its end."""
        self.refuse(Refusal(408, f"{what} in the time that it has", fix="send it faster"))

    def crowded(self, what: str) -> None:
        """There is no room for it."""
        self.refuse(Refusal(503, what, fix="try again in 1 s"))

    def expired(self) -> None:
        """Its deadline is over."""
        self.refuse(Refusal(504, "the call's deadline is over"))

    def ending(self) -> None:
        """The server ends."""
        if not self.over and self._method is not None:
            self._method.ending(self)

    # -- the method's side -----------------------------------------------------------------------

    def answer(self, content: bytes) -> None:
        """Answer it with one message."""
        if self.over:
            return
        self.over = True
        packed, lines = self._packed(content)
        body = _PREFIX.pack(packed is not content, len(packed)) + packed
        self._stream.answer(_HEAD + self.block + lines, body, _OK)

    def send(self, content: bytes) -> None:
        """Send one message of several."""
        if self.over:
            return
        if not self._begun:
            self._begun = True
            self._stream.begin(_HEAD + self.block)
        self._stream.push(_PREFIX.pack(0, len(content)) + content)

    def finish(self) -> None:
        """End it well."""
        if self.over:
            return
        self.over = True
        if not self._begun:
            self._stream.begin(_HEAD + self.block)
        self._stream.finish(_OK)

    def refuse(self, refusal: Refusal) -> None:
        """End it with a status and a sentence."""
        if self.over:
            return
        self.over = True
        self._parts.clear()
        if self._method is not None:
            self._method.refused(self, refusal)
        status = status_of(refusal)
        end = heads.block(
            [
                (b"grpc-status", b"%d" % status),
                (b"grpc-message", message(refusal.sentence())),
            ]
        )
        if self._begun:
            self._stream.finish(end)
        else:
            self._stream.begin(_HEAD + self.block + end, end=True)

    def _packed(self, content: bytes) -> tuple[bytes, bytes]:
        """An answer as it is sent, and the header for it: packed as the client packs."""
        if self.packing is None or not _WORTH <= len(content) <= _INLINE:
            return content, b""
        if self.packing not in self.headers.get(b"grpc-accept-encoding", b""):
            return content, b""
        lines = heads.block([(b"grpc-encoding", self.packing)])
        return coding.packed(content, self.packing), lines


def is_grpc(headers: Headers) -> bool:
    """Whether a request is a call of gRPC, in protobuf."""
    kind = headers.get(b"content-type", b"")
    if not kind.startswith(CONTENT_TYPE):
        return False
    return kind[len(CONTENT_TYPE) :].partition(b";")[0].strip() in (b"", b"+proto")
