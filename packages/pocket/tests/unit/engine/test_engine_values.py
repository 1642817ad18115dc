"""Values, paths and URNs: the engine's small change."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocket.engine import paths, urns
from pocket.engine.urns import Alias
from pocket.engine.values import (
    OUTPUT,
    SECRET,
    SIGNATURE,
    UNKNOWN,
    equal,
    from_struct,
    has_secrets,
    has_unknowns,
    reveal,
    secret,
    to_struct,
)

SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5)
KEYS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(OBJECTS)
def test_messages_and_values_are_the_same_thing(properties: dict[str, object]) -> None:
    assert from_struct(to_struct(properties)) == properties


def test_secrets_unknowns_and_output_values() -> None:
    hidden = {"a": [secret("x")], "b": UNKNOWN}
    assert has_secrets(hidden)
    assert has_unknowns(hidden)
    assert reveal(hidden) == {"a": ["x"], "b": UNKNOWN}
    assert secret(secret(1)) == {SIGNATURE: SECRET, "value": 1}
    output = {SIGNATURE: OUTPUT, "value": 3, "secret": True, "dependencies": []}
    unknown = {SIGNATURE: OUTPUT, "dependencies": []}
    found = from_struct(to_struct({"known": output, "unknown": unknown}))
    assert found == {"known": secret(3), "unknown": UNKNOWN}


def test_equality_sees_through_secrets_and_tells_true_from_one() -> None:
    assert equal({"a": secret(1)}, {"a": 1})
    assert equal(1, 1.0)
    assert not equal(1, True)
    assert not equal([1], [1, 2])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a[0].b", ("a", 0, "b")),
        ('a["b.c"]', ("a", "b.c")),
        ('a["say \\"so\\""]', ("a", 'say "so"')),
        ("a[*].b", ("a", "*", "b")),
        ("a-b/c", ("a-b/c",)),
        ('a.["b"]', ("a", "b")),
        ("a.*", ("a", "*")),
    ],
)
def test_paths(text: str, path: paths.Path) -> None:
    assert paths.parse(text) == path
    assert paths.parse(paths.render(path)) == path


@pytest.mark.parametrize("text", ["a[", "a[x]", 'a["b', ".a", "a.", "a[1", "a[1.5]", "a[]"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="not a property path"):
        paths.parse(text)


@given(OBJECTS, OBJECTS)
def test_comparing_finds_nothing_exactly_where_values_are_equal(
    old: dict[str, object], new: dict[str, object]
) -> None:
    assert (not paths.compare(old, new)) == equal(old, new)


@given(OBJECTS, OBJECTS)
def test_ignoring_every_difference_leaves_the_old_inputs(
    old: dict[str, object], new: dict[str, object]
) -> None:
    top = sorted({str(path[0]) for path in paths.compare(old, new)})
    before = copy.deepcopy(new)
    kept, left = paths.keep_ignored(old, new, [paths.render((key,)) for key in top])
    assert equal(kept, old)
    assert not left
    assert new == before


def test_ignoring_by_wildcard() -> None:
    old = {"rules": [{"port": 1, "to": 2}, {"port": 3}], "tags": {"a": 1}}
    new = {"rules": [{"port": 9, "to": 8}, {"port": 9}], "tags": {"b": 1}}
    kept = paths.keep_ignored(old, new, ["rules[*].port", "tags.*"])
    assert kept == ({"rules": [{"port": 1, "to": 8}, {"port": 3}], "tags": {"a": 1}}, ())


HUSH = secret({"b": 1})


@pytest.mark.parametrize(
    ("path", "old", "new", "kept", "whole"),
    [
        ("a[*]", [1], [2, 3], [1, 3], False),
        ("a[*]", [1, 2], [3], [1], False),
        ("a[*]", [], [3], [3], False),
        ("a[1]", [1], [2, 3], [2, 3], False),
        ("a[0]", [1], [2, 3], [1, 3], True),
        ("a[5]", [1], [2, 3], [2, 3], True),
        ("a[-1]", [1], [2], [2], False),
        ("a[*].b", [{"b": 1}], [{"b": 2}, {"b": 3}], [{"b": 1}, {"b": 3}], False),
        ("a[*].b", [{"b": 1}, {}], [{"b": 2}, {"b": 3}], [{"b": 1}, {}], True),
        ("a.b.c", {"b": {"c": 1}}, {}, {}, False),
        ("a.b.c", {}, {"b": {"c": 1}}, {"b": {}}, True),
        ("a.b", 1, {"b": 1}, {}, True),
        ("a.b", {"b": 1}, 1, 1, False),
        ("a.*.c", {"b": {"c": 1}}, {"b": {"c": 2}, "d": {"c": 3}}, None, True),
        ("a.*", {"b": 1}, {"c": 2}, {"b": 1}, True),
        ("a.b", HUSH, {"b": 2}, {"b": secret(1)}, True),
        ("a.b", HUSH, secret({"b": 2}), HUSH, True),
        ("a[", 1, 2, 2, True),
    ],
)
def test_ignoring_as_the_cli_does(
    path: str, old: object, new: object, kept: object, whole: bool
) -> None:
    """What ``PropertyPath.Reset`` of Pulumi's Go SDK makes of the same values."""
    result, left = paths.keep_ignored({"a": old}, {"a": new}, [path])
    expected = {"b": {"c": 1}, "d": {"c": 3}} if kept is None else kept
    assert result == {"a": expected}
    assert left == (() if whole else (path,))


STACK = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"


def test_urns_join_the_types_of_parents_but_not_the_stacks() -> None:
    group = urns.make("dev", "demo", STACK, "my:Group", "g")
    assert group == "urn:pulumi:dev::demo::my:Group::g"
    inner = urns.make("dev", "demo", group, "my:Thing", "x::y")
    assert inner == "urn:pulumi:dev::demo::my:Group$my:Thing::x::y"
    assert urns.type_of(inner) == "my:Thing"
    assert urns.name_of(inner) == "x::y"
    assert urns.package_of("pulumi:providers:aws") == urns.package_of("aws:s3:Bucket") == "aws"


def test_former_urns() -> None:
    group = urns.make("dev", "demo", STACK, "my:Group", "new")
    former = urns.make("dev", "demo", STACK, "my:Old", "old")
    child = urns.make("dev", "demo", group, "my:Thing", "new-thing")
    found = urns.former_urns(child, group, [Alias(name="other")], {group: former})
    assert found == [
        urns.make("dev", "demo", group, "my:Thing", "other"),
        urns.make("dev", "demo", former, "my:Thing", "old-thing"),
        urns.make("dev", "demo", former, "my:Thing", "other"),
    ]
    bare = urns.former_urns(child, group, [Alias(no_parent=True)], {})
    assert bare == ["urn:pulumi:dev::demo::my:Thing::new-thing"]
    moved = urns.former_urns(child, group, [Alias(stack="prod", project="p", type="my:T")], {})
    assert moved == ["urn:pulumi:prod::p::my:Group$my:T::new-thing"]
