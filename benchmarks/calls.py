"""A load of gRPC calls on raw HTTP/2 frames: Google's client costs more than the servers.

Each connection makes its next call when the last is answered. A call's head is written without
HPACK's table, so its bytes are the same each time, and nothing of an answer is read but which
frames it has.
"""

from __future__ import annotations

import asyncio
import math
from typing import cast

import numpy as np

from benchmarks.load import Asking, Result, closed_loop
from contracts.artifact import Artifact, Tensor
from serving.protocol import CALLS_INFERENCE
from serving.runtime.grpc import frames, heads
from serving.runtime.grpc.frames import Kind, Setting
from serving.runtime.grpc.schema import INFERENCE, message

_HEAD = heads.block(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", CALLS_INFERENCE.encode()),
        (b":authority", b"127.0.0.1"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
)
_GREETING = (
    frames.PREFACE
    + frames.settings({Setting.INITIAL_WINDOW_SIZE: frames.MOST_WINDOW})
    + frames.window_update(0, frames.MOST_WINDOW - frames.FIRST_WINDOW)
)
_DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "INT32": "<i4"}


def call_of(document: Artifact, rows: int) -> bytes:
    """A call's message, as Triton's client writes it: plausible values, as bytes."""
    asked = message(INFERENCE, "ModelInferRequest")(model_name=document.name)
    for tensor in document.inputs:
        shape = [rows, *tensor.shape[1:]]
        asked.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        asked.raw_input_contents.append(_raw(tensor, math.prod(shape)))
    content: bytes = asked.SerializeToString()
    return b"\0" + len(content).to_bytes(4, "big") + content


def _raw(tensor: Tensor, count: int) -> bytes:
    if tensor.datatype == "BYTES":
        text = (tensor.categories or ("",))[-1].encode()
        return (len(text).to_bytes(4, "little") + text) * count
    value = ((tensor.minimum or 0.0) + (tensor.maximum or 20.0)) / 2
    return np.full(count, value, _DTYPES[tensor.datatype]).tobytes()


class _Connection(Asking):
    def __init__(self, call: bytes, until: float, seconds: list[float]) -> None:
        super().__init__(until, seconds)
        self._call = call
        self._stream, self._rest, self._has_data = -1, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(_GREETING)
        super().connection_made(transport)

    def _send(self) -> None:
        self._stream += 2
        self._has_data = False
        parts = [frames.headers(self._stream, _HEAD, end=False)]
        for start in range(0, len(self._call), frames.MOST_FRAME):
            piece = self._call[start : start + frames.MOST_FRAME]
            last = frames.END_STREAM if start + frames.MOST_FRAME >= len(self._call) else 0
            parts.append(frames.frame(Kind.DATA, last, self._stream, piece))
        self._transport.write(b"".join(parts))

    def data_received(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= frames.HEAD_SIZE:
            high, low, kind, flags, stream = frames.HEAD.unpack_from(data, at)
            end = at + frames.HEAD_SIZE + (high << 8 | low)
            if end > len(data):
                break
            payload, at = data[at + frames.HEAD_SIZE : end], end
            self._take(kind, flags, stream, payload)
        self._rest = data[at:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (Kind.SETTINGS, Kind.PING) and not flags & frames.ACK:
            echoed = payload if kind == Kind.PING else b""
            self._transport.write(frames.frame(kind, frames.ACK, 0, echoed))
        elif stream == self._stream and kind == Kind.DATA:
            self._has_data = True
        elif stream == self._stream and kind == Kind.HEADERS and flags & frames.END_STREAM:
            self._answered(failed=not self._has_data)  # nothing but trailers: a refusal


def run(port: int, call: bytes, *, connections: int, seconds: float) -> Result:
    """A closed loop of calls.

    Args:
        port: of the server, on 127.0.0.1.
        call: a message with its prefix, as `call_of` makes it.
        connections: how many ask at the same time.
        seconds: how long.
    """

    def asking(until: float, taken: list[float]) -> Asking:
        return _Connection(call, until, taken)

    return closed_loop(asking, port, connections=connections, seconds=seconds)
