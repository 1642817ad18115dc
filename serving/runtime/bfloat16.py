"""BF16, which numpy has not: the upper half of a 32-bit float.

Here a tensor of that datatype is one of 32-bit floats whose lower halves are zero, from the request
to the answer; only its bytes, and the model, know better. So the model gets a cast in front of each
such input and behind each such output.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from contracts.errors import ServingError

MAX = 3.3895313892515355e38
"""The largest; beyond it a number is rounded to infinity."""
_SUFFIX = ":bfloat16"


def decoded(raw: memoryview, count: int) -> NDArray[Any]:
    """Numbers from their bytes.

    Raises:
        ValueError: there are not two for each.
    """
    if len(raw) != 2 * count:
        raise ValueError(f"{len(raw)} bytes for {count} elements of 2 bytes each")
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)


def encoded(array: NDArray[Any]) -> bytes:
    """Their bytes."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return (bits >> 16).astype("<u2").tobytes()


def rounded(array: NDArray[Any]) -> NDArray[Any]:
    """Each number as the nearest that there is; of two the even one, as IEEE 754 has it."""
    bits = np.array(array, np.float32).view(np.uint32)
    nearest = (bits + (0x7FFF + ((bits >> 16) & 1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(array), np.float32(np.nan), nearest.view(np.float32))


def widened(content: bytes, names: Iterable[str]) -> bytes:
    """The model with inputs and outputs of 32 bits in place of those of BF16.

    Args:
        content: the bytes of ``model.onnx``.
        names: the inputs and outputs that are BF16.

    Raises:
        ServingError: one of them is not in the model, or not BF16 there.
    """
    model = onnx.load_from_string(content)
    graph = model.graph
    before, after = [], []
    for name in sorted(names):
        given = next((own for own in graph.input if own.name == name), None)
        info = given or next((own for own in graph.output if own.name == name), None)
        if info is None or info.type.tensor_type.elem_type != TensorProto.BFLOAT16:
            raise ServingError(
                f"{name!r} is BF16 in the document and not in the model",
                fix="Register the model again, with its own signature.",
            )
        info.type.tensor_type.elem_type = TensorProto.FLOAT
        inner = f"{name}{_SUFFIX}"
        for node in graph.node:
            places = node.input if given is not None else (*node.output, *node.input)
            if name in places:
                node.input[:] = [inner if own == name else own for own in node.input]
            if given is None:
                node.output[:] = [inner if own == name else own for own in node.output]
        if given is not None:
            before.append(helper.make_node("Cast", [name], [inner], to=TensorProto.BFLOAT16))
        else:
            after.append(helper.make_node("Cast", [inner], [name], to=TensorProto.FLOAT))
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    changed: bytes = model.SerializeToString()
    return changed
