"""Step generation with values alone: what follows from an old state, a goal and a difference."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocket.engine import steps
from pocket.engine.state import ResourceState
from pocket.engine.steps import Asked, Decision, Diff, Goal, Op
from pocket.engine.values import UNKNOWN
from pocket.errors import DeploymentError

PREFIX = "urn:pulumi:dev::demo::shelf:index:Thing::"
OLD = ResourceState(PREFIX + "a", "shelf:index:Thing", custom=True, id="1", inputs={"size": 1})
GOAL = Goal(PREFIX + "a", "shelf:index:Thing", "a", True, {"size": 2})
UPDATE = Diff(changed=True, changed_keys=("size",), detailed={"size": "update"})
REPLACE = Diff(changed=True, replace_keys=("size",), changed_keys=("size",))


@pytest.mark.parametrize(
    ("goal", "old", "diff", "expected"),
    [
        (GOAL, None, steps.NO_DIFF, Decision(Op.CREATE)),
        (GOAL, OLD, steps.NO_DIFF, Decision(Op.SAME)),
        (GOAL, OLD, UPDATE, Decision(Op.UPDATE, UPDATE)),
        (GOAL, OLD, REPLACE, Decision(Op.REPLACE, REPLACE)),
        (
            GOAL,
            OLD,
            replace(REPLACE, delete_before_replace=True),
            Decision(Op.REPLACE, replace(REPLACE, delete_before_replace=True), True),
        ),
        (
            replace(GOAL, delete_before_replace=False),
            OLD,
            replace(REPLACE, delete_before_replace=True),
            Decision(Op.REPLACE, replace(REPLACE, delete_before_replace=True), False),
        ),
        (
            replace(GOAL, delete_before_replace=True),
            OLD,
            REPLACE,
            Decision(Op.REPLACE, REPLACE, True),
        ),
        (
            GOAL,
            replace(OLD, pending_replacement=True),
            UPDATE,
            Decision(Op.REPLACE, UPDATE, True),
        ),
        (GOAL, replace(OLD, external=True), UPDATE, Decision(Op.REPLACE, steps.because("id"))),
        (
            GOAL,
            replace(OLD, init_errors=("slow",)),
            steps.NO_DIFF,
            Decision(Op.UPDATE, steps.NO_DIFF),
        ),
    ],
)
def test_decide(goal: Goal, old: ResourceState | None, diff: Diff, expected: Decision) -> None:
    assert steps.decide(goal, old, diff) == expected


def test_a_protected_resource_is_not_replaced() -> None:
    protected = replace(OLD, protect=True)
    with pytest.raises(DeploymentError, match="protected"):
        steps.decide(replace(GOAL, protect=True), protected, REPLACE)
    assert steps.decide(GOAL, protected, REPLACE).op is Op.REPLACE


def test_what_check_is_asked() -> None:
    goal = replace(GOAL, ignore_changes=("size",))
    assert steps.check_inputs(goal, None) == Asked(None, {"size": 2})
    assert steps.check_inputs(goal, OLD) == Asked({"size": 1}, {"size": 1})
    for mark in ("pending_replacement", "external", "taint"):
        old = replace(OLD, **{mark: True})
        assert steps.check_inputs(goal, old) == Asked(None, {"size": 2})


def test_replace_on_changes_selects_by_path() -> None:
    diff = Diff(
        changed=True,
        changed_keys=("tags", "size"),
        detailed={"tags.owner": "update", "size": "add"},
    )
    assert not steps.force_replacements(diff, ["tags.team"]).replaces
    forced = steps.force_replacements(diff, ["tags.*"])
    assert forced.detailed == {"tags.owner": "update-replace", "size": "add"}
    assert steps.force_replacements(diff, ["tags"]).replace_keys == ("tags",)
    assert not steps.force_replacements(steps.NO_DIFF, ["*"]).replaces


def test_a_provider_that_does_not_say_leaves_it_to_the_inputs() -> None:
    assert steps.complete(Diff(), OLD, {"size": 1}, ()) == Diff(changed=False)
    assert steps.complete(Diff(), OLD, {"size": 3}, ()).changed_keys == ("size",)
    assert not steps.complete(Diff(), OLD, {"size": 3}, ("size",)).changed


@pytest.mark.parametrize(
    ("before", "after", "fires"),
    [(None, 1, False), (1, None, False), (1, 1, False), (1, 2, True), (1, UNKNOWN, True)],
)
def test_replacement_trigger(before: object, after: object, fires: bool) -> None:
    old = replace(OLD, replacement_trigger=before)
    assert steps.trigger_fired(old, replace(GOAL, replacement_trigger=after)) is fires


def thing(name: str, *needs: str, **fields: object) -> ResourceState:
    urns = tuple(PREFIX + one for one in needs)
    given_fields = {"inputs": {"link": 1}, "property_dependencies": {"link": urns}, **fields}
    return ResourceState(
        PREFIX + name, "shelf:index:Thing", True, name, dependencies=urns, **given_fields
    )  # type: ignore[arg-type]


def test_a_cascade_takes_those_that_would_be_replaced_and_no_others() -> None:
    olds = [
        thing("a"),
        thing("b", "a"),
        thing("c", "a"),
        thing("d", "b"),
        thing("e"),
        thing("f", deleted_with=PREFIX + "a"),
        thing("g", "a", replace_on_changes=("link",)),
    ]

    def ask(state: ResourceState, inputs: dict[str, object]) -> Diff:
        assert inputs == {"link": UNKNOWN}
        replaced = state.name in ("b", "d")
        return Diff(
            changed=True, changed_keys=("link",), replace_keys=("link",) if replaced else ()
        )

    found = [state.name for state, _ in steps.cascade(olds[0], olds, set(), ask)]
    assert found == ["b", "d", "g"]
    settled = {PREFIX + "b"}
    assert [one.name for one, _ in steps.cascade(olds[0], olds, settled, ask)] == ["g"]


def test_deletions_name_every_protected_resource() -> None:
    with pytest.raises(DeploymentError, match=r"2 protected.*::a, .*::c"):
        steps.deletions([thing("a", protect=True), thing("b"), thing("c", protect=True)])


def test_what_is_only_forgotten() -> None:
    def called(state: ResourceState, *going: str) -> bool:
        return steps.needs_provider(steps.deletion(state), {PREFIX + one for one in going})

    assert called(thing("a"))
    assert called(thing("a", delete=True))
    assert not called(thing("a", retain_on_delete=True))
    assert not called(thing("a", external=True))
    assert not called(thing("a", pending_replacement=True))
    assert not called(replace(thing("a"), custom=False))
    assert called(thing("a", deleted_with=PREFIX + "b"))
    assert not called(thing("a", deleted_with=PREFIX + "b"), "b")


@st.composite
def graphs(draw: st.DrawFn) -> list[ResourceState]:
    size = draw(st.integers(1, 8))
    return [
        thing(str(at), *(str(other) for other in range(at) if draw(st.booleans())))
        for at in range(size)
    ]


@given(graphs())
def test_deletions_wait_for_exactly_their_dependents(states: list[ResourceState]) -> None:
    before = steps.waits(states)
    for at, state in enumerate(states):
        needing = {other for other, one in enumerate(states) if state.urn in one.all_dependencies()}
        assert before[at] == needing
