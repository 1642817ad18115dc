"""What passes between the server and a worker process: tables one way, outputs the other.

Nothing is unpickled: what a worker sends is numbers, texts and their shapes, and is checked like
what a client sends.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from contracts.artifact import Tensor
from serving.runtime.binary import Array

SIZE = struct.Struct("!I")
"""In front of each message, the bytes that it has."""
MOST = 2**30
"""Bytes of a message."""
_KINDS = {"?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d"}
_NUMPY = {"FP16": np.float16, "BF16": np.float32, "FP32": np.float32, "FP64": np.float64}


class Column(msgspec.Struct):
    """An array: numbers as bytes, texts as a list."""

    shape: list[int]
    kind: str = ""
    """numpy's character of the numbers' type; empty for texts."""
    data: bytes = b""
    texts: list[str] = []


class Table(msgspec.Struct):
    """A request's columns."""

    columns: dict[str, Column]
    rows: int


class Reply(msgspec.Struct):
    """What a worker says: that it is ready, what was predicted, or what went wrong."""

    outputs: dict[str, Column] = {}
    error: str = ""


encode = msgspec.msgpack.Encoder().encode
decode_table = msgspec.msgpack.Decoder(Table).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


def framed(message: Table | Reply) -> bytes:
    """A message with its size in front."""
    content = encode(message)
    return SIZE.pack(len(content)) + content


def column_of(array: Array) -> Column:
    """An array as it is sent.

    Raises:
        ValueError: it holds neither numbers nor texts.
    """
    shape = list(array.shape)
    if array.dtype.kind in "OUST":
        values = array.ravel().tolist()
        if not all(isinstance(value, str) for value in values):
            other = next(value for value in values if not isinstance(value, str))
            raise ValueError(f"a value of type {type(other).__name__}, neither number nor text")
        return Column(shape, texts=values)
    if array.dtype.char not in _KINDS:
        raise ValueError(f"values of numpy's type {array.dtype}, neither numbers nor texts")
    return Column(shape, array.dtype.char, np.ascontiguousarray(array).tobytes())


def array_of(column: Column) -> Array:
    """An array as it was sent.

    Raises:
        ValueError: it is none.
    """
    if not column.kind:
        array: Array = np.array(column.texts, dtype=object)
    elif column.kind in _KINDS:
        array = np.frombuffer(column.data, dtype=column.kind)
    else:
        raise ValueError("values of a type that is not known")
    return array.reshape(column.shape)


def table_of(feeds: Mapping[str, Array], rows: int) -> Table:
    """A request's columns; what has one value a row has one dimension."""
    columns = {}
    for name, array in feeds.items():
        flat = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
        columns[name] = column_of(flat)
    return Table(columns, rows)


def checked(
    outputs: Mapping[str, Column], declared: tuple[Tensor, ...], rows: int
) -> dict[str, Any]:
    """What a worker gave, as the signature says it.

    Raises:
        ValueError: it is something else; the text says what.
    """
    names = [tensor.name for tensor in declared]
    if outputs.keys() != set(names):
        raise ValueError(
            f"predict gave the outputs {sorted(outputs)[:20]}; the signature has {names}"
        )
    return {tensor.name: _checked(outputs[tensor.name], tensor, rows) for tensor in declared}


def _checked(column: Column, tensor: Tensor, rows: int) -> Array:
    array = array_of(column)
    expected = [rows if size == -1 else size for size in tensor.shape]
    if list(array.shape) == [rows] and expected == [rows, 1]:
        array = array.reshape(rows, 1)
    if list(array.shape) != expected:
        raise ValueError(
            f"predict gave {tensor.name!r} with shape {list(array.shape)}; expected {expected} for "
            f"{rows} rows"
        )
    if tensor.datatype == "BYTES":
        if array.dtype != object:
            raise ValueError(f"predict gave {tensor.name!r} as numbers; expected texts")
        return array
    wanted = np.dtype(_NUMPY.get(tensor.datatype, tensor.datatype.lower()))
    if array.dtype == object or not np.can_cast(array.dtype, wanted, "same_kind"):
        given = "texts" if array.dtype == object else str(array.dtype)
        raise ValueError(f"predict gave {tensor.name!r} as {given}; expected {tensor.datatype}")
    cast = array.astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(cast, array):
        raise ValueError(f"predict gave {tensor.name!r} with values beyond {tensor.datatype}")
    return cast
