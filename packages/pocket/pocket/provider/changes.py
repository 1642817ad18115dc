"""What the real plugin makes of a change: in place, a replacement, nothing, or a refusal.

A preview that is made here is read as what AWS will do, so the plugin's own source decides, not
what this provider happens to have calls for. ``changes.json`` holds the plain facts of each type,
as its schema in terraform-provider-aws (which pulumi_aws wraps) says them:

- ``replaces``: property paths whose change replaces (``ForceNew``, ``RequiresReplace``),
- ``computed``: what AWS settles where it is left out, so that leaving it out changes nothing,
- ``rules``: the functions that decide by more than that (``CustomizeDiff``, ``DiffSuppressFunc``,
  ``StateFunc``), each of which has its row in ``conditions.py``,
- ``newer``: properties that pulumi_aws has and that source had not yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pocket.provider.values import Properties

CHANGES_FILE = Path(__file__).with_name("changes.json")


@dataclass(frozen=True)
class Facts:
    """What a type's schema says of changes; ``origin`` is the file that does."""

    origin: str = ""
    replaces: tuple[str, ...] = ()
    computed: frozenset[str] = frozenset()
    newer: frozenset[str] = frozenset()
    rules: tuple[str, ...] = ()


@cache
def _load() -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(CHANGES_FILE.read_text(encoding="utf-8"))["types"]
    return found


@cache
def facts_of(token: str) -> Facts:
    """The facts of a type, by its token; none of a type whose source nobody has read."""
    entry = _load().get(token)
    if entry is None:
        return Facts()
    return Facts(
        entry["from"],
        tuple(entry.get("replaces", ())),
        frozenset(entry.get("computed", ())),
        frozenset(entry.get("newer", ())),
        tuple(entry.get("rules", ())),
    )


class Effect(StrEnum):
    """What follows from a rule that holds."""

    REPLACES = "replaces"
    NOTHING = "nothing"
    REFUSED = "refused"


@dataclass(frozen=True)
class Change:
    """A difference in its place: the value that differs, all inputs, and the state's outputs."""

    old: Any
    new: Any
    olds: Properties
    news: Properties
    state: Properties = field(default_factory=dict)

    def differs(self, name: str) -> bool:
        """Whether another property differs too."""
        return bool(self.olds.get(name) != self.news.get(name))


@dataclass(frozen=True)
class Rule:
    """One of the source's functions, for the differences at or below a path.

    Args:
        origin: the entry in ``changes.json`` that this is about.
        path: a property path without indices.
        effect: what follows where it holds.
        when: whether it holds.
        sentence: for a refusal: what is wrong, and what to do.
    """

    origin: str
    path: str
    effect: Effect
    when: Callable[[Change], bool]
    sentence: str = ""

    def covers(self, key: str) -> bool:
        return key == self.path or key.startswith(f"{self.path}.")


def key_of(path: str) -> str:
    """A difference's path without indices, as facts and rules write it."""
    return re.sub(r"\[\d+\]", "", path)


def replaced_by_schema(facts: Facts, path: str, old: Any, new: Any) -> bool:
    """Whether the plain facts say that a difference replaces: it lies at or below a path that does,
    or it is a whole block that brings or takes one."""
    key = key_of(path)
    for entry in facts.replaces:
        if key == entry or key.startswith(f"{entry}."):
            return True
        if entry.startswith(f"{key}."):
            inner = entry.removeprefix(f"{key}.").split(".")
            if _holds(old, inner) or _holds(new, inner):
                return True
    return False


def _holds(value: Any, path: list[str]) -> bool:
    if isinstance(value, list):
        return any(_holds(item, path) for item in value)
    if not path:
        return value is not None
    return isinstance(value, Mapping) and _holds(value.get(path[0]), path[1:])


def holding(rules: Iterable[Rule], path: str, change: Change, effect: Effect) -> Rule | None:
    """The first rule of an effect that holds for a difference."""
    key = key_of(path)
    for rule in rules:
        if rule.effect is effect and rule.covers(key):
            steps = rule.path.split(".")
            # A rule judges what lies at its own path, also where the difference lies below it.
            own = (
                change
                if key == rule.path
                else replace(change, old=at(change.olds, *steps), new=at(change.news, *steps))
            )
            if rule.when(own):
                return rule
    return None


def at(value: Any, *path: str) -> Any:
    """What lies at a path in properties; of a list, in its first item. None where nothing does."""
    for part in path:
        value = value[0] if isinstance(value, list) and value else value
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
