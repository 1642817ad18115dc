"""What an interrupted run left open: what is ours is adopted, what is not is left alone, and a
preview that can ask nobody says what is open."""

from __future__ import annotations

from typing import Any

import pytest

from pocket.engine import (
    Diagnostic,
    Event,
    Op,
    destroy,
    export_state,
    import_state,
    preview,
    resources,
    up,
)
from pocket.errors import DeploymentError
from pocket_testing.stacks import Stack

PROGRAM = 'Thing("a", name="fixed", size=1)'


def interrupt(stack: Stack, kind: str, *, effect: bool) -> None:
    """Leave the state that a run leaves which was killed beside its call for the thing.

    Args:
        stack: whose thing is brought up first.
        kind: what was being done to it.
        effect: whether the call was carried out.
    """
    up(stack.write(PROGRAM))
    document = export_state(stack.workspace)
    deployment = document["deployment"]
    thing = next(one for one in deployment["resources"] if one["type"].startswith("shelf:"))
    if kind == "creating":
        deployment["resources"].remove(thing)
        bare = {key: value for key, value in thing.items() if key not in ("id", "outputs")}
        deployment["pending_operations"] = [{"resource": bare, "type": kind}]
    else:
        deployment["pending_operations"] = [{"resource": thing, "type": kind}]
    import_state(stack.workspace, document)
    if effect is (kind == "deleting"):
        stack.shelf.remove(thing["id"])


def put_foreign(stack: Stack) -> dict[str, Any]:
    """Somebody else's thing of the same name."""
    thing = {"id": "id-fixed", "urn": "another's", "inputs": {"name": "fixed"}}
    thing |= {"serial": 7, "config": {}}
    stack.shelf.put(thing)
    return thing


def told(events: list[Event]) -> list[str]:
    return [
        one.message for one in events if isinstance(one, Diagnostic) and one.severity == "warning"
    ]


def test_ours_is_adopted(stack: Stack) -> None:
    interrupt(stack, "creating", effect=True)
    assert not up(stack.workspace).changed
    assert [one.id for one in resources(stack.workspace) if one.name == "a"] == ["id-fixed"]


def test_anothers_of_the_same_name_is_never_adopted(stack: Stack) -> None:
    interrupt(stack, "creating", effect=False)
    foreign = put_foreign(stack)
    for _ in range(2):
        with pytest.raises(DeploymentError, match="fixed is another's") as caught:
            up(stack.workspace)
        assert caught.value.fix == "Rename this one."
        assert caught.value.where.endswith("::a")
        assert "fixed" not in [one.inputs.get("name") for one in resources(stack.workspace)]
    assert stack.shelf.things() == {"id-fixed": foreign}


def test_destroy_leaves_anothers_alone(stack: Stack) -> None:
    interrupt(stack, "creating", effect=False)
    foreign = put_foreign(stack)
    events: list[Event] = []
    destroy(stack.workspace, on_event=events.append)
    assert stack.shelf.things() == {"id-fixed": foreign}
    assert "another's" in told(events)[0]
    assert not export_state(stack.workspace)["deployment"].get("pending_operations")


@pytest.mark.parametrize("way", ["renamed", "dropped", "freed"])
def test_up_goes_on_once_the_name_is_no_longer_asked_for(stack: Stack, way: str) -> None:
    interrupt(stack, "creating", effect=False)
    put_foreign(stack)
    if way == "freed":
        stack.shelf.remove("id-fixed")
    program = {"renamed": PROGRAM.replace("fixed", "own"), "dropped": "", "freed": PROGRAM}[way]
    up(stack.write(program))
    ours = {"renamed": {"own"}, "dropped": set(), "freed": {"fixed"}}[way]
    there = {one["inputs"]["name"] for one in stack.shelf.things().values()}
    assert there == ours | ({"fixed"} if way != "freed" else set())
    assert not export_state(stack.workspace)["deployment"].get("pending_operations")
    assert not up(stack.workspace).changed


@pytest.mark.parametrize(
    ("kind", "intended", "op"),
    [
        ("creating", "looks for what was made, adopts it, and creates what is missing", Op.CREATE),
        ("updating", "reads what came of it, and changes what still differs", Op.SAME),
        ("deleting", "deletes again what is left", Op.SAME),
    ],
)
def test_a_preview_that_can_ask_nobody_says_what_is_open(
    stack: Stack, kind: str, intended: str, op: Op
) -> None:
    interrupt(stack, kind, effect=True)
    before = export_state(stack.workspace)
    stack.reachable = False
    events: list[Event] = []
    plan = preview(stack.workspace, on_event=events.append)
    (sentence,) = told(events)
    assert sentence.startswith(f"the last run was interrupted while {kind} shelf:index:Thing a;")
    assert "nobody answers" in sentence
    assert sentence.endswith(f"`up` {intended}")
    assert [step.op for step in plan.steps if step.name == "a"] == [op]
    assert export_state(stack.workspace) == before
    with pytest.raises(DeploymentError, match=f"interrupted while {kind}.*nobody answers"):
        up(stack.workspace)
    assert export_state(stack.workspace)["deployment"]["pending_operations"], "nothing is lost"
