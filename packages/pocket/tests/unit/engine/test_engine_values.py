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
        ("a.*", ("a", "*")),
    ],
)
def test_paths(text: str, path: paths.Path) -> None:
    assert paths.parse(text) == path
    assert paths.parse(paths.render(path)) == path


@pytest.mark.parametrize("text", ["a[", "a[x", 'a["b', "a]"])
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
    assert equal(paths.keep_ignored(old, new, [paths.render((key,)) for key in top]), old)
    assert new == before


def test_ignoring_by_wildcard() -> None:
    old = {"rules": [{"port": 1, "to": 2}, {"port": 3}], "tags": {"a": 1}}
    new = {"rules": [{"port": 9, "to": 8}, {"port": 9}], "tags": {"b": 1}}
    kept = paths.keep_ignored(old, new, ["rules[*].port", "tags.*"])
    assert kept == {"rules": [{"port": 1, "to": 8}, {"port": 3}], "tags": {"a": 1}}


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
