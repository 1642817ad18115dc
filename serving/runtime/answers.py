"""Answers in the Open Inference Protocol's form, and in the usual case most of one at once.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from contracts.artifact import Tensor
from serving.runtime import bfloat16, binary
from serving.runtime.binary import Array
from serving.runtime.refusal import Refusal
from serving.runtime.tensors import Findings

_NAMED = 50
"""Inputs that an answer names for each finding, at most."""
_encode = msgspec.json.Encoder().encode


class ResponseOutput(Struct):
    """One output tensor of a response, its data flat and in row order, or behind the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[Any] | UnsetType = UNSET
    parameters: dict[str, int] | dict[str, str] | UnsetType = UNSET


class InferResponse(Struct):
    """The answer of ``infer``."""

    model_name: str
    model_version: str
    id: str
    outputs: list[ResponseOutput]
    parameters: dict[str, str] | UnsetType = UNSET


def write_response(response: InferResponse) -> bytes:
    """The body of an answer."""
    return _encode(response)


class PlainResponses:
    """Writes answers of the usual form: all outputs, their data inside the JSON.

    What is the same in each is written once.

    Args:
        name: the model's.
        version: its version.
        outputs: as the artifact declares them.
    """

    def __init__(self, name: str, version: str, outputs: tuple[Tensor, ...]) -> None:
        start = _encode({"model_name": name, "model_version": version})
        self._start = start[:-1] + b',"id":'
        self._heads = [
            (b'"outputs":[' if first else b"},")
            + _encode({"name": tensor.name})[:-1]
            + b',"shape":'
            for first, tensor in zip((True, *(False,) * len(outputs)), outputs, strict=False)
        ]
        self._datatypes = [b',"datatype":"%b","data":' % t.datatype.encode() for t in outputs]

    def body(
        self, identity: str, tensors: list[tuple[list[int], list[Any]]], findings: Findings
    ) -> bytes:
        """An answer.

        Args:
            identity: the request's id.
            tensors: of each output its shape, and its data in row order.
            findings: what is odd about the request.
        """
        parts = [self._start, _encode(identity), b","]
        for head, datatype, (shape, data) in zip(
            self._heads, self._datatypes, tensors, strict=True
        ):
            parts += (head, _encode(shape), datatype, _encode(data))
        parts.append(b"}]")
        if findings:
            parts += (b',"parameters":', _encode(as_parameters(findings)))
        parts.append(b"}")
        return b"".join(parts)


def as_parameters(findings: Findings) -> dict[str, str]:
    """Findings as an answer's parameters: names with commas between, each percent-encoded."""
    return {kind: ",".join(map(quote, names[:_NAMED])) for kind, names in findings.items()}


def output_tensor(
    tensor: Tensor, array: Array, behind: list[bytes] | None = None
) -> ResponseOutput:
    """One output in the protocol's form.

    Args:
        tensor: as the artifact declares it.
        array: the model's output.
        behind: where its bytes are put, to follow the JSON; None for data inside the JSON.

    Raises:
        Refusal: (500) it holds a value that is not a finite number, which no client could use.
    """
    data = array.ravel().tolist() if behind is None else []
    check_finite(tensor.name, array, data)
    if behind is None:
        return ResponseOutput(tensor.name, array.shape, tensor.datatype, data)
    behind.append(as_bytes(tensor.datatype, array))
    size = {"binary_data_size": len(behind[-1])}
    return ResponseOutput(tensor.name, array.shape, tensor.datatype, UNSET, size)


def flattened(arrays: Iterable[Array]) -> list[tuple[list[int], list[Any]]] | None:
    """Of each output its shape, and its data in row order; None where not all is finite."""
    flat = []
    for array in arrays:
        data = array.ravel().tolist()
        if not _all_finite(array, data):
            return None
        flat.append((list(array.shape), data))
    return flat


def as_bytes(datatype: str, array: Array) -> bytes:
    """An output's bytes, as the binary tensor extension and gRPC have them."""
    return bfloat16.encoded(array) if datatype == "BF16" else binary.encoded(array)


def check_finite(name: str, array: Array, data: list[Any]) -> None:
    """Refuse an output that no client could use.

    Args:
        name: its name.
        array: the model's output.
        data: may have the values of it.

    Raises:
        Refusal: (500) it holds a value that is not a finite number.
    """
    if not _all_finite(array, data):
        raise Refusal(500, f"the model's output {name!r} holds a value that is not a number")


def _all_finite(array: Array, data: list[Any]) -> bool:
    """Whether each value is a finite number, or a text; `data` may have the values."""
    if array.dtype.kind != "f":
        return True
    if 0 < len(data) < 32:  # where starting numpy costs more than its loop saves
        return all(map(math.isfinite, data))
    return bool(np.isfinite(array).all())
