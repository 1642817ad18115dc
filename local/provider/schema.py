"""What each resource type's properties are called and how they nest, as pulumi_aws has them.

The provider has to refuse a misspelt property, know which are required, and translate nested
blocks; it must not import pulumi_aws for that (seconds, cold). So the facts are taken from
pulumi_aws's classes once, by ``python -m local.provider.schema``, and kept in ``schema.json``; a
test keeps it current.

A type is written as ``"string"``, ``"integer"``, ``"number"``, ``"boolean"``, ``"any"``,
``{"list": type}``, ``{"map": type}`` or ``{"object": {name: type}, "required": [name]}``.
"""

import importlib
import inspect
import json
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA_FILE = Path(__file__).with_name("schema.json")
PULUMI_AWS_VERSION = "7.51.1"

Kind = Any  # one of the forms in the module's docstring; JSON has no better static type


@dataclass(frozen=True)
class TypeSchema:
    """The properties of one resource type."""

    inputs: Mapping[str, Kind]
    required: tuple[str, ...]
    outputs: Mapping[str, Kind]


@cache
def _load() -> dict[str, Any]:
    if not SCHEMA_FILE.exists():
        return {}
    return typing.cast(dict[str, Any], json.loads(SCHEMA_FILE.read_text()))


@cache
def schema_of(token: str) -> TypeSchema:
    """The properties of a type, by its token (``aws:ec2/vpc:Vpc``). Raises KeyError for an unknown
    one.
    """
    entry = _load()[token]
    return TypeSchema(entry["inputs"], tuple(entry["required"]), entry["outputs"])


def inputs_of(token: str) -> tuple[str, ...]:
    """The names of a type's inputs; none while ``schema.json`` does not have the type yet."""
    entry = _load().get(token)
    return tuple(entry["inputs"]) if entry else ()


def package_schema() -> str:
    """The package schema that GetSchema answers: names and kinds, no documentation."""
    resources = {
        token: {
            "inputProperties": {
                name: _package_kind(kind) for name, kind in entry["inputs"].items()
            },
            "requiredInputs": entry["required"],
            "properties": {name: _package_kind(kind) for name, kind in entry["outputs"].items()},
        }
        for token, entry in _load().items()
    }
    return json.dumps({"name": "aws", "version": PULUMI_AWS_VERSION, "resources": resources})


def _package_kind(kind: Kind) -> dict[str, Any]:
    if isinstance(kind, str):
        return {"$ref": "pulumi.json#/Any"} if kind == "any" else {"type": kind}
    if "list" in kind:
        return {"type": "array", "items": _package_kind(kind["list"])}
    if "map" in kind:
        return {"type": "object", "additionalProperties": _package_kind(kind["map"])}
    return {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}}


def describe(tokens: Iterable[str]) -> dict[str, Any]:
    """The contents of ``schema.json`` for these types, read from pulumi_aws's classes."""
    return {token: _describe(token) for token in sorted(tokens)}


def _describe(token: str) -> dict[str, Any]:
    from pulumi import _types

    module_name, class_name = token.split(":")[1].split("/")[0], token.rsplit(":", 1)[1]
    module = importlib.import_module(f"pulumi_aws.{module_name}")
    resource = getattr(module, class_name)
    # Where a nested block has the name already, the resource's own arguments are called InitArgs.
    home = importlib.import_module(resource.__module__)
    arguments = getattr(home, f"{class_name}InitArgs", None) or getattr(home, f"{class_name}Args")
    block = _object(arguments)
    outputs = {
        name: _kind(annotation, class_name)
        for name, annotation in sorted(_types.resource_types(resource).items())
    }
    return {"inputs": block["object"], "required": block["required"], "outputs": outputs}


def _object(cls: type) -> dict[str, Any]:
    from pulumi import _types

    types = _types.output_type_types(cls) if _types.is_output_type(cls) else None
    types = types if types is not None else _types.input_type_types(cls)
    renamed = {} if _types.is_output_type(cls) else _types.input_type_py_to_pulumi_names(cls)
    required = [
        renamed.get(parameter.name, _camel(parameter.name))
        for parameter in inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
        if parameter.default is inspect.Parameter.empty and not parameter.name.startswith("_")
    ]
    return {
        "object": {
            name: _kind(annotation, cls.__name__) for name, annotation in sorted(types.items())
        },
        "required": sorted(set(required) - {"self"}),
    }


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", typing.Any: "any"}


def _kind(annotation: Any, owner: str) -> Kind:
    from pulumi import _types

    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        return _kind(_preferred(arguments), owner)
    if origin is not None and issubclass(origin, Mapping):
        return {"map": _kind(arguments[1], owner)}
    if origin is not None and issubclass(origin, Sequence):
        return {"list": _kind(arguments[0], owner)}
    if inspect.isclass(annotation) and annotation.__name__ == owner:
        return "any"
    if _types.is_input_type(annotation) or _types.is_output_type(annotation):
        return _object(annotation)
    return "string"  # enumerations and ARNs travel as text


def _preferred(arguments: Sequence[Any]) -> Any:
    """Of a union of a plain type, its dictionary form, None and outputs: the plain type."""
    concrete = [
        argument
        for argument in arguments
        if (argument is not type(None) and typing.get_origin(argument) is not None)
        or (inspect.isclass(argument) and argument is not type(None))
    ]
    for argument in concrete:
        if getattr(argument, "__name__", "").endswith("Args") or argument in _SCALARS:
            return argument
    return concrete[0]


def main() -> None:
    from local.provider.types import TABLE

    SCHEMA_FILE.write_text(json.dumps(describe(TABLE), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
