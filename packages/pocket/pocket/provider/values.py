"""Values as they travel between an engine and a provider.

Pulumi's protocol carries property bags as protobuf Structs in which two things hide inside ordinary
values: an unknown (a sentinel string, only in previews) and a secret (an object with a signature
key). Everything behind this module works on plain Python values; here alone is it known how the
marks look, so that no secret loses its mark on the way and no sentinel reaches AWS as text.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

Properties = dict[str, Any]


def from_struct(struct: Struct) -> Properties:
    """A Struct as plain Python values, marks kept; whole numbers come back as integers."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def to_struct(properties: Mapping[str, Any]) -> Struct:
    """Plain Python values as a Struct; properties that are None are left out."""
    return Struct(
        fields={key: _to_value(value) for key, value in properties.items() if value is not None}
    )


def _to_value(value: Any) -> Value:
    if value is None:
        return Value(null_value=0)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, Mapping):
        return Value(struct_value=to_struct(value))
    if isinstance(value, Iterable):
        return Value(list_value=ListValue(values=[_to_value(item) for item in value]))
    raise TypeError(f"{type(value).__name__} has no form in a Struct")


def is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(SIGNATURE) == SECRET_SIGNATURE


def secret(value: Any) -> Properties:
    """The value, marked secret (once)."""
    return value if is_secret(value) else {SIGNATURE: SECRET_SIGNATURE, "value": value}


def plain(value: Any) -> Any:
    """The value without secret and output marks, at any depth; an output without one is unknown."""
    if isinstance(value, dict):
        match value.get(SIGNATURE):
            case str(mark) if mark == SECRET_SIGNATURE:
                return plain(value.get("value"))
            case str(mark) if mark == OUTPUT_SIGNATURE:
                return plain(value["value"]) if "value" in value else UNKNOWN
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def has_secret(value: Any) -> bool:
    """Whether a secret is anywhere inside."""
    if isinstance(value, dict):
        if is_secret(value) or (value.get(SIGNATURE) == OUTPUT_SIGNATURE and value.get("secret")):
            return True
        return any(has_secret(item) for item in value.values())
    return isinstance(value, list) and any(has_secret(item) for item in value)


def has_unknown(value: Any) -> bool:
    """Whether an unknown is anywhere inside (of a plain value)."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def secret_names(properties: Mapping[str, Any]) -> set[str]:
    """The top-level properties in which a secret is."""
    return {key for key, value in properties.items() if has_secret(value)}


def mark_secrets(properties: Properties, names: Iterable[str]) -> Properties:
    """The properties with those of ``names`` that are set marked secret."""
    wanted = set(names)
    return {
        key: secret(value) if key in wanted and value is not None else value
        for key, value in properties.items()
    }
