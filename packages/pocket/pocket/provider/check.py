"""What a preview refuses, and what it fills in.

AWS refuses a bad request only once it is asked, which may be twenty minutes into an ``up`` with
half of the environment built. Everything that can be known before is said here, at preview, each
with a sentence: names that do not exist, what is missing, and every value that botocore's models
or a row's own rules exclude. The same step names what the program left unnamed and fills in
defaults, and what it answers is what the state records.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pocket.provider.aws import Aws
from pocket.provider.requests import STEERING, encode_properties
from pocket.provider.resource import Call, ResourceType
from pocket.provider.schema import Kind
from pocket.provider.shapes import Place, Problem, Walk, did_you_mean
from pocket.provider.values import UNKNOWN, Properties, plain

NAME_DIGITS = 7
GENERATED = "__defaults"  # the inputs that Check made, as Pulumi's own provider records them


def check(
    row: ResourceType, aws: Aws, urn: str, olds: Properties, news: Properties, seed: bytes
) -> tuple[Properties, list[Problem]]:
    """The inputs as they will be recorded (marks kept), and everything that is wrong with them.

    ``olds`` are the inputs recorded before (generated names are kept from them), ``seed`` is the
    engine's; without one, names follow from the URN.
    """
    given = {key: value for key, value in news.items() if value is not None and key != GENERATED}
    generated = _generated(row, urn, olds, given, seed)
    inputs = {**generated, **given}
    if row.tags is not None and aws.settings.default_tags:
        inputs["tagsAll"] = _all_tags(aws, inputs.get("tags", {}))
    elif row.tags is not None and inputs.get("tags"):
        inputs["tagsAll"] = inputs["tags"]
    inputs[GENERATED] = sorted(generated)
    return inputs, list(_problems(row, aws, plain(inputs)))


def _all_tags(aws: Aws, tags: Any) -> Any:
    own = plain(tags)
    if own == UNKNOWN:
        return UNKNOWN
    return {**aws.settings.default_tags, **own} if isinstance(own, dict) else own


def _generated(
    row: ResourceType, urn: str, olds: Properties, given: Properties, seed: bytes
) -> Properties:
    values: Properties = {}
    name = row.name
    if name is not None and name.property not in given:
        kept = name.property in (olds.get(GENERATED) or ())
        values[name.property] = (
            olds[name.property]
            if kept and name.property in olds
            else _new_name(row, urn, given, seed)
        )
    values.update(
        {
            key: value
            for key, value in row.defaults.items()
            if key not in given and value is not None
        }
    )
    return values


def _new_name(row: ResourceType, urn: str, given: Properties, seed: bytes) -> str:
    assert row.name is not None
    digits = hashlib.sha256(seed or urn.encode()).hexdigest()[:NAME_DIGITS]
    prefix = plain(given.get(row.name.prefix)) if row.name.prefix else None
    logical = urn.rsplit("::", 1)[-1]
    start = prefix or f"{row.name.start}{logical}{row.name.separator}"
    start = start.lower() if row.name.lower else start
    return f"{start[: row.name.longest - NAME_DIGITS]}{digits}"


def _problems(row: ResourceType, aws: Aws, inputs: Properties) -> Iterator[Problem]:
    own = {key: value for key, value in inputs.items() if key not in (GENERATED, "tagsAll")}
    yield from _block(row.schema.inputs, row.schema.required, own, Place(), row.title)
    yield from _refused_by_model(row, aws, own)
    if not row.tags and "tags" in own and "tags" in row.schema.inputs:
        return
    known = {key: value for key, value in own.items() if value != UNKNOWN}
    for rule in row.rules:
        for problem in rule(known):
            if own.get(problem.property) != UNKNOWN:  # not known yet is not missing
                yield problem


def _block(
    fields: Mapping[str, Kind], required: Any, given: Mapping[str, Any], place: Place, title: str
) -> Iterator[Problem]:
    for name in given:
        if name not in fields:
            hint = did_you_mean(name, fields)
            yield Problem(place.child(name).shown, f"{title} has no property {name}{hint}")
    for name in required:
        if given.get(name) is None:
            yield Problem(place.child(name).shown, f"{title} needs {name}")
    for name, value in given.items():
        if name in fields:
            yield from _kind(fields[name], value, place.child(name), title)


def _kind(kind: Kind, value: Any, place: Place, title: str) -> Iterator[Problem]:
    if value is None or value == UNKNOWN:
        return
    if isinstance(kind, str):
        yield from _scalar(kind, value, place)
    elif "list" in kind:
        if not isinstance(value, list):
            yield Problem(place.shown, f"expected a list, got {type(value).__name__}")
            return
        for index, item in enumerate(value):
            yield from _kind(kind["list"], item, place.item(index), title)
    elif "map" in kind:
        if not isinstance(value, dict):
            yield Problem(place.shown, f"expected a map, got {type(value).__name__}")
            return
        for key, item in value.items():
            yield from _kind(kind["map"], item, place.item(key), title)
    elif not isinstance(value, dict):
        yield Problem(place.shown, f"expected a block of settings, got {type(value).__name__}")
    else:
        yield from _block(kind["object"], kind["required"], value, place, place.shown)


def _scalar(kind: str, value: Any, place: Place) -> Iterator[Problem]:
    fits = {
        "string": lambda: not isinstance(value, dict | list),
        "integer": lambda: _number(value) is not None and float(value).is_integer(),
        "number": lambda: _number(value) is not None,
        "boolean": lambda: isinstance(value, bool) or value in ("true", "false"),
    }.get(kind)
    if fits is not None and not fits():
        shown = f'"{value}"' if isinstance(value, str) else type(value).__name__
        yield Problem(place.shown, f"expected {_an(kind)}, got {shown}")


def _an(kind: str) -> str:
    return {"integer": "a whole number", "boolean": "true or false"}.get(kind, f"a {kind}")


def _number(value: Any) -> float | None:
    if isinstance(value, bool | dict | list):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _refused_by_model(row: ResourceType, aws: Aws, inputs: Properties) -> Iterator[Problem]:
    """What botocore's models of the calls exclude, each property reported once."""
    seen: set[str] = set()
    named = [name for name in inputs if name not in STEERING]
    for call, properties in _calls(row, named):
        walk = Walk(row.names)
        encode_properties(row, call, inputs, properties, aws, walk)
        for problem in walk.problems:
            if problem.property not in seen:
                seen.add(problem.property)
                yield problem


def _calls(row: ResourceType, named: list[str]) -> Iterator[tuple[Call, list[str]]]:
    if isinstance(row.create, Call):
        yield row.create, named
    for facet in row.facets:
        if isinstance(facet.put, Call):
            taken = facet.properties if facet.put.properties is None else facet.put.properties
            yield facet.put, [name for name in named if name in taken]
