"""ModelInfer: a message becomes what the model takes, and what it gives becomes a message.

Tensors are checked where those of REST are (`serving.runtime.tensors`), so that a value is taken or
refused by both protocols alike. Who sends bytes gets bytes, as from Triton; who sends typed
contents gets those, but of types that have none.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_grpc.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from serving.runtime import binary
from serving.runtime.answers import as_bytes, as_parameters, check_finite
from serving.runtime.binary import Array
from serving.runtime.grpc.schema import INFERENCE, message
from serving.runtime.model import Prepared, Write
from serving.runtime.refusal import Refusal, shown
from serving.runtime.requests import InferRequest, MessageInput, RequestedOutput, RequestInput
from serving.runtime.served import Served

Request = message(INFERENCE, "ModelInferRequest")
Response = message(INFERENCE, "ModelInferResponse")

_FIELDS = {
    "BOOL": ("bool_contents", np.bool_),
    "INT8": ("int_contents", np.int8),
    "INT16": ("int_contents", np.int16),
    "INT32": ("int_contents", np.int32),
    "INT64": ("int64_contents", np.int64),
    "UINT8": ("uint_contents", np.uint8),
    "UINT16": ("uint_contents", np.uint16),
    "UINT32": ("uint_contents", np.uint32),
    "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32),
    "FP64": ("fp64_contents", np.float64),
    "BYTES": ("bytes_contents", np.object_),
}
"""Where each datatype's contents are, and numpy's type for it."""


def read(content: bytes) -> Any:
    """The message of a call.

    Raises:
        Refusal: it is none of ModelInfer.
    """
    return parsed(Request, content)


def parsed(kind: type[Any], content: bytes) -> Any:
    """A message from its bytes.

    Raises:
        Refusal: they are none of such a message.
    """
    try:
        return kind.FromString(content)
    except DecodeError:
        raise Refusal(400, f"the bytes are no {kind.DESCRIPTOR.full_name}") from None


def prepared(served: Served, asked: Any, identity: str) -> Prepared:
    """A call's message, checked.

    Args:
        served: the model that it is for.
        asked: the message.
        identity: its id when it has none.

    Raises:
        Refusal: it is not one that this model takes.
    """
    raws = asked.raw_input_contents
    if raws:
        if len(raws) != len(asked.inputs):
            raise Refusal(
                400,
                f"{len(raws)} raw_input_contents for {len(asked.inputs)} inputs; expected one for "
                "each",
            )
        inputs: list[RequestInput] = [
            _raw(given, raw) for given, raw in zip(asked.inputs, raws, strict=True)
        ]
    else:
        inputs = [_typed(given) for given in asked.inputs]
    outputs = [RequestedOutput(output.name) for output in asked.outputs] or None
    for output in asked.outputs:
        if output.parameters:
            binary.check_wanted(output.name, parameters(output.parameters))
    request = InferRequest(inputs, asked.id or None, None, outputs)
    return served.read_message(request, identity, _writer(served, raw=bool(raws)))


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them."""
    values = {}
    for name, value in given.items():
        choice = value.WhichOneof("parameter_choice")
        values[name] = getattr(value, choice) if choice else None
    return values


def _raw(given: Any, raw: bytes) -> MessageInput:
    if given.HasField("contents") and given.contents.ListFields():
        name = shown(given.name)
        raise Refusal(400, f"input {name} has contents beside raw_input_contents; expected one")
    return _input(given, memoryview(raw))


def _typed(given: Any) -> MessageInput:
    if given.datatype not in _FIELDS:
        raise Refusal(
            400,
            f"input {shown(given.name)} has datatype {shown(given.datatype)}, which has no "
            "contents",
            fix="send raw_input_contents",
        )
    field, kind = _FIELDS[given.datatype]
    present = given.contents.ListFields()
    if [own.name for own, _ in present] not in ([field], []):
        names = ", ".join(own.name for own, _ in present)
        raise Refusal(
            400,
            f"input {shown(given.name)} is {given.datatype}, and its contents are in {names}; "
            f"expected {field}",
        )
    if not present and "shared_memory_region" not in given.parameters:
        raise Refusal(400, f"input {shown(given.name)} has no contents; expected {field}")
    return _input(given, _flat(given, getattr(given.contents, field)[:], kind))


def _flat(given: Any, values: Sequence[Any], kind: type[np.generic]) -> Array:
    try:
        if kind is np.object_:
            values = [str(text, "utf-8") for text in values]
        return np.array(values, kind)
    except UnicodeDecodeError:
        raise Refusal(400, f"input {shown(given.name)}: a text is not UTF-8") from None
    except OverflowError:
        what = f"a number is out of the range of {given.datatype}"
        raise Refusal(400, f"input {shown(given.name)}: {what}") from None


def _input(given: Any, raw: memoryview | Array) -> MessageInput:
    if given.parameters:
        binary.check_memory("input", given.name, parameters(given.parameters))
    return MessageInput(given.name, list(given.shape), given.datatype, raw=raw)


def _writer(served: Served, *, raw: bool) -> Write:
    model = served.model
    types = {tensor.name: tensor.datatype for tensor in model.artifact.outputs}
    return partial(_written, model.name, model.version, types, raw)


def _written(
    name: str,
    version: str,
    types: Mapping[str, str],
    raw: bool,
    prepared: Prepared,
    results: Mapping[str, Array],
) -> bytes:
    """The answer's bytes."""
    response = Response(model_name=name, model_version=version, id=prepared.identity)
    raw = raw or any(types[own] not in _FIELDS for own in prepared.wanted)
    for own in prepared.wanted:
        array, datatype = results[own], types[own]
        output = response.outputs.add(name=own, datatype=datatype, shape=array.shape)
        if raw:
            check_finite(own, array, [])
            response.raw_output_contents.append(as_bytes(datatype, array))
            continue
        values = array.ravel().tolist()
        check_finite(own, array, values)
        if datatype == "BYTES":
            values = [str(text).encode() for text in values]
        getattr(output.contents, _FIELDS[datatype][0]).extend(values)
    for kind, names in as_parameters(prepared.findings).items():
        response.parameters[kind].string_param = names
    content: bytes = response.SerializeToString()
    return content
