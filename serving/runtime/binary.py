"""Tensors as bytes behind the JSON: the binary tensor data extension, both ways.

A tensor of a million numbers is a few milliseconds as bytes and a second as text, so clients that
care (tritonclient, by default) send the JSON first, say in a header where it ends, and append the
tensors' bytes in the order of the inputs. Numbers are little-endian and in row order; texts are
each four bytes of length and then UTF-8.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md,
which the Open Inference Protocol has taken over (binary_data.md).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.runtime.refusal import Refusal, shown

Array = NDArray[Any]

_SIZE = "binary_data_size"
_LENGTH = struct.Struct("<I")


def split(body: bytes, json_size: bytes | None) -> tuple[bytes | memoryview, memoryview | None]:
    """The JSON of a body, and what comes behind it.

    Args:
        body: the whole body.
        json_size: the header that says how long its JSON is; None where all of it is.

    Raises:
        Refusal: the header is no length of a part of the body.
    """
    if json_size is None:
        return body, None
    size = int(json_size) if json_size.isdigit() and len(json_size) < 16 else -1
    if not 0 <= size <= len(body):
        raise Refusal(
            400,
            f"inference-header-content-length is {shown(json_size.decode('latin-1'))}; expected "
            f"how many of the body's {len(body)} bytes are JSON",
        )
    whole = memoryview(body)
    return whole[:size], whole[size:]


def taken(
    name: str, parameters: Mapping[str, Any], behind: memoryview | None, *, present: bool
) -> tuple[memoryview | None, memoryview | None]:
    """The bytes of an input, and what is left for those after it; None for one that is in JSON.

    Args:
        name: the input.
        parameters: its parameters.
        behind: what is left of what came behind the JSON.
        present: whether the JSON has data of it.

    Raises:
        Refusal: there are not that many bytes, or it is sent in a way that is not spoken here.
    """
    check_memory("input", name, parameters)
    if _SIZE not in parameters:
        return None, behind
    size = parameters[_SIZE]
    if type(size) is not int or size < 0:
        raise Refusal(400, f"input {shown(name)}: {_SIZE} is {shown(size)}; expected a length")
    if present:
        raise Refusal(400, f"input {shown(name)} has both data and {_SIZE}; expected one of them")
    if behind is None:
        raise Refusal(
            400,
            f"input {shown(name)} has {_SIZE}, but the request has no header "
            "inference-header-content-length, which says where the JSON ends",
        )
    if size > len(behind):
        raise Refusal(
            400,
            f"input {shown(name)}: {_SIZE} is {size}, but only {len(behind)} bytes are left "
            "behind the JSON",
        )
    return behind[:size], behind[size:]


def check_wanted(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse what an output cannot be given as.

    Raises:
        Refusal: it is wanted in shared memory, or as a ranking of classes.
    """
    check_memory("output", name, parameters)
    if parameters.get("classification"):
        raise Refusal(
            400,
            f"output {shown(name)}: the classification extension is not spoken here; "
            "ask for the probabilities and rank them",
        )


def check_memory(side: str, name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a tensor in shared memory.

    Raises:
        Refusal: it is said to be there.
    """
    if "shared_memory_region" in parameters:
        raise Refusal(
            400,
            f"{side} {shown(name)}: shared memory is not spoken here; send data or bytes",
        )


def decoded(raw: memoryview, dtype: np.dtype[Any], count: int) -> Array:
    """A flat tensor from its bytes.

    Args:
        raw: the bytes.
        dtype: its type; objects are texts.
        count: how many elements its shape has.

    Raises:
        ValueError: the bytes are not that many elements of that type.
    """
    if dtype.kind == "O":
        return _texts(raw, count)
    if len(raw) != count * dtype.itemsize:
        raise ValueError(
            f"{len(raw)} bytes for {count} elements of {dtype.itemsize} bytes each, "
            "as the shape says"
        )
    flat = np.frombuffer(raw, np.uint8 if dtype.kind == "b" else dtype.newbyteorder("<"))
    if dtype.kind == "b" and flat.size and flat.max() > 1:
        raise ValueError("a byte of a BOOL is neither 0 nor 1")
    # Copied: bytes behind a JSON begin anywhere, and a model reads aligned numbers.
    return flat.astype(dtype)


def _texts(raw: memoryview, count: int) -> Array:
    texts: list[str] = []
    start, size = 0, len(raw)
    while start < size and len(texts) < count:
        if start + 4 > size or (end := start + 4 + _LENGTH.unpack_from(raw, start)[0]) > size:
            raise ValueError(f"text {len(texts)} is longer than what is left of its bytes")
        try:
            texts.append(str(raw[start + 4 : end], "utf-8"))
        except UnicodeDecodeError:
            raise ValueError(f"text {len(texts)} is not UTF-8") from None
        start = end
    if len(texts) != count or start != size:
        raise ValueError(f"the bytes are not the {count} texts that the shape says")
    return np.array(texts, dtype=object)


def encoded(array: Array) -> bytes:
    """A tensor's bytes."""
    if array.dtype.kind not in "OU":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [str(text).encode() for text in array.ravel().tolist()]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
