"""YAML as the Pulumi CLI reads it, and values as it hands them on.

The CLI's library (go-yaml 3) takes neither YAML 1.1's words and base-60 numbers nor YAML 1.2's core
schema: ``yes`` and ``12:30:45`` are texts, ``0755`` and ``0o755`` are 493, a date is a moment. A
program must see the same values whichever engine runs it, so whoever reads one of Pulumi's files
reads it here.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from pocket.errors import DeploymentError

TAG = "tag:yaml.org,2002:"
PLAIN = "tag:pulumi.com,2017:str"
"""The tag of a scalar with neither quotes nor a tag of its own: its text says what it is."""

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
BASES = (16, 2, 8, 10)
"""Of the groups in `INTEGER`."""
MOST_LEVELS = 50
"""Of values in values; the library gives up where Python's stack ends, a second later."""
INTEGERS = range(-(2**63), 2**64)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_IN_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
DATE = r"(\d{4})-(\d{1,2})-(\d{1,2})"
CLOCK = r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d+))?"
MOMENT = re.compile(rf"{DATE}(?:[Tt]{CLOCK}(?:Z|([-+])(\d\d):(\d\d))| {CLOCK})?")

Value = Any
"""None, bool, int, float, str, a list of values, or a dict of values by text."""


def read(path: Path) -> dict[str, Value]:
    """The mapping in one of Pulumi's files; an empty file is an empty one.

    Raises:
        DeploymentError: it is not YAML as the CLI takes it (with line and column), or no mapping.
    """
    try:
        value = parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DeploymentError(
            f"it cannot be read: {error.strerror or error}", where=str(path)
        ) from None
    except UnicodeDecodeError as error:
        raise DeploymentError(f"it is not a text in UTF-8: {error}", where=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error)
        raise DeploymentError(f"this is not YAML: {problem}", where=place) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DeploymentError("a mapping of keys was expected", where=str(path))
    return value


def parse(text: str) -> Value:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is none that the CLI takes.
    """
    return yaml.load(text, Loader=PulumiLoader)


class PulumiLoader(yaml.SafeLoader):
    """YAML's safe loader with go-yaml's meaning of scalars; keys are texts, and written once."""

    level = 0
    """In how many values the next one is."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0]:
            return f"{TAG}merge" if value == "<<" else PLAIN
        if kind is yaml.ScalarNode:
            return f"{TAG}str"
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node; an anchor may be set anew, and then stands for what it was set to last."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if not isinstance(event, yaml.AliasEvent) and getattr(event, "anchor", None):
            self.anchors.pop(event.anchor, None)
        self.level += 1
        if self.level > MOST_LEVELS:
            raise yaml.MarkedYAMLError(
                problem="it is nested too deep to be read", problem_mark=event.start_mark
            )
        node = super().compose_node(parent, index)
        self.level -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self._key(key_node)
            if key in seen:
                raise refused(f"the key {key!r} is written twice", key_node)
            seen.add(key)
        self.flatten_mapping(node)
        return {
            self._key(key_node): self.construct_object(value_node, deep=deep)
            for key_node, value_node in node.value
        }

    def _key(self, node: yaml.Node) -> str:
        key = self.construct_object(node, deep=True)
        if isinstance(key, float | list | dict):
            raise refused("a key is a text: put this one in quotes", node)
        if isinstance(key, bool):
            return str(key).lower()
        return "<nil>" if key is None else str(key)

    def plain(self, node: yaml.ScalarNode) -> Value:
        if NOT_IN_JSON.fullmatch(node.value):
            raise refused(f"{node.value} is no number that JSON has", node)
        return scalar(node.value)

    def tagged(self, node: yaml.Node) -> Value:
        """A value whose tag says nothing that the CLI heeds."""
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        return node.value

    def binary(self, node: yaml.ScalarNode) -> str:
        try:
            return base64.b64decode(node.value).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise refused(f"this is no base64 of a text: {error}", node) from None


def refused(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def of_kind(
    name: str, fits: Callable[[Value], bool]
) -> Callable[[PulumiLoader, yaml.ScalarNode], Value]:
    """Reads a scalar with a tag of YAML's own."""

    def construct(loader: PulumiLoader, node: yaml.ScalarNode) -> Value:
        value = loader.plain(node)
        if not fits(value):
            raise refused(f"{node.value!r} is not of the kind !!{name}", node)
        return value

    return construct


KINDS: dict[str, Callable[[Value], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": is_number,
    "bool": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "timestamp": lambda value: isinstance(value, str) and value.count(" ") > 2,
}
PulumiLoader.add_constructor(PLAIN, PulumiLoader.plain)
PulumiLoader.add_constructor(f"{TAG}merge", PulumiLoader.tagged)
PulumiLoader.add_constructor(f"{TAG}binary", PulumiLoader.binary)
PulumiLoader.add_constructor(None, PulumiLoader.tagged)
for _name, _fits in KINDS.items():
    PulumiLoader.add_constructor(f"{TAG}{_name}", of_kind(_name, _fits))


def scalar(text: str) -> Value:
    """What a scalar without quotes means (``resolve`` in go-yaml 3's resolve.go); numbers come as
    JSON would bring them back, whole ones as ints."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    if (when := moment(text)) is not None:
        return when
    plain = text if text[0] == "." else text.replace("_", "")
    if (found := INTEGER.fullmatch(plain)) is not None:
        sign, *digits = found.groups()
        number = next(int(one, base) for one, base in zip(digits, BASES, strict=True) if one)
        number = -number if sign == "-" else number
        if number in INTEGERS:
            return number
    if FLOAT.fullmatch(plain) and math.isfinite(value := float(plain)):
        text = number_text(value)
        return int(text) if re.fullmatch(r"-?\d+", text) else value
    return text


def moment(text: str) -> str | None:
    """A date or a time of a date as Go prints it; None for anything else, and for no real day."""
    found = MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, *rest = found.groups()
    zoned, sign, zone, spaced = rest[:4], rest[4], rest[5:7], rest[7:]
    hour, minute, second, fraction = zoned if zoned[0] else spaced
    offset = timedelta(hours=int(zone[0] or 0), minutes=int(zone[1] or 0))
    offset = -offset if sign == "-" else offset
    try:
        parts = (int(part or 0) for part in (year, month, day, hour, minute, second))
        when = datetime(*parts, tzinfo=timezone(offset))  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    fraction = (fraction or "")[:9].rstrip("0")
    shown = when.isoformat(" ")[:19] + (f".{fraction}" if fraction else "")
    numeric = when.strftime("%z")
    return f"{shown} {numeric} {numeric if offset else 'UTC'}"


def number_text(value: float) -> str:
    """A number as Go's JSON writes it: with an exponent below 1e-6 and from 1e21 on."""
    if not value or 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f").removesuffix(".0")
        return "0" if text == "-0" else text
    return re.sub(r"e-0", "e-", repr(value)).replace(".0e", "e")


def as_text(value: Value) -> str:
    """A configuration value as a program gets it: a text itself, nothing for null, else JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Value) -> str:
    """A value as Go's JSON writes it: keys in order, and nothing that HTML would take."""
    if isinstance(value, Mapping):
        pairs = (f"{as_json(key)}:{as_json(value[key])}" for key in sorted(value))
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(as_json, value))}]"
    if isinstance(value, float):
        return number_text(value)
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)
