"""Requests in forms that are not quite the signature's: by content type, as one matrix, as columns.

MLServer's clients say what tensors stand for (`content_type`): `pd` a data frame, `np` an array,
`str`, `base64` and `pd_json` texts. A data frame's numbers are of 64 bits by nature, whatever the
model reads, so where a request says that it is one, its numbers are converted by value: rounded to
the model's floats, and refused where a whole number would become another. Nothing here costs an
ordinary request anything: it is looked at only when that did not fit.

Source: https://mlserver.readthedocs.io/en/stable/user-guide/content-type.html.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast, get_args

import msgspec
import numpy as np

from contracts.artifact import FLOATS, Datatype, Tensor
from serving.runtime.binary import Array
from serving.runtime.refusal import Refusal, shown
from serving.runtime.requests import InferRequest, MessageInput, RequestInput

if TYPE_CHECKING:
    from serving.runtime.tensors import InputSignature, Signature

CONTENT_TYPE = "content_type"
FRAME = "pd"
CODED = ("base64", "pd_json")
"""Content types whose texts stand for something else."""
_BY_VALUE = (FRAME, "np")
_INDEXED = re.compile(r"^(.*)\[(\d{1,6})\]$")


def uncoded(own: InputSignature, given: RequestInput, raw: Any, coding: str) -> tuple[Any, Any]:
    """A tensor of texts that stand for something else, as what they stand for.

    Args:
        own: what the input must be.
        given: the tensor.
        raw: its data, where that is not in its JSON.
        coding: one of `CODED`.

    Returns:
        The tensor, and its data in row order.

    Raises:
        Refusal: they are not what they are said to be (400).
    """
    texts = own.like("BYTES", own.shape, optional=False).array(given, raw).ravel().tolist()
    if coding == "base64":
        return given, np.array([_from_base64(own.name, text) for text in texts], object)
    try:
        values = [msgspec.json.decode(text) for text in texts]
    except msgspec.DecodeError as error:
        raise Refusal(400, f"input {own.name!r}: a text is not JSON: {error}") from None
    data = msgspec.Raw(msgspec.json.encode(values))
    return RequestInput(given.name, given.shape, own.datatype, data), None


def _from_base64(name: str, text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Refusal(400, f"input {name!r}: {shown(text)} is no base64 of UTF-8") from None


def adapted(request: InferRequest, signature: Signature, raws: list[Any]) -> InferRequest | None:
    """A request that did not fit, so that it may; None where no form is recognised.

    Args:
        request: what came.
        signature: the model's.
        raws: the inputs' data, where that is not in the JSON.

    Raises:
        Refusal: its form is recognised, and something in it is wrong (400).
    """
    known = signature.inputs
    content = (request.parameters or {}).get(CONTENT_TYPE)
    foreign = [given for given in request.inputs if given.name not in known]
    matrix = _matrix_of(signature)
    inputs: list[RequestInput] | None = None
    if foreign and len(foreign) == len(request.inputs):
        if matrix is not None:
            inputs = [_joined(request, matrix, raws, in_order=content == FRAME)]
        elif len(foreign) == 1 and len(foreign[0].shape) == 2 and foreign[0].shape[1] > 1:
            inputs = _parted(foreign[0], signature, raws[0], by_value=content in _BY_VALUE)
    elif not foreign:
        inputs = _converted_inputs(request, signature, raws, content)
    if inputs is None:
        return None
    return msgspec.structs.replace(request, inputs=inputs)


def _matrix_of(signature: Signature) -> InputSignature | None:
    """The model's one input, where that is a matrix of a known width."""
    own = next(iter(signature.inputs.values()))
    shape = own.shape
    is_matrix = len(signature.inputs) == 1 and len(shape) == 2 and shape[1] > 1
    return own if is_matrix else None


def _joined(
    request: InferRequest, own: InputSignature, raws: list[Any], *, in_order: bool
) -> RequestInput:
    """Columns as the one matrix that the model takes."""
    width = own.shape[1]
    names = [given.name for given in request.inputs]
    places = [_place(name, own.name) for name in names]
    if not in_order and None in places:
        raise Refusal(
            400,
            f"there is no input {shown(names[places.index(None)])}; the model takes one matrix",
            fix=f"send {own.name!r} of the shape [rows, {width}], or columns by the names "
            f"{own.name}[0] to {own.name}[{width - 1}]",
        )
    order = list(range(len(names))) if None in places else [int(p or 0) for p in places]
    if sorted(order) != list(range(width)):
        raise Refusal(
            400,
            f"there are {len(set(names))} columns for the matrix {own.name!r}, which has {width}",
            fix="send each of them once",
        )
    columns: list[Any] = [None] * width
    for place, given, raw in zip(order, request.inputs, raws, strict=True):
        shape = (-1,) if len(given.shape) == 1 else (-1, 1)
        array = _read(own, given, raw, shape)
        columns[place] = converted(given.name, array.ravel(), own, by_value=in_order)
    if len({len(column) for column in columns}) > 1:
        raise Refusal(400, f"the columns of the matrix {own.name!r} have unequal lengths")
    array = np.stack(columns, axis=1)
    return _input_like(own, [len(array), width], array)


def _parted(
    given: RequestInput, signature: Signature, raw: Any, *, by_value: bool
) -> list[RequestInput]:
    """One matrix as the inputs that the model takes, in their order."""
    own = list(signature.inputs.values())
    names = ", ".join(one.name for one in own[:20]) + (", …" if len(own) > 20 else "")
    width = given.shape[1]
    if any(one.shape not in ((-1, 1), (-1,)) for one in own) or width != len(own):
        raise Refusal(
            400,
            f"there is no input {shown(given.name)}, and as a matrix it has {width} columns; the "
            f"model takes {len(own)} inputs",
            fix=f"send a column for each, in this order: {names}",
        )
    is_text = given.datatype == "BYTES"
    for one in own:
        if one.is_text != is_text:
            kind = "texts" if one.is_text else "numbers"
            raise Refusal(
                400,
                f"the matrix {shown(given.name)} is {shown(given.datatype)}, and its column "
                f"{one.name!r} must be {kind}",
                fix="send each input by its name",
            )
    whole = _read(own[0], given, raw, (-1, width))
    return [
        _input_like(
            one,
            [len(whole), *one.shape[1:]],
            converted(one.name, whole[:, column], one, by_value=by_value),
        )
        for column, one in enumerate(own)
    ]


def _converted_inputs(
    request: InferRequest, signature: Signature, raws: list[Any], content: object
) -> list[RequestInput] | None:
    """The inputs, with the numbers of those that say what they are converted by value."""
    inputs = []
    is_other = False
    for given, raw in zip(request.inputs, raws, strict=True):
        own = signature.inputs[given.name]
        says = (given.parameters or {}).get(CONTENT_TYPE, content)
        if given.datatype == own.datatype or own.is_text or says not in _BY_VALUE:
            inputs.append(_beside(given, raw))
            continue
        array = converted(given.name, _read(own, given, raw, own.shape), own, by_value=True)
        inputs.append(_input_like(own, list(array.shape), array))
        is_other = True
    return inputs if is_other else None


def _read(own: InputSignature, given: RequestInput, raw: Any, shape: tuple[int, ...]) -> Array:
    """A tensor in its own datatype and that shape."""
    if given.datatype not in get_args(Datatype) or (given.datatype == "BYTES") != own.is_text:
        raise Refusal(
            400,
            f"input {shown(given.name)} has datatype {shown(given.datatype)}; "
            f"expected {own.datatype}",
        )
    optional = given.datatype in FLOATS or given.datatype == "BYTES"
    return own.like(cast(Datatype, given.datatype), shape, optional=optional).array(given, raw)


def converted(name: str, array: Array, own: InputSignature, *, by_value: bool) -> Array:
    """Values in the model's datatype.

    Args:
        name: the input or column, for what is said.
        array: the values.
        own: what the model takes.
        by_value: whether floats may be rounded to smaller ones.

    Raises:
        Refusal: a value would become another (400).
    """
    if array.dtype == own.dtype:
        return array
    rounds = array.dtype.kind == "f" and own.dtype.kind == "f"
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(own.dtype)
        same = result.astype(array.dtype) == array
    if rounds:
        # What is infinite itself is refused with all that is, where it goes.
        same = (np.isfinite(result) if by_value else same) | ~np.isfinite(array)
    if not same.all():
        first = array[~same].ravel()[0].item()
        raise Refusal(
            400,
            f"input {shown(name)} holds {shown(first)}, which {own.datatype} cannot hold exactly",
            fix=f"send {own.datatype}",
        )
    return result


def _input_like(own: InputSignature, shape: list[int], array: Array) -> RequestInput:
    return MessageInput(own.name, shape, own.datatype, raw=array.ravel())


def _beside(given: RequestInput, raw: Any) -> RequestInput:
    """The same tensor, with its data beside it where it came so."""
    if raw is None:
        return given
    return MessageInput(given.name, given.shape, given.datatype, given.data, given.parameters, raw)


def _place(name: str, of: str) -> int | None:
    """Of ``x[3]`` the 3, where x is the matrix."""
    match = _INDEXED.match(name)
    return int(match[2]) if match and match[1] == of else None


def is_frame(parameters: Mapping[str, Any] | None) -> bool:
    """Whether a request says that it is a data frame, and so wants one."""
    return parameters is not None and parameters.get(CONTENT_TYPE) == FRAME


def columns_of(tensor: Tensor, array: Array) -> list[tuple[Tensor, Array]]:
    """An output as columns: of several those by the names ``output[0]``, ``output[1]``, …"""
    flat = array.reshape(len(array), -1)
    names = (
        [tensor.name]
        if flat.shape[1] == 1
        else [f"{tensor.name}[{number}]" for number in range(flat.shape[1])]
    )
    return [
        (tensor.model_copy(update={"name": name}), flat[:, [number]])
        for number, name in enumerate(names)
    ]
