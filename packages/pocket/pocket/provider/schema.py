"""What each resource type's properties are called and how they nest, as pulumi_aws has them.

The provider has to refuse a misspelt property, know which are required, and translate nested
blocks; it must not import pulumi_aws for that (seconds, cold). So the facts are taken from
pulumi_aws's classes once, by ``python -m pocket.provider.generate``, and kept in ``schema.json``; a
test keeps it current.

A type is written as ``"string"``, ``"integer"``, ``"number"``, ``"boolean"``, ``"any"``,
``{"list": type}``, ``{"map": type}`` or ``{"object": {name: type}, "required": [name]}``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

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
    return cast(dict[str, Any], json.loads(SCHEMA_FILE.read_text()))


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
