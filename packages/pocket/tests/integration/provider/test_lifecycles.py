"""Every type in the table lives through its whole life against an AWS API server.

Checked, previewed, created, read without drift, left alone, changed in place, seen to drift,
imported by id, adopted after a lost answer, replaced and deleted twice: whatever the type, an
engine needs all of these.
"""

import pytest

from pocket.provider.types import TABLE
from pocket.provider.values import plain
from pocket_testing.provider_cases import CASES, Case
from pocket_testing.provider_world import Resource, World


def test_every_type_has_a_case() -> None:
    assert set(CASES) == set(TABLE)


@pytest.mark.parametrize("token", sorted(CASES), ids=lambda token: token.rsplit(":", 1)[1])
def test_lifecycle(token: str, world: World) -> None:
    case = CASES[token]
    inputs = case.inputs(world)
    checked, failures = world.check(token, inputs)
    assert failures == []
    assert set(world.preview(token, checked)) >= {
        k for k in inputs if k in TABLE[token].schema.outputs
    }
    made = world.create(token, inputs)
    assert_no_drift(world, made)
    assert_found(world, made, case)
    if case.change is not None:
        made = assert_changes(world, made, case, inputs)
    if case.replace is not None:
        assert_replaces(world, made, case, inputs)
    assert_goes(world, made, case)


def assert_no_drift(world: World, made: Resource) -> None:
    again = world.read(made)
    assert again is not None
    assert again.id == made.id
    assert plain(again.outputs) == plain(made.outputs)
    assert plain(again.inputs) == plain(made.inputs)
    assert world.diff(made, made.inputs).changes == world.diff(again, made.inputs).changes == 1
    unasked = set(made.outputs.get("tags", {})) - set(made.inputs.get("tags", {}))
    assert not unasked


def assert_found(world: World, made: Resource, case: Case) -> None:
    imported = world.imported(made)
    assert imported is not None
    unimported = {path.split(".")[0] for path in case.unimported}
    differing = set(world.diff(imported, made.inputs).diffs) - unimported
    assert not differing, (differing, imported.inputs)
    adopted = world.adopt(made)
    assert adopted is not None
    assert adopted.id == made.id
    assert plain(adopted.outputs) == plain(made.outputs)


def assert_changes(world: World, made: Resource, case: Case, inputs: dict) -> Resource:
    change = case.change(world) if callable(case.change) else case.change
    wanted, failures = world.check(made.token, {**inputs, **change}, made.inputs)
    assert failures == []
    difference = world.diff(made, wanted)
    assert (difference.changes, list(difference.replaces)) == (2, [])
    assert set(difference.diffs) <= {*change, "tagsAll"}
    ignored = world.diff(made, wanted, tuple(difference.diffs))
    assert ignored.changes == 1
    changed = world.update(made, wanted)
    assert_no_drift(world, changed)
    drifted = world.read(made)  # the state before: what somebody else changed is seen
    assert drifted is not None
    assert world.diff(drifted, made.inputs).changes == 2
    world.made[:] = [changed if each is made else each for each in world.made]
    return changed


def assert_replaces(world: World, made: Resource, case: Case, inputs: dict) -> None:
    difference = world.diff(made, {**made.inputs, **case.replace})
    assert set(case.replace) <= set(difference.replaces)


def assert_goes(world: World, made: Resource, case: Case) -> None:
    world.delete(made)
    if not case.stays:
        assert world.read(made) is None
        assert world.adopt(made) is None
    world.delete(made)
