"""Translation between Pulumi's properties and the parameters of AWS's calls, guided by botocore's
models.

Pulumi says ``rules[0].noncurrentVersionExpiration.noncurrentDays`` where S3 says
``Rules[0].NoncurrentVersionExpiration.NoncurrentDays``: the same words in another case. So names
match by their letters, singular or plural, and only the exceptions are written down (as ``names``:
property path without indices -> AWS member). The walk that translates also knows every
enumeration, pattern, length and range that botocore knows, and so the same walk is what refuses a
wrong value at preview.
"""

import base64
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from botocore.model import Shape

from pocket.provider.schema import Kind
from pocket.provider.values import UNKNOWN

Names = Mapping[str, str]
OMIT = object()  # the translation of what is not known yet


@dataclass(frozen=True)
class Problem:
    """Why a property is refused: its path as a person writes it, and a sentence."""

    property: str
    reason: str


@dataclass(frozen=True)
class Place:
    """Where in the properties the walk is: for people with indices, for ``names`` without."""

    shown: str = ""
    key: str = ""

    def child(self, name: str) -> "Place":
        return Place(
            f"{self.shown}.{name}" if self.shown else name,
            f"{self.key}.{name}" if self.key else name,
        )

    def item(self, index: int | str) -> "Place":
        return Place(f"{self.shown}[{index}]", self.key)


@dataclass
class Walk:
    """One translation towards AWS: the exceptions to the naming, and the problems found on the
    way.
    """

    names: Names
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, place: Place, reason: str) -> None:
        self.problems.append(Problem(place.shown, reason))


@lru_cache(maxsize=8192)
def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _variants(name: str) -> tuple[str, ...]:
    letters = _letters(name)
    forms = [letters, f"{letters}s", f"{letters}es", f"{letters}list"]
    if letters.endswith("ies"):
        forms.append(f"{letters[:-3]}y")
    if letters.endswith("y"):
        forms.append(f"{letters[:-1]}ies")
    if letters.endswith("s"):
        forms += [letters[:-1], f"{letters[:-1]}list"]
    return tuple(forms)


def find_member(name: str, place: Place, members: Iterable[str], names: Names) -> str | None:
    """The AWS member that carries a property, or None when these members do not."""
    members = list(members)
    if place.key in names:
        return names[place.key] if names[place.key] in members else None
    by_letters = {_letters(member): member for member in members}
    return next((by_letters[form] for form in _variants(name) if form in by_letters), None)


# --- towards AWS --------------------------------------------------------------------------------


def encode(kind: Kind, value: Any, shape: Shape, place: Place, walk: Walk) -> Any:
    """A property's value in the form of the AWS shape; OMIT while it is unknown."""
    if value == UNKNOWN:
        return OMIT
    match shape.type_name:
        case "structure":
            return _encode_structure(kind, value, shape, place, walk)
        case "list":
            return _encode_list(kind, value, shape, place, walk)
        case "map":
            return _encode_map(kind, value, shape, place, walk)
        case _:
            return _encode_scalar(value, shape, place, walk)


def _encode_structure(kind: Kind, value: Any, shape: Shape, place: Place, walk: Walk) -> Any:
    if isinstance(value, list) and value:
        kind, value = kind["list"] if isinstance(kind, dict) else kind, value[0]
    if not isinstance(value, dict):
        walk.refuse(place, f"expected a block of settings, got {_shown(value)}")
        return OMIT
    fields = kind.get("object", {}) if isinstance(kind, dict) else {}
    encoded: dict[str, Any] = {}
    for name, item in value.items():
        inner = place.child(name)
        member = find_member(name, inner, shape.members, walk.names)
        if member is None or item is None:
            continue
        translated = encode(fields.get(name, "any"), item, shape.members[member], inner, walk)
        if translated is not OMIT:
            encoded[member] = translated
    return encoded


def _encode_list(kind: Kind, value: Any, shape: Shape, place: Place, walk: Walk) -> Any:
    items = value if isinstance(value, list) else [value]
    inner = kind["list"] if isinstance(kind, dict) and "list" in kind else kind
    _check_size(len(items), shape, place, walk, "items")
    encoded = [
        encode(inner, item, shape.member, place.item(index), walk)
        for index, item in enumerate(items)
    ]
    return [item for item in encoded if item is not OMIT]


def _encode_map(kind: Kind, value: Any, shape: Shape, place: Place, walk: Walk) -> Any:
    if not isinstance(value, dict):
        walk.refuse(place, f"expected a map, got {_shown(value)}")
        return OMIT
    inner = kind.get("map", "any") if isinstance(kind, dict) else "any"
    for key in value:
        _encode_scalar(key, shape.key, place, walk)
    encoded = {
        key: encode(inner, item, shape.value, place.item(key), walk) for key, item in value.items()
    }
    return {key: item for key, item in encoded.items() if item is not OMIT}


def _encode_scalar(value: Any, shape: Shape, place: Place, walk: Walk) -> Any:
    match shape.type_name:
        case "integer" | "long":
            return _encode_number(value, shape, place, walk, int)
        case "float" | "double":
            return _encode_number(value, shape, place, walk, float)
        case "boolean":
            return value in (True, "true", "True")
        case "blob":
            return value.encode() if isinstance(value, str) else value
        case "timestamp":
            return value
        case _:
            return _encode_text(value, shape, place, walk)


def _encode_number(value: Any, shape: Shape, place: Place, walk: Walk, number: type) -> Any:
    try:
        converted = number(value)
    except (TypeError, ValueError):
        walk.refuse(place, f"expected a number, got {_shown(value)}")
        return OMIT
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and converted < low) or (high is not None and converted > high):
        walk.refuse(place, f"{converted} is outside {_range(low, high)}")
    return converted


def _encode_text(value: Any, shape: Shape, place: Place, walk: Walk) -> Any:
    if isinstance(value, dict | list):
        walk.refuse(place, f"expected text, got {_shown(value)}")
        return OMIT
    text = str(value).lower() if isinstance(value, bool) else str(value)
    choices = getattr(shape, "enum", None)
    if choices:
        if text not in choices:
            walk.refuse(place, f'"{text}" is not one of {_choices(text, choices)}')
        return text
    _check_size(len(text), shape, place, walk, "characters")
    pattern = shape.metadata.get("pattern")
    if pattern and text and not _matches(pattern, text):
        walk.refuse(place, f'"{_short(text)}" does not have the form {pattern}')
    return text


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    anchored = pattern.startswith("^") or pattern.endswith("$")
    try:
        return re.compile(pattern if anchored else rf"\A(?:{pattern})\Z", re.DOTALL)
    except re.error:  # Java's dialect: \p{L} and the like; AWS itself will judge these
        return None


def _matches(pattern: str, text: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.search(text) is not None


def _check_size(size: int, shape: Shape, place: Place, walk: Walk, unit: str) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        walk.refuse(place, f"has {size} {unit}, where {_range(low, high)} are allowed")


def _range(low: Any, high: Any) -> str:
    if high is None:
        return f"at least {low}"
    return f"at most {high}" if low is None else f"{low} to {high}"


def _choices(text: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    if len(choices) <= 12:
        return ", ".join(choices)
    return f"the {len(choices)} allowed values{did_you_mean(text, choices)}"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`` (did you mean x?)`` when one of the choices is nearly the word, else an empty text."""
    choices = list(choices)
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]}?)" if near else ""


def _shown(value: Any) -> str:
    return _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- from AWS -----------------------------------------------------------------------------------


def decode(kind: Kind, value: Any, place: Place, names: Names) -> Any:
    """An AWS value in the form of Pulumi's type; None when there is nothing of it."""
    if value is None:
        return None
    if isinstance(kind, dict) and "list" in kind:
        items = value if isinstance(value, list) else [value]
        return [decode(kind["list"], item, place, names) for item in items]
    if isinstance(kind, dict) and "map" in kind:
        return _decode_map(kind["map"], value, place, names)
    if isinstance(kind, dict):
        inner = value[0] if isinstance(value, list) and value else value
        return decode_object(kind["object"], inner, place, names) if inner else None
    return _decode_scalar(kind, value)


def decode_object(
    fields: Mapping[str, Kind], value: Mapping[str, Any], place: Place, names: Names
) -> dict[str, Any]:
    """The properties that an AWS structure holds a value for."""
    decoded = {}
    for name, kind in fields.items():
        inner = place.child(name)
        member = find_member(name, inner, value, names)
        item = decode(kind, value[member], inner, names) if member is not None else None
        if item is not None:
            decoded[name] = item
    return decoded


def _decode_map(kind: Kind, value: Any, place: Place, names: Names) -> dict[str, Any]:
    if isinstance(value, list):
        return tags_to_map(value)
    return {key: decode(kind, item, place, names) for key, item in value.items()}


def tags_to_map(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """AWS's list of keys and values (whatever the members' case) as a map."""
    pairs = ({_letters(key): item for key, item in tag.items()} for tag in tags)
    return {
        pair.get("key", pair.get("tagkey", "")): pair.get("value", pair.get("tagvalue", ""))
        for pair in pairs
    }


def _decode_scalar(kind: Kind, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    match kind:
        case "integer":
            return int(value) if isinstance(value, int | float | str) and str(value) else None
        case "number":
            return float(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "string":
            if isinstance(value, dict | list):
                return None
            return str(value).lower() if isinstance(value, bool) else str(value)
        case _:
            return value
