"""What the Pulumi CLI does in cases that programs meet seldom, and the embedded engine likewise.

The same programs run beside the real CLI in test_real_pulumi.py, where it is installed.
"""

from __future__ import annotations

from typing import Any

import pytest

from pocket.engine import (
    Diagnostic,
    Event,
    Op,
    export_state,
    import_state,
    outputs,
    preview,
    resources,
    up,
)
from pocket.errors import DeploymentError
from pocket_testing.stacks import PASSPHRASE, Stack


def taint(stack: Stack, *names: str) -> None:
    """What `pulumi state taint` makes of a state, on its way through export and import."""
    document = export_state(stack.workspace)
    chosen = [one for one in document["deployment"]["resources"] if one["urn"].endswith(names)]
    assert len(chosen) == len(names)
    for resource in chosen:
        resource["taint"] = True
    import_state(stack.workspace, {**document, "version": 4, "features": ["taint"]})


def made(stack: Stack) -> dict[str, tuple[str, Any]]:
    """Which object stands behind each name."""
    return {one.name: (one.id, one.outputs.get("serial")) for one in resources(stack.workspace)}


TAINTED = """
    p = Provider("p", region="north")
    a = Thing("a", size=1)
    b = Thing("b", Opts(provider=p), links=[a.label])
    c = Thing("c", name="c", kind=b.label)
    g = Group("g")
"""


@pytest.mark.parametrize("name", ["::a", "::b", "::p", "::g"])
def test_what_is_tainted_is_replaced_once(stack: Stack, name: str) -> None:
    up(stack.write(TAINTED))
    before = made(stack)
    taint(stack, name)
    assert any(one.taint for one in resources(stack.workspace))
    planned = preview(stack.workspace)
    result = up(stack.workspace)
    assert planned.counts == result.counts
    replaced = {one.name for one in result.steps if one.op is Op.REPLACE}
    assert name[2:] in replaced
    after = resources(stack.workspace)
    assert not any(one.taint for one in after)
    assert {name for name, which in made(stack).items() if which != before[name]} == (
        replaced - {"g"}
    )
    assert "features" not in export_state(stack.workspace)
    assert not up(stack.workspace).changed
    assert sorted(one.id for one in after if one.type == "shelf:index:Thing") == sorted(
        stack.shelf.things()
    )


def test_a_tainted_resource_that_is_protected_stays(stack: Stack) -> None:
    up(stack.write('Thing("a", Opts(protect=True))'))
    taint(stack, "::a")
    with pytest.raises(DeploymentError, match="protected"):
        up(stack.workspace)
    (thing,) = [one for one in resources(stack.workspace) if one.name == "a"]
    assert thing.taint, "and is replaced when the protection is gone"
    assert up(stack.write('Thing("a")')).counts[Op.REPLACE] == 1


@pytest.mark.parametrize(
    ("program", "claims"),
    [
        ('Thing("x", Opts(aliases=[ALIAS])); Thing("y", Opts(aliases=[ALIAS]))', 2),
        ('y = Thing("x", Opts(aliases=[ALIAS])); Thing("old", Opts(depends_on=[y]))', 2),
        ('y = Thing("old"); Thing("x", Opts(aliases=[ALIAS], depends_on=[y]))', 2),
        ('Thing("x", Opts(aliases=[ALIAS])); Thing("y")', 1),
    ],
)
def test_two_resources_cannot_go_on_from_one(stack: Stack, program: str, claims: int) -> None:
    up(stack.write('Thing("old")'))
    workspace = stack.write('ALIAS = pulumi.Alias(name="old")\n' + program)
    if claims == 1:
        assert up(workspace).counts[Op.CREATE] == 1
        return
    for act in (preview, up):
        with pytest.raises(DeploymentError, match=r"both claim to have been .*::old") as caught:
            act(workspace)
        assert "alias" in caught.value.fix
    assert list(stack.shelf.things()), "what they claim is still there"


def test_an_alias_that_is_spent_may_stay_in_the_program(stack: Stack) -> None:
    up(stack.write('Thing("old")'))
    program = 'Thing("new", Opts(aliases=[pulumi.Alias(name="old")]))'
    for _ in range(2):
        assert Op.CREATE not in up(stack.write(program)).counts


GOING_WITH = """
    a = Thing("a", kind="KIND")
    x = Thing("x", Opts(deleted_with=a))
    y = Thing("y", Opts(deleted_with=a), kind=a.label)
    z = Thing("z", Opts(deleted_with=a), links=[a.label])
    w = Thing("w", Opts(deleted_with=y), kind=a.label)
    v = Thing("v", Opts(deleted_with=a), name="KIND")
"""


def test_what_goes_with_a_replaced_resource_is_not_deleted_by_a_call(stack: Stack) -> None:
    up(stack.write(GOING_WITH.replace("KIND", "one")))
    lines = len(stack.shelf.calls())
    result = up(stack.write(GOING_WITH.replace("KIND", "two")))
    called = [line.rsplit("-", 1)[0] for line in stack.shelf.calls()[lines:]]
    assert [line for line in called if line.startswith("delete")] == ["delete a"]
    replaced = {one.name for one in result.steps if one.op is Op.REPLACE}
    assert replaced == {"a", "y", "w", "v"}
    assert not up(stack.workspace).changed
    states = {one.id for one in resources(stack.workspace) if one.type == "shelf:index:Thing"}
    assert states <= set(stack.shelf.things())


@pytest.mark.parametrize("fails", ["b", "program"])
def test_outputs_that_were_told_before_a_failure_are_saved(stack: Stack, fails: str) -> None:
    up(stack.write('a = Thing("a", size=1); export("size", a.size); export("old", 1)'))
    trouble = 'Thing("b", Opts(depends_on=[a]), fault="refuse-create")' if fails == "b" else "1 / 0"
    program = f'a = Thing("a", size=2); export("size", a.size); export("new", 3); {trouble}'
    with pytest.raises(DeploymentError):
        up(stack.write(program))
    assert outputs(stack.workspace) == {"size": 2, "new": 3}


@pytest.mark.parametrize(
    ("ignored", "links", "expected"),
    [
        ("links[*]", ["x", "new"], ["a", "new"]),
        ("links[*]", [], []),
        ("links[0]", ["x"], ["a"]),
        ("links", ["x", "new"], ["a"]),
        ("*", ["x", "new"], ["a"]),
        ("tags.*", ["a"], ["a"]),
        ("tags[*]", ["a"], ["a"]),
    ],
)
def test_what_a_wildcard_ignores(
    stack: Stack, ignored: str, links: list[str], expected: list[str]
) -> None:
    up(stack.write('Thing("a", links=["a"], tags={"a": "b"})'))
    told: list[Event] = []
    program = f'Thing("a", Opts(ignore_changes=["{ignored}"]), links={links!r}, tags={{"a": "c"}})'
    up(stack.write(program), on_event=told.append)
    (thing,) = stack.shelf.things().values()
    assert thing["inputs"]["links"] == expected
    assert thing["inputs"]["tags"] == {"a": "b" if ignored[0] in "t*" else "c"}
    said = [one.message for one in told if isinstance(one, Diagnostic)]
    lengths = ignored == "links[*]"
    assert any(ignored in text for text in said) == lengths


@pytest.mark.parametrize("path", ["links[*]", "links", "*", "tags.a", "tags[*]", 'tags["a"]'])
def test_a_change_at_or_below_a_path_replaces(stack: Stack, path: str) -> None:
    options = f"Opts(replace_on_changes=['{path}'])"
    up(stack.write(f'Thing("a", {options}, links=["a"], tags={{"a": "b"}})'))
    result = up(stack.write(f'Thing("a", {options}, links=["b"], tags={{"a": "c"}})'))
    # The shelf's provider tells of whole properties: what lies deeper than one is not blamed.
    assert (Op.REPLACE in result.counts) == (path in ("links", "*"))


def test_a_path_that_is_none(stack: Stack) -> None:
    up(stack.write('Thing("a", size=1)'))
    up(stack.write('Thing("a", Opts(ignore_changes=["a["]), size=2)'))
    with pytest.raises(DeploymentError, match="not a property path") as caught:
        up(stack.write('Thing("a", Opts(replace_on_changes=["a["]), size=3)'))
    assert caught.value.where.endswith("::a")


def test_a_salt_for_another_passphrase_does_not_matter(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pulumi stack init` writes one into the settings file."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of another backend")
    program = 'Thing("a", password=Output.secret("hush")); export("x", Output.secret(1))'
    up(stack.write(program))
    assert not up(stack.workspace).changed
    assert outputs(stack.workspace) == {"x": 1}
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    with pytest.raises(DeploymentError, match="passphrase is not this stack's"):
        resources(stack.workspace)


def test_an_encrypted_setting_needs_its_passphrase(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed: dict[str, Any] = {"config": "{'demo:x': {secure: 'v1:AAAA:AAAA'}}"}
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of another backend")
    with pytest.raises(DeploymentError, match="passphrase is not this stack's"):
        up(stack.write('Thing("a")', **sealed))
