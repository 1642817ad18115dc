"""Property paths (``tags.owner``, ``rules[0].port``, ``tags["a.b"]``, ``rules[*]``) and differences
by path.

``ignoreChanges``, ``replaceOnChanges`` and a provider's detailed diff all speak in these paths.
This module parses them, reads and writes what they point at, and compares two property values path
by path.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence

from pocket.engine.values import Properties, Value, is_secret, reveal, strictly_equal

Path = tuple[str | int, ...]

TOKEN = re.compile(r'\.?([^.\[\]"]+)|\[(\d+|\*)\]|\.?\["((?:[^"\\]|\\.)*)"\]')
WILDCARD = "*"
MISSING = object()
KINDS = {
    "add": ("add", "add-replace"),
    "delete": ("delete", "delete-replace"),
    "update": ("update", "update-replace"),
}
"""A kind of difference: its name where the resource is updated, and where it has to be replaced."""


def parse(text: str) -> Path:
    """The steps of a path.

    Raises:
        ValueError: the text is not a path.
    """
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if not found:
            raise ValueError(f"{text!r} is not a property path (at character {position + 1})")
        plain, index, quoted = found.groups()
        if plain is not None:
            steps.append(plain)
        elif index is not None:
            steps.append(index if index == WILDCARD else int(index))
        else:
            steps.append(re.sub(r"\\(.)", r"\1", quoted))
        position = found.end()
    return tuple(steps)


def render(path: Sequence[str | int]) -> str:
    """The text of a path, as Pulumi writes it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[^.\[\]\"]+", step):
            text += f".{step}" if text else step
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def contains(outer: Path, inner: Path) -> bool:
    """Whether a path lies at or below another; ``*`` matches any step."""
    return len(outer) <= len(inner) and all(
        mine in (WILDCARD, theirs) for mine, theirs in zip(outer, inner, strict=False)
    )


def get(value: Value, path: Path) -> Value:
    """What a path points at, seen through secrets, or ``MISSING``."""
    for step in path:
        while is_secret(value):
            value = value["value"]
        listed = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if not listed and not (isinstance(value, dict) and step in value):
            return MISSING
        value = value[step]
    return value


def keep_ignored(old: Properties, new: Properties, ignored: Iterable[str]) -> Properties:
    """The new inputs with the old values at the ignored paths.

    What the old inputs lack is removed from the new, so that an ignored addition is ignored as
    well.
    """
    result = copy.deepcopy(new)
    for text in ignored:
        for path in expand(parse(text), old, result):
            replace(result, path, get(old, path))
    return result


def expand(path: Path, *sources: Value) -> list[Path]:
    """A path with its wildcards replaced by every key and index that any of the sources has
    there."""
    if WILDCARD not in path:
        return [path]
    position = path.index(WILDCARD)
    head, tail = path[:position], path[position + 1 :]
    steps: dict[str | int, None] = {}
    for source in sources:
        inner = reveal(get(source, head))
        if isinstance(inner, dict):
            steps.update(dict.fromkeys(inner))
        elif isinstance(inner, list):
            steps.update(dict.fromkeys(range(len(inner))))
    return [full for step in steps for full in expand((*head, step, *tail), *sources)]


def replace(value: Value, path: Path, with_: Value) -> None:
    """Write (or with ``MISSING`` remove) what a path points at; nothing where its parent is not
    there."""
    parent = get(value, path[:-1])
    while is_secret(parent):
        parent = parent["value"]
    step = path[-1]
    if isinstance(parent, dict):
        if with_ is MISSING:
            parent.pop(step, None)
        else:
            parent[step] = copy.deepcopy(with_)
    elif isinstance(parent, list) and isinstance(step, int):
        if step < len(parent) and with_ is not MISSING:
            parent[step] = copy.deepcopy(with_)
        elif step == len(parent) - 1:
            parent.pop()


def compare(old: Value, new: Value, path: Path = ()) -> dict[Path, str]:
    """The differences between two values: path to ``add``, ``delete`` or ``update``, at the deepest
    places."""
    old, new = reveal(old), reveal(new)
    if isinstance(old, dict) and isinstance(new, dict):
        keys: Iterable[str | int] = dict.fromkeys([*old, *new])
    elif isinstance(old, list) and isinstance(new, list):
        keys = range(max(len(old), len(new)))
    else:
        return {} if strictly_equal(old, new) else {path: "update"}
    found: dict[Path, str] = {}
    for key in keys:
        before, after = get(old, (key,)), get(new, (key,))
        if before is MISSING:
            found[*path, key] = "add"
        elif after is MISSING:
            found[*path, key] = "delete"
        else:
            found |= compare(before, after, (*path, key))
    return found
