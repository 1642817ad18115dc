"""Inference requests as their JSON has them, before the model's signature says what they must be.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from serving.runtime import binary
from serving.runtime.binary import Array
from serving.runtime.refusal import Refusal, shown

NO_DATA = Raw(b"")


class RequestInput(Struct):
    """One input tensor of a request; its data stays raw until the signature says what it is."""

    name: str
    shape: list[int]
    datatype: str
    data: Raw = NO_DATA
    parameters: dict[str, Any] | None = None
    raw: ClassVar[memoryview | Array | None] = None
    """Its data, where that came beside the JSON."""


class MessageInput(RequestInput):
    """One input tensor of a request that is no JSON: its data as bytes, or flat in row order."""

    raw: memoryview | Array | None = None  # type: ignore[misc]


class RequestedOutput(Struct):
    """One output that the client wants."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(Struct):
    """The body of ``infer``."""

    inputs: list[RequestInput]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


_decode_request = msgspec.json.Decoder(InferRequest).decode


def read_request(body: bytes | memoryview) -> InferRequest:
    """The body of ``infer``.

    Raises:
        Refusal: it is not JSON, or not an inference request.
    """
    try:
        return _decode_request(body)
    except msgspec.ValidationError as error:
        raise Refusal(
            400,
            f"this is not an inference request: {first_line(error)}",
            fix='expected {"inputs": [{"name", "shape", "datatype", "data"}, …]}',
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(body, error) from None


_NO_NUMBER = re.compile(rb"[\[,:]\s*-?(?:NaN|Infinity)\b")


def no_json(body: bytes | memoryview, error: Exception) -> Refusal:
    """How a body is refused that is not JSON; of NaN and infinity, which other writers of JSON let
    through, it says what to send in their place."""
    if _NO_NUMBER.search(body):
        return Refusal(
            400,
            "the body is not JSON, which has neither NaN nor Infinity",
            fix="send null where a value is missing",
        )
    return Refusal(400, f"the body is not JSON: {first_line(error)}")


def binary_outputs(request: InferRequest) -> frozenset[str] | None:
    """The names of the outputs that are wanted as bytes; None for all of them.

    Raises:
        Refusal: an output is wanted in a way that is not spoken here.
    """
    chosen = [output for output in request.outputs or () if output.parameters]
    for output in chosen:
        binary.check_wanted(output.name, output.parameters or {})
    everything = _wish("the request", request.parameters, "binary_data_output", False)
    if everything and not request.outputs:
        return None
    return frozenset(
        output.name
        for output in request.outputs or ()
        if _wish(f"output {shown(output.name)}", output.parameters, "binary_data", everything)
    )


def _wish(where: str, parameters: Mapping[str, Any] | None, key: str, default: bool) -> bool:
    value = (parameters or {}).get(key, default)
    if type(value) is not bool:
        raise Refusal(400, f"{where}: {key} is {shown(value)}; expected true or false")
    return value


def first_line(error: Exception) -> str:
    """What a library says is wrong, without what else it says."""
    return str(error).partition("\n")[0]
