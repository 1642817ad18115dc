"""JSON's objects with each key once: of a key that stands twice, readers take the last value."""

from __future__ import annotations

from collections import Counter


class RepeatedKeyError(ValueError):
    """An object has a key twice; says which, as the end of a sentence about it."""


def each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object, for ``json.loads(…, object_pairs_hook=each_once)``.

    Raises:
        RepeatedKeyError: a key stands in it twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        raise RepeatedKeyError(f"has the key {', '.join(map(repr, twice))} twice")
    return made
