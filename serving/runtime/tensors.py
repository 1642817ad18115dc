"""Tensors as requests send them and answers give them.

The Open Inference Protocol sends a tensor as name, shape, datatype and data, flat or nested. A
request is decoded straight into the type that the model's signature declares (msgspec checks types
and ranges in C), so that checking each value costs nothing extra and whatever is wrong is named
with its place. Tensors may also come as bytes behind the JSON (`serving.runtime.binary`), some of
a request's in one form and some in the other.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

import functools
import math
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw

from contracts.artifact import FLOATS, Datatype, Tensor
from contracts.document import suggest
from contracts.errors import ServingError
from serving.runtime import bfloat16, binary, forms
from serving.runtime.binary import Array
from serving.runtime.refusal import Refusal, shown
from serving.runtime.requests import NO_DATA, InferRequest, RequestInput, first_line
from serving.runtime.widening import widens

_FP16_MAX = 65504.0
_FP32_MAX = float(np.finfo(np.float32).max)


def _whole(bits: int, *, signed: bool) -> Any:
    low = -(2 ** (bits - 1)) if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    # msgspec's bounds are signed 64-bit numbers; numpy refuses what is beyond UINT64 itself.
    return Annotated[int, Meta(ge=low) if bits == 64 else Meta(ge=low, le=high)]


_JSON_TYPES: dict[Datatype, tuple[Any, type[np.generic]]] = {
    "BOOL": (bool, np.bool_),
    "INT8": (_whole(8, signed=True), np.int8),
    "INT16": (_whole(16, signed=True), np.int16),
    "INT32": (_whole(32, signed=True), np.int32),
    "INT64": (_whole(64, signed=True), np.int64),
    "UINT8": (_whole(8, signed=False), np.uint8),
    "UINT16": (_whole(16, signed=False), np.uint16),
    "UINT32": (_whole(32, signed=False), np.uint32),
    "UINT64": (_whole(64, signed=False), np.uint64),
    "FP16": (Annotated[float, Meta(ge=-_FP16_MAX, le=_FP16_MAX)], np.float16),
    "FP32": (Annotated[float, Meta(ge=-_FP32_MAX, le=_FP32_MAX)], np.float32),
    "FP64": (float, np.float64),
    "BF16": (Annotated[float, Meta(ge=-bfloat16.MAX, le=bfloat16.MAX)], np.float32),
    "BYTES": (str, np.object_),
}
"""How each datatype is written in JSON, and numpy's type for it."""

_CAN_BE_MISSING: tuple[Datatype, ...] = (*FLOATS, "BYTES")
_MAX_RANK = 8
MISSING = "missing"
UNKNOWN = "unknown"
OUTSIDE = "outside"
"""What can be odd about an input of a request that is answered all the same: no row has it; a text
is none of the model's categories, and counts as a rare one; a number is outside the range that was
seen in training."""
Findings = dict[str, list[str]]
"""Names of inputs by what was found; empty for an ordinary request."""


@functools.cache
def _decoder(datatype: Datatype, depth: int, nullable: bool) -> msgspec.json.Decoder[Any]:
    """Decodes data of that datatype nested that deep; cached, as a request has many tensors."""
    nested: Any = _JSON_TYPES[datatype][0]
    nested = nested | None if nullable else nested
    for _ in range(depth):
        nested = list[nested]
    return msgspec.json.Decoder(nested)


class InputSignature:
    """What one input must be, made ready for decoding.

    Args:
        tensor: as the artifact declares it.
        missing_text: what the model takes for a text that is missing.

    Raises:
        ServingError: it may be missing, but its datatype cannot hold a missing value.
    """

    def __init__(self, tensor: Tensor, missing_text: str) -> None:
        if tensor.optional and tensor.datatype not in _CAN_BE_MISSING:
            raise ServingError(
                f"input {tensor.name!r} is optional, but {tensor.datatype} has no missing value",
                fix=f"Make it one of {', '.join(_CAN_BE_MISSING)}.",
            )
        self._tensor = tensor
        self._smaller: dict[str, InputSignature] = {}
        self.name = tensor.name
        self.datatype = tensor.datatype
        self.shape = tensor.shape
        self.optional = tensor.optional
        self.used = tensor.used
        self.is_text = tensor.datatype == "BYTES"
        self.dtype = np.dtype(_JSON_TYPES[tensor.datatype][1])
        self._missing_text = missing_text
        self._categories: frozenset[str] | None = None
        if self.is_text and tensor.categories is not None:
            self._categories = frozenset((*tensor.categories, missing_text))
        self._low, self._high = self._range(tensor)
        self._tail = list(tensor.shape[1:])
        self._batched = bool(tensor.shape) and tensor.shape[0] == -1
        self._read = self._rounded if tensor.datatype == "BF16" else self._decode
        self._flat = _decoder(tensor.datatype, 1, tensor.optional).decode

    def _range(self, tensor: Tensor) -> tuple[float, float]:
        """The range seen in training, as the datatype holds it."""
        low = -math.inf if tensor.minimum is None else tensor.minimum
        high = math.inf if tensor.maximum is None else tensor.maximum
        if self.dtype.kind == "f":
            edges = np.array([low, high], self.dtype)
            if self.datatype == "BF16":
                edges = bfloat16.rounded(edges)
            low, high = (float(edge) for edge in edges)
        return low, high

    def finding(self, array: Array) -> str:
        """What is odd about the values; empty for nothing."""
        if self._categories is not None:
            return "" if self._categories.issuperset(array.ravel().tolist()) else UNKNOWN
        if self.is_text or self._low == -math.inf == -self._high:
            return ""
        if array.size == 1:  # where numpy costs more than its loop saves
            low = high = array.item()
        else:
            low, high = np.fmin.reduce(array, axis=None), np.fmax.reduce(array, axis=None)
        return OUTSIDE if low < self._low or high > self._high else ""

    def missing(self, rows: int) -> Array:
        """The tensor of a request that leaves this input out: missing in every row."""
        shape = (rows, *self.shape[1:])
        value = self._missing_text if self.is_text else math.nan
        return np.full(shape, value, dtype=self.dtype)

    def array(self, given: RequestInput, raw: memoryview | Array | None = None) -> Array:
        """The request's tensor.

        Args:
            given: as the request's JSON has it.
            raw: its data, where that is not in the JSON: as bytes, or flat in row order.

        Raises:
            Refusal: its datatype, shape or data is not what the model takes.
        """
        if given.datatype != self.datatype:
            return self._sent_as(given.datatype).array(given, raw).astype(self.dtype)
        shape = given.shape
        if not self._fits(shape):
            raise Refusal(
                400,
                f"input {self.name!r} has shape {shown(shape)}; expected {list(self.shape)}"
                + (", where -1 is the number of rows, at least 1" if -1 in self.shape else ""),
            )
        if raw is not None:
            return self._beside(raw, shape)
        if given.data is NO_DATA:
            raise Refusal(400, f"input {self.name!r} has no `data`; expected {self._expected()}")
        try:
            array = self._read(given.data, shape)
        except (msgspec.DecodeError, OverflowError, ValueError) as error:
            raise Refusal(
                400,
                f"input {self.name!r}: the data is not {self._expected()} ({first_line(error)})",
            ) from None
        if array.shape != tuple(shape):
            raise Refusal(
                400,
                f"input {self.name!r} has shape {shape}, but its data {list(array.shape)}; "
                "expected one for each element, flat in row order or nested as the shape says",
            )
        return array

    def _sent_as(self, datatype: str) -> InputSignature:
        """What the input must be where it is sent as another datatype, which loses nothing.

        Raises:
            Refusal: it would.
        """
        if (own := self._smaller.get(datatype)) is not None:
            return own
        if not widens(datatype, self.datatype):
            raise Refusal(
                400,
                f"input {self.name!r} has datatype {shown(datatype)}; expected {self.datatype}"
                + ("" if self.is_text else ", or one whose every value is one of its"),
            )
        optional = self.optional and datatype in _CAN_BE_MISSING
        tensor = self._tensor.model_copy(update={"datatype": datatype, "optional": optional})
        return self._smaller.setdefault(datatype, InputSignature(tensor, self._missing_text))

    def like(self, datatype: Datatype, shape: tuple[int, ...], *, optional: bool) -> InputSignature:
        """What an input of the same name must be that is sent in another form."""
        changes = {"datatype": datatype, "shape": shape, "optional": optional}
        return InputSignature(self._tensor.model_copy(update=changes), self._missing_text)

    def _beside(self, raw: memoryview | Array, shape: list[int]) -> Array:
        """A tensor that did not come in JSON; a missing number is NaN, as in JSON it is null."""
        count = math.prod(shape)
        try:
            if isinstance(raw, np.ndarray):
                if raw.size != count:
                    raise ValueError(f"{raw.size} elements for {count}, as the shape says")
                array = raw.reshape(shape)
            elif self.datatype == "BF16":
                array = bfloat16.decoded(raw, count).reshape(shape)
            else:
                array = binary.decoded(raw, self.dtype, count).reshape(shape)
        except ValueError as error:
            raise Refusal(400, f"input {self.name!r}: {error}") from None
        if self.dtype.kind == "f" and not np.isfinite(array).all():
            if np.isinf(array).any():
                raise Refusal(400, f"input {self.name!r} holds an infinite number")
            if not self.optional:
                raise Refusal(
                    400, f"input {self.name!r} holds NaN; it must not be missing in any row"
                )
        return array

    def _fits(self, shape: list[int]) -> bool:
        if self._batched and shape[1:] == self._tail and shape and shape[0] > 0:
            return -1 not in self._tail or all(size > 0 for size in shape)
        return len(shape) == len(self.shape) and all(
            size == own if own >= 0 else size > 0
            for size, own in zip(shape, self.shape, strict=True)
        )

    def _decode(self, raw: Raw, shape: list[int]) -> Array:
        depth = _depth(raw)
        if depth <= 1:
            values = self._flat(raw)
            if self.is_text and self.optional:
                values = [self._missing_text if value is None else value for value in values]
            array = np.array(values, dtype=self.dtype)
            return array.reshape(shape) if len(values) == math.prod(shape) else array
        if depth != len(shape):
            raise ValueError(f"nested {depth} deep, the shape has {len(shape)} dimensions")
        values = _decoder(self.datatype, depth, self.optional).decode(raw)
        array = np.array(values, dtype=self.dtype)
        if self.is_text and self.optional and array.shape == tuple(shape):
            array[array == None] = self._missing_text  # noqa: E711  elementwise
        return array

    def _rounded(self, raw: Raw, shape: list[int]) -> Array:
        return bfloat16.rounded(self._decode(raw, shape))

    def _expected(self) -> str:
        kind = {"BYTES": "texts", "BOOL": "true or false"}.get(self.datatype, "numbers")
        return f"a list of {kind} ({self.datatype}{', or null' if self.optional else ', not null'})"


class Signature:
    """What the model takes and gives.

    Args:
        inputs: as the artifact declares them.
        outputs: as the artifact declares them.
        missing_text: what the model takes for a text that is missing.
    """

    def __init__(
        self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], missing_text: str = ""
    ) -> None:
        self.inputs = {tensor.name: InputSignature(tensor, missing_text) for tensor in inputs}
        self.outputs = {tensor.name: tensor for tensor in outputs}
        self._required = [name for name, own in self.inputs.items() if not own.optional]
        self._unused = [name for name, own in self.inputs.items() if not own.used]

    def feeds(
        self, request: InferRequest, behind: memoryview | None = None
    ) -> tuple[dict[str, Array], int, Findings]:
        """What the model reads, by name; the number of rows; and what is odd about it.

        Args:
            request: the request's JSON.
            behind: what came behind it: the binary tensors, in the order of the inputs.

        Raises:
            Refusal: a name, shape, datatype or value is not what the model takes.
        """
        feeds: dict[str, Array] = {}
        rows = 0
        findings: Findings = {}
        for given in request.inputs:
            raw, parameters = given.raw, given.parameters
            if parameters is not None and raw is None:
                present = given.data is not NO_DATA
                raw, behind = binary.taken(given.name, parameters, behind, present=present)
            own = self.inputs.get(given.name)
            if own is None:
                raise Refusal(
                    400,
                    f"there is no input {shown(given.name)}; "
                    f"{suggest(given.name[:100], list(self.inputs))}",
                )
            if given.name in feeds:
                raise Refusal(400, f"input {given.name!r} is given twice; expected once")
            if parameters is not None:
                coding = parameters.get(forms.CONTENT_TYPE)
                if coding in forms.CODED:
                    given, raw = forms.uncoded(own, given, raw, coding)
            array = own.array(given, raw)
            if rows and array.shape[0] != rows:
                raise Refusal(
                    400,
                    f"input {given.name!r} has {array.shape[0]} rows, those before it {rows}; "
                    "expected the same number in each",
                )
            rows = array.shape[0]
            feeds[given.name] = array
            if own.used and (finding := own.finding(array)):
                findings.setdefault(finding, []).append(given.name)
        if behind:
            raise Refusal(
                400,
                f"{len(behind)} bytes behind the JSON belong to no input; expected as many as the "
                "inputs' binary_data_size say",
            )
        if len(feeds) < len(self.inputs) and (left_out := self._fill(feeds, rows)):
            findings[MISSING] = left_out
        for name in self._unused:
            del feeds[name]
        return feeds, rows, findings

    def adapted(
        self, request: InferRequest, behind: memoryview | None = None
    ) -> InferRequest | None:
        """A request that did not fit in a form that may (`serving.runtime.forms`), or None.

        Raises:
            Refusal: its form is known, and something in it is wrong.
        """
        raws = []
        for given in request.inputs:
            raw = given.raw
            if raw is None and given.parameters is not None:
                present = given.data is not NO_DATA
                raw, behind = binary.taken(given.name, given.parameters, behind, present=present)
            raws.append(raw)
        return forms.adapted(request, self, raws) if raws and not behind else None

    def _fill(self, feeds: dict[str, Array], rows: int) -> list[str]:
        absent = [name for name in self._required if name not in feeds]
        if absent:
            raise Refusal(400, f"missing inputs: {', '.join(absent)}; these are required")
        if not rows:
            raise Refusal(400, "no inputs; expected at least one, which tells the number of rows")
        left_out = [name for name in self.inputs if name not in feeds]
        for name in left_out:
            feeds[name] = self.inputs[name].missing(rows)
        return [name for name in left_out if self.inputs[name].used]

    def wanted(self, request: InferRequest) -> list[str]:
        """The names of the outputs to answer with.

        Raises:
            Refusal: the model has no such output.
        """
        if not request.outputs:
            return list(self.outputs)
        for output in request.outputs:
            if output.name not in self.outputs:
                raise Refusal(
                    400,
                    f"there is no output {shown(output.name)}; "
                    f"{suggest(output.name[:100], list(self.outputs))}",
                )
        return list(dict.fromkeys(output.name for output in request.outputs))


def _depth(raw: Raw) -> int:
    """How deep the data is nested, from the brackets it begins with."""
    depth = 0
    for byte in memoryview(raw):
        if byte == 0x5B:  # [
            depth += 1
        elif byte not in b" \t\r\n":
            break
    if depth > _MAX_RANK:
        raise ValueError(f"nested more than {_MAX_RANK} deep")
    return depth
