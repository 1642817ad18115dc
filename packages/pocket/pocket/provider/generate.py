"""``python -m pocket.provider.generate``: writes what `pocket.provider.schema` reads.

The properties of every type in the table, with their kinds, out of pulumi_aws's classes: those are
the truth, and take seconds to import, which the provider must not.
"""

import importlib
import inspect
import json
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pocket.provider.schema import SCHEMA_FILE, Kind
from pocket.provider.types import TABLE


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
    """Bring ``schema.json`` up to the table."""
    SCHEMA_FILE.write_text(json.dumps(describe(TABLE), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
