"""An inference request's body, in the Open Inference Protocol's JSON form.

Clients, the replay and the line to copy all send rows; what is missing has to be null, what is no
number too, and an input's datatype and shape decide how a value is written. Written here once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from contracts.errors import ServingError

Value = str | float | int | bool | None
Row = Mapping[str, Any]
"""Feature → value: a number, a text, nothing, or nested lists (an array) of them."""


class Input(NamedTuple):
    """One of a model's inputs, as its metadata has it."""

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1, 1)


def inputs_of(metadata: Mapping[str, Any]) -> list[Input]:
    """The inputs in a model's metadata.

    Raises:
        KeyError, TypeError: it is not a model's metadata.
    """
    return [Input(own["name"], own["datatype"], tuple(own["shape"])) for own in metadata["inputs"]]


def inference_body(
    rows: Sequence[Row], inputs: Iterable[Input], identity: str = ""
) -> dict[str, Any]:
    """The body of a request.

    Args:
        rows: feature → value for each row; a feature that a row lacks is missing in it.
        inputs: what to send; one tensor each.
        identity: names the request; left out where empty.

    Raises:
        ServingError: a value is none that the protocol can send, or not of its input's shape.
    """
    tensors = [_tensor(rows, own) for own in inputs]
    return {"id": identity, "inputs": tensors} if identity else {"inputs": tensors}


def _tensor(rows: Sequence[Row], own: Input) -> dict[str, Any]:
    """All rows of one input; its first dimension is that of the rows, where there is one."""
    values = [row.get(own.name) for row in rows]
    tail = own.shape[1:]
    if all(size == 1 for size in tail) and not any(map(_is_nested, values)):
        shape, data = [len(rows), *tail], [plain(value, own) for value in values]
    elif len(rows) == 1 and -1 not in own.shape and _shape(values[0]) == own.shape:
        shape, data = list(own.shape), _flat(values[0], own)
    else:
        shapes = {_filled(tail) if value is None else _shape(value) for value in values}
        inner = shapes.pop()
        if shapes or not _fits(inner, tail):
            seen = " and ".join(str(list(size)) for size in sorted({inner, *shapes}))
            raise ServingError(
                f"{own.name!r} has rows of shape {seen}; expected {list(tail)} in each row",
                where=own.name,
                fix="Give each row nested lists of that shape.",
            )
        shape = [len(rows), *inner]
        data = [
            element
            for value in values
            for element in ([None] * math.prod(inner) if value is None else _flat(value, own))
        ]
    return {"name": own.name, "shape": shape, "datatype": own.datatype, "data": data}


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or getattr(value, "shape", ()) != ()


def _filled(tail: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if size < 0 else size for size in tail)


def _fits(shape: tuple[int, ...], tail: tuple[int, ...]) -> bool:
    return len(shape) == len(tail) and all(
        size == own or (own < 0 and size > 0) for size, own in zip(shape, tail, strict=True)
    )


def _shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists, or of an array; of unequal ones that of the first."""
    if not isinstance(value, (list, tuple)):
        return tuple(getattr(value, "shape", ()))
    return (len(value), *(_shape(value[0]) if value else ()))


def _flat(value: Any, own: Input) -> list[Value]:
    """All elements in row order."""
    if getattr(value, "shape", ()) != () and hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return [plain(value, own)]
    shapes = {_shape(inner) for inner in value}
    if len(shapes) > 1:
        raise ServingError(
            f"{own.name!r} has lists of unequal shapes {sorted(map(list, shapes))} in one row",
            where=own.name,
            fix=f"Give it the shape {list(own.shape[1:])}.",
        )
    return [element for inner in value for element in _flat(inner, own)]


def plain(value: Any, own: Input) -> Value:
    """A value as JSON and the protocol take it: what is not a number is missing.

    Raises:
        ServingError: it is infinite, or nothing that the protocol can send.
    """
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # numpy's own
        value = value.item()
    if value is None or _is_missing(value):
        return None
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        value = int(value) if whole and "INT" in own.datatype else float(value)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise _refused(value, own, "bytes that are not UTF-8") from None
    if isinstance(value, str):
        if not _is_unicode(value):
            raise _refused(value, own, "half of a surrogate pair, which is no text")
        return str(value)
    if isinstance(value, (bool, int)) and own.datatype.startswith(("FP", "BF")):
        try:
            value = float(value)
        except OverflowError:
            raise _refused(value, own, "a number beyond what a float can hold") from None
    if isinstance(value, float) and math.isinf(value):
        raise _refused(value, own, "an infinite number; send null where it is missing")
    if not isinstance(value, (bool, int, float)):
        raise _refused(value, own, f"a {type(value).__name__}, which the protocol cannot send")
    return value


def _is_missing(value: Any) -> bool:
    """NaN of any library, and what pandas writes for missing, which equal nothing, not even
    themselves."""
    try:
        return bool(value != value)
    except (TypeError, ValueError, ArithmeticError):  # pandas.NA, a signalling NaN
        return True


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _refused(value: Any, own: Input, what: str) -> ServingError:
    text = repr(value)
    return ServingError(
        f"{own.name!r} is {text if len(text) < 60 else text[:60] + '…'}: {what}",
        where=own.name,
        fix=f"Its datatype is {own.datatype}.",
    )
