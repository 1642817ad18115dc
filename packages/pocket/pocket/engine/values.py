"""Property values: what resources are made of, as plain Python values.

The SDK and providers speak protobuf ``Struct``s in which secrets, unknowns, assets and resource
references are objects with a signature key. Inside the engine a property is the same thing as plain
Python (None, bool, int, float, str, list, dict), signature objects included: one form that is cheap
to compare, to store as JSON and to turn back into a message. Only this module knows the signatures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWNS = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""The sentinels that stand for a value known only after an operation (one for each kind of
value)."""

Value = Any
"""None, bool, int, float, str, a list of values or a dict of values."""

Properties = dict[str, Value]


def from_struct(message: struct_pb2.Struct) -> Properties:
    """A ``Struct`` as a dict; whole numbers become ints, output values become what they hold."""
    return {key: from_message(value) for key, value in message.fields.items()}


def from_message(message: struct_pb2.Value) -> Value:
    """One protobuf ``Value`` as a plain value."""
    match message.WhichOneof("kind"):
        case "string_value":
            return message.string_value
        case "bool_value":
            return message.bool_value
        case "number_value":
            return whole(message.number_value)
        case "struct_value":
            return flatten(from_struct(message.struct_value))
        case "list_value":
            return [from_message(item) for item in message.list_value.values]
        case _:
            return None


def whole(number: float) -> int | float:
    """An int where the number is one, as JSON writes it."""
    if math.isfinite(number) and number == int(number) and abs(number) < 2**53:
        return int(number)
    return number


def flatten(value: Properties) -> Value:
    """An output value (the SDK's form that carries dependencies) as the plain or secret value
    inside."""
    if value.get(SIGNATURE) != OUTPUT:
        return value
    inner = value.get("value", UNKNOWN)
    return secret(inner) if value.get("secret") else inner


def to_struct(properties: Mapping[str, Value]) -> struct_pb2.Struct:
    """The message form of a dict of properties."""
    message = struct_pb2.Struct()
    for key, value in properties.items():
        write(message.fields[key], value)
    return message


def write(message: struct_pb2.Value, value: Value) -> None:
    """Fill a protobuf ``Value``."""
    if value is None:
        message.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, (int, float)):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, Mapping):
        message.struct_value.SetInParent()
        fields = message.struct_value.fields
        for key, inner in value.items():
            write(fields[key], inner)
    elif isinstance(value, (list, tuple)):
        message.list_value.SetInParent()
        for inner in value:
            write(message.list_value.values.add(), inner)
    else:
        raise TypeError(f"{type(value).__name__} is not a property value")


def signature(value: Value) -> str | None:
    """The signature of a special object, or None for everything else."""
    return value.get(SIGNATURE) if isinstance(value, dict) else None


def secret(value: Value) -> Value:
    """The value marked secret (once: marking a secret again changes nothing)."""
    return value if is_secret(value) else {SIGNATURE: SECRET, "value": value}


def is_secret(value: Value) -> bool:
    return signature(value) == SECRET


def is_unknown(value: Value) -> bool:
    return isinstance(value, str) and value in UNKNOWNS


def reveal(value: Value) -> Value:
    """The value without secret marks, at any depth."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return reveal(value["value"])
        return {key: reveal(inner) for key, inner in value.items()}
    return [reveal(inner) for inner in value] if isinstance(value, list) else value


def dereference(value: Value) -> Value:
    """Resource references as the id they hold, or their URN: for providers that do not take
    them."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == REFERENCE:
            return value.get("id") or value["urn"]
        return {key: dereference(inner) for key, inner in value.items()}
    return [dereference(inner) for inner in value] if isinstance(value, list) else value


def leaves(value: Value) -> Iterator[Value]:
    """Every scalar and every special object inside a value."""
    if isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from leaves(inner)
    else:
        yield value


def has_unknowns(value: Value) -> bool:
    return any(is_unknown(leaf) for leaf in leaves(value))


def has_secrets(value: Value) -> bool:
    return any(is_secret(leaf) for leaf in leaves(value))


def equal(left: Value, right: Value) -> bool:
    """Equality as the engine means it: of what is there, secret or not. Unlike ``==``, 1 is not
    true."""
    left, right = reveal(left), reveal(right)
    return strictly_equal(left, right)


def strictly_equal(left: Value, right: Value) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            strictly_equal(inner, right[key]) for key, inner in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(strictly_equal, left, right))
    return bool(left == right)
