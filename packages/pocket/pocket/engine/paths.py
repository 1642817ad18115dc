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

from pocket.engine.values import (
    SIGNATURE,
    Properties,
    Value,
    is_secret,
    reveal,
    secret,
    strictly_equal,
)

Path = tuple[str | int, ...]

WILDCARD = "*"
TOKEN = re.compile(r'\.*(?:\["((?:\\"|[^"])*)"\]|\[([+-]?\d+|\*)\]|([^.\[]+))')
MISSING = object()
KINDS = {
    "add": ("add", "add-replace"),
    "delete": ("delete", "delete-replace"),
    "update": ("update", "update-replace"),
}
"""A kind of difference: its name where the resource is updated, and where it has to be replaced."""


def parse(text: str) -> Path:
    """The steps of a path: names up to the next ``.`` or ``[``, indexes, and names in quotes.

    Raises:
        ValueError: the text is not a path.
    """
    steps: list[str | int] = []
    if text.startswith("."):
        raise _not_a_path(text, 0)
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if not found:
            raise _not_a_path(text, position)
        quoted, index, plain = found.groups()
        if plain is not None:
            steps.append(plain)
        elif index is not None:
            steps.append(index if index == WILDCARD else int(index))
        else:
            steps.append(quoted.replace('\\"', '"'))
        position = found.end()
    return tuple(steps)


def _not_a_path(text: str, position: int) -> ValueError:
    return ValueError(f"{text!r} is not a property path (at character {position + 1})")


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


def keep_ignored(
    old: Properties, new: Properties, ignored: Iterable[str]
) -> tuple[Properties, tuple[str, ...]]:
    """The new inputs with the old values at the ignored paths, as Pulumi resets them.

    What the old inputs lack is removed from the new. A list keeps its new length: what an ignored
    path adds to it or takes from it cannot be ignored.

    Returns:
        the inputs; and the paths at which something could not be ignored. A text that is no path
        ignores nothing.
    """
    result = copy.deepcopy(new)
    left = []
    for text in ignored:
        try:
            path = parse(text)
        except ValueError:
            continue
        if not reset(path, old, result):
            left.append(text)
    return result, tuple(left)


def reset(path: Path, old: Value, new: Value, *, mark: bool = False) -> bool:
    """Write what a path points at in an old value into a new one, which is changed.

    Args:
        path: the path; ``*`` stands for every key or index.
        old: where values come from.
        new: where they go.
        mark: the old value lies in a secret, and the new one does not: what is written is marked.

    Returns:
        whether the two agree there now. They cannot where one has no place for it.
    """
    if not path:
        return False
    while is_secret(old):
        old, mark = old["value"], True
    hidden = is_secret(new)
    while is_secret(new):
        new = new["value"]
    mark = mark and not hidden
    step, rest = path[0], path[1:]
    if step == WILDCARD:
        return _reset_all(rest, old, new, mark)
    if isinstance(step, int):
        return _reset_item(step, rest, old, new, mark)
    if not rest:
        return _reset_key(step, old, new, mark)
    if not (_is_object(old) and _is_object(new)):
        return not _is_object(old) and not _is_object(new)
    if step not in new:
        return step not in old
    return reset(rest, old.get(step), new[step], mark=mark)


def _reset_key(key: str, old: Value, new: Value, mark: bool) -> bool:
    if _is_object(old) and key in old:
        if not _is_object(new):
            return False
        new[key] = _copied(old[key], mark)
    elif _is_object(new):
        new.pop(key, None)
    return True


def _reset_item(index: int, rest: Path, old: Value, new: Value, mark: bool) -> bool:
    if index < 0:
        return False
    if not (isinstance(old, list) and isinstance(new, list)):
        return not isinstance(old, list) and not isinstance(new, list)
    if index >= len(old) and index >= len(new) and not rest:
        return True
    if index >= len(old) or index >= len(new):
        return False
    if rest:
        return reset(rest, old[index], new[index], mark=mark)
    new[index] = _copied(old[index], mark)
    return True


def _reset_all(rest: Path, old: Value, new: Value, mark: bool) -> bool:
    if not rest:
        return _copy_all(old, new, mark)
    if _is_object(old) and _is_object(new):
        return all(
            key in new and reset(rest, value, new[key], mark=mark) for key, value in old.items()
        )
    if isinstance(old, list) and isinstance(new, list):
        pairs = zip(old, new, strict=False)
        return all(reset(rest, one, other, mark=mark) for one, other in pairs) and (
            len(old) == len(new)
        )
    return False


def _copy_all(old: Value, new: Value, mark: bool) -> bool:
    if _is_object(new):
        if _is_object(old):
            new.clear()
            new.update({key: _copied(value, mark) for key, value in old.items()})
        return True
    if not isinstance(new, list):
        return False
    if isinstance(old, list):
        shared = min(len(old), len(new))
        new[:shared] = [_copied(value, mark) for value in old[:shared]]
        return len(old) == len(new)
    return True


def _is_object(value: Value) -> bool:
    return isinstance(value, dict) and SIGNATURE not in value


def _copied(value: Value, mark: bool) -> Value:
    return secret(copy.deepcopy(value)) if mark else copy.deepcopy(value)


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
