"""When two values of a property mean the same, and which properties differ.

AWS answers lists in its own order, policies with its own white space, and blocks with defaults that
nobody asked for. Taking any of that for a change would make every refresh show drift and every
second ``up`` a change; missing a real one would be worse. Both judgements are here and nowhere
else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pocket.provider.changes import (
    Change,
    Effect,
    Rule,
    facts_of,
    holding,
    key_of,
    replaced_by_schema,
)
from pocket.provider.conditions import rules_of
from pocket.provider.resource import ResourceType
from pocket.provider.values import Properties, has_unknown

IGNORED = frozenset({"__defaults", "timeouts"})
ALWAYS_IN_PLACE = frozenset({"tags", "tagsAll"})


@dataclass(frozen=True)
class Difference:
    """One changed property: where, how (``add``, ``delete``, ``update``), replacing or not."""

    path: str
    kind: str
    replaces: bool = False
    old: Any = field(default=None, compare=False)
    new: Any = field(default=None, compare=False)
    refused: str = ""
    """Why the plugin refuses it, where it does."""

    @property
    def property(self) -> str:
        return self.path.split(".")[0].split("[")[0]


def canonical(value: Any, *, document: bool = False) -> Any:
    """A form in which values that mean the same are equal: lists without order, JSON text parsed,
    scalars as text, empty things as nothing. Inside a JSON document a list of one is its
    element."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _canonical_text(value)
    if isinstance(value, Mapping):
        items = {key: canonical(item, document=document) for key, item in value.items()}
        return {key: item for key, item in items.items() if item not in (None, {}, [])} or None
    if isinstance(value, list | tuple):
        members = [canonical(item, document=document) for item in value]
        if document and len(members) == 1:
            return members[0]
        return sorted(members, key=lambda item: json.dumps(item, sort_keys=True)) or None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else str(value)


def _canonical_text(text: str) -> Any:
    if text[:1] in ("{", "[") and text[-1:] in ("}", "]"):
        try:
            return {"json": canonical(json.loads(text), document=True)}
        except ValueError:
            return text
    return text


def normalized(row: ResourceType, name: str, value: Any) -> Any:
    """A property's value in the row's own normal form."""
    return row.normal[name](value) if name in row.normal and value is not None else value


def same(row: ResourceType, name: str, one: Any, other: Any) -> bool:
    """Whether two values of a property mean the same to AWS."""
    return bool(canonical(normalized(row, name, one)) == canonical(normalized(row, name, other)))


def project(actual: Any, wanted: Any) -> Any:
    """Of what AWS describes, the part that was asked for: keys that the wanted block does not name
    are AWS's own defaults. Lists are matched item by item when they are equally long."""
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return {key: project(item, wanted[key]) for key, item in actual.items() if key in wanted}
    if isinstance(actual, list) and isinstance(wanted, list) and len(actual) == len(wanted):
        return [project(*pair) for pair in _matched(actual, wanted)]
    return actual


def _matched(actual: list[Any], wanted: list[Any]) -> list[tuple[Any, Any]]:
    """Each actual item with the wanted one that it answers, as far as can be told."""
    rest, pairs = list(wanted), []
    for item in actual:
        best = max(rest, key=lambda candidate: _likeness(item, candidate))
        rest.remove(best)
        pairs.append((item, best))
    return pairs


def _likeness(actual: Any, wanted: Any) -> int:
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return sum(_likeness(actual.get(key), item) for key, item in wanted.items())
    return 2 if canonical(actual) == canonical(wanted) else 0


def differences(
    row: ResourceType, olds: Properties, news: Properties, state: Properties | None = None
) -> list[Difference]:
    """Which inputs differ, down to the nested property, in the order of their names, and what the
    plugin makes of each.

    Args:
        row: the type.
        olds: the inputs before.
        news: the inputs wanted.
        state: the outputs before, which some of the plugin's rules look at.
    """
    left_out = {*row.filled, *facts_of(row.token).computed}
    found: list[Difference] = []
    for name in sorted({*olds, *news} - IGNORED):
        old, new = olds.get(name), news.get(name)
        if not same(row, name, old, new) and not (new is None and name in left_out):
            found += _inside(name, old, new)
    judged = (
        _judged(row, each, Change(each.old, each.new, olds, news, state or {})) for each in found
    )
    return [each for each in judged if each is not None]


def _judged(row: ResourceType, difference: Difference, change: Change) -> Difference | None:
    """A difference as the plugin takes it; None where it takes it for none."""
    rules, path, name = rules_of(row.token), difference.path, difference.property
    known = not has_unknown(change.new)
    if known and holding(rules, path, change, Effect.NOTHING):
        return None
    if known and (rule := holding(rules, path, change, Effect.REFUSED)):
        return replace(difference, refused=rule.sentence)
    facts = facts_of(row.token)
    if name in ALWAYS_IN_PLACE or name == "region":
        return replace(difference, replaces=name == "region")
    if name in facts.newer or not facts.origin:
        return replace(difference, replaces=name not in row.changeable)
    replaces = replaced_by_schema(facts, path, difference.old, difference.new)
    if not replaces:
        replaces = _may_replace(rules, path, change, known=known)
    return replace(difference, replaces=replaces)


def _may_replace(rules: tuple[Rule, ...], path: str, change: Change, *, known: bool) -> bool:
    """Whether a rule replaces; of what is not known yet, whether one may: a preview says so rather
    than not."""
    if known:
        return holding(rules, path, change, Effect.REPLACES) is not None
    key = key_of(path)
    return any(rule.effect is Effect.REPLACES and rule.covers(key) for rule in rules)


def _inside(path: str, old: Any, new: Any) -> list[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            difference
            for key in sorted({*old, *new})
            if canonical(old.get(key)) != canonical(new.get(key))
            for difference in _inside(_key(path, key), old.get(key), new.get(key))
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            difference
            for index, (one, other) in enumerate(zip(old, new, strict=True))
            if canonical(one) != canonical(other)
            for difference in _inside(f"{path}[{index}]", one, other)
        ]
    kind = "add" if old is None else "delete" if new is None else "update"
    return [Difference(path, kind, old=old, new=new)]


def _key(path: str, key: str) -> str:
    return f"{path}.{key}" if key.replace("_", "").isalnum() else f'{path}["{key}"]'


def inputs_from(row: ResourceType, inputs: Properties, outputs: Properties) -> Properties:
    """The inputs as AWS has them now: those recorded, changed where they differ; at import, all."""
    if not inputs:
        return _imported(row, outputs)
    found = {}
    for name, wanted in inputs.items():
        actual = outputs.get(name) if name in row.schema.outputs else wanted
        if name in row.hidden or name in row.local or (name == "tagsAll" and actual is None):
            found[name] = wanted
            continue
        actual = (
            project(actual, wanted)
            if isinstance(wanted, dict | list) and name not in ("tags", "tagsAll")
            else actual
        )
        found[name] = wanted if same(row, name, actual, wanted) else actual
    for name in _watched(row) - set(inputs):
        if outputs.get(name):  # somebody set what the program leaves alone
            found[name] = outputs[name]
    return {name: value for name, value in found.items() if value is not None}


def _watched(row: ResourceType) -> set[str]:
    """The inputs of which a value that the program did not give is drift: an update can take it
    back.
    """
    own = {*row.filled, *row.hidden, *row.local, "timeouts", "tagsAll"}
    return set(row.schema.inputs).intersection(row.changeable) - own


def _imported(row: ResourceType, outputs: Properties) -> Properties:
    unasked = {"region", *row.local} | IGNORED
    found = {
        name: outputs[name]
        for name in row.schema.inputs
        if name in outputs and name not in unasked and (outputs[name] or name in row.defaults)
    }
    if row.tags is not None and outputs.get("tagsAll"):
        found["tagsAll"] = outputs["tagsAll"]
    for name, value in row.defaults.items():
        found.setdefault(name, value)
    return {name: value for name, value in found.items() if value is not None}
