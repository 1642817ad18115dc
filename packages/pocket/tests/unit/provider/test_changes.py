"""What the plugin makes of a change, by its source: each rule holds where it should and only
there."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from pocket.errors import DeploymentError
from pocket.provider.changes import facts_of
from pocket.provider.conditions import FUNCTIONS, NONE, ROWS, rules_of, undecided
from pocket.provider.provider import AwsProvider
from pocket.provider.types import TABLE
from pocket.provider.values import to_struct
from pocket_testing.changes import CASES, EXAMPLES, GROUP, REFUSED, VPC

PROVIDER = AwsProvider({"region": "eu-west-1"})
Response = provider_pb2.DiffResponse


def diff(
    token: str,
    olds: dict[str, Any],
    news: dict[str, Any],
    state: dict[str, Any] | None = None,
) -> Any:
    return PROVIDER.Diff(
        provider_pb2.DiffRequest(
            urn=f"urn:pulumi:s::p::{token}::x",
            olds=to_struct({**olds, **(state or {})}),
            old_inputs=to_struct(olds),
            news=to_struct(news),
        )
    )


def effect(*arguments: Any) -> str:
    """``same``, ``in place``, or ``replaced: `` with the properties that are blamed."""
    response = diff(*arguments)
    if response.changes == Response.DIFF_NONE:
        return "same"
    return f"replaced: {', '.join(response.replaces)}" if response.replaces else "in place"


def test_somebody_has_decided_about_every_type() -> None:
    """A type that comes new, and a function that comes new in a type's source, need a row in
    conditions.py or a reason in NONE."""
    assert [token for token in TABLE if not facts_of(token).origin] == []
    assert {token: missing for token in TABLE if (missing := undecided(token))} == {}


def test_no_decision_is_about_what_the_source_does_not_have() -> None:
    named = {(token, entry) for token in TABLE for entry in facts_of(token).rules}
    made = {(token, rule.origin) for token in ROWS for rule in rules_of(token)}
    assert made | NONE.keys() <= named
    assert not made & NONE.keys()
    shared = {entry.rpartition(": ")[2] for _, entry in named}
    assert FUNCTIONS.keys() <= shared


@pytest.mark.parametrize("token", TABLE)
def test_facts_name_properties_that_there_are(token: str) -> None:
    facts, known = facts_of(token), set(TABLE[token].schema.inputs)
    paths = {*facts.replaces, *facts.computed, *facts.newer}
    assert {path.partition(".")[0] for path in paths} <= known


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_shared_function(name: str) -> None:
    """In every property of every type that has it, at the property's own level."""
    if name.startswith("diffSuppressWorkGroup"):
        pytest.skip("of a block that its own example below fills")
    old, alike, other = EXAMPLES[name]
    places = [
        (token, entry.partition(": ")[0])
        for token in TABLE
        for entry in facts_of(token).rules
        if entry.endswith(f": {name}")
    ]
    assert places
    for token, path in places:
        top, *inner = path.split(".")

        def block(value: Any, inner: list[str] = inner) -> Any:
            for part in reversed(inner):
                value = {part: value}
            return value

        assert effect(token, {top: block(old)}, {top: block(alike)}) == "same", (token, path)
        assert effect(token, {top: block(old)}, {top: block(other)}) != "same", (token, path)


@pytest.mark.parametrize(("token", "olds", "news", "expected"), CASES)
def test_a_change(token: str, olds: dict[str, Any], news: dict[str, Any], expected: str) -> None:
    assert effect(token, olds, news) == expected


@pytest.mark.parametrize(("token", "olds", "news", "message"), REFUSED)
def test_a_change_that_the_plugin_refuses(
    token: str, olds: dict[str, Any], news: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeploymentError, match=message) as caught:
        diff(token, olds, news)
    assert caught.value.fix


def test_every_row_has_its_example() -> None:
    """Of each row, a case that its path covers: the cases say what it comes to."""
    driven = [(token, {*olds, *news}) for token, olds, news, _ in CASES]
    driven += [(token, {*olds, *news}) for token, olds, news, _ in REFUSED]
    missing = [
        (token, rule.origin)
        for token, rules in ROWS.items()
        for rule in rules
        if not any(
            rule.path.partition(".")[0] in names for which, names in driven if which == token
        )
    ]
    assert missing == []


def test_what_really_runs_decides_about_a_wildcard() -> None:
    olds, news = {"engineVersion": "6.x"}, {"engineVersion": "6.2"}
    assert effect(GROUP, olds, news, {"engineVersionActual": "6.0.5"}) == "in place"
    assert "replaced" in effect(GROUP, olds, news, {"engineVersionActual": "6.3.1"})


@pytest.mark.parametrize("token", TABLE)
def test_what_replaces_by_the_schema_and_what_does_not(token: str) -> None:
    facts, row = facts_of(token), TABLE[token]
    conditional = {rule.path.partition(".")[0] for rule in rules_of(token)}
    for name in set(row.schema.inputs) - {"tags", "tagsAll", "timeouts"} - conditional:
        if name in facts.newer:
            continue
        got = effect(token, {name: "one"}, {name: "two"})
        replaced = name in facts.replaces or name == "region"
        assert got == (f"replaced: {name}" if replaced else "in place"), name
        if name in facts.computed:
            assert effect(token, {name: "one"}, {}) == "same", name


def test_a_region_is_another_resource() -> None:
    assert effect(VPC, {"region": "eu-west-1"}, {"region": "eu-west-2"}) == "replaced: region"


def test_what_only_the_plugin_can_change_is_refused_by_name() -> None:
    token, urn = "aws:rds/instance:Instance", "urn:pulumi:s::p::aws:rds/instance:Instance::x"
    olds = {"identifier": "x", "networkType": "IPV4"}
    request = provider_pb2.UpdateRequest(
        urn=urn,
        id="x",
        olds=to_struct(olds),
        old_inputs=to_struct(olds),
        news=to_struct({**olds, "networkType": "DUAL"}),
    )
    assert effect(token, olds, {**olds, "networkType": "DUAL"}) == "in place"
    with pytest.raises(DeploymentError, match="networkType: changed in place on AWS") as caught:
        PROVIDER.Update(request)
    assert caught.value.where == urn


def test_two_of_one_identity_cannot_live_at_once() -> None:
    """Else the end of the replaced would be the end of the new."""
    token = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
    olds = {"policy": '{"a":1}', "repository": "r"}
    assert diff(token, olds, {**olds, "policy": '{"a":2}'}).deleteBeforeReplace
    assert not diff(token, olds, {**olds, "repository": "s"}).deleteBeforeReplace
