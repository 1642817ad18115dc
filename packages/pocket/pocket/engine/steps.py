"""What to do about each resource: pure functions of the old state, the goal and the provider's
answers.

Nothing here calls a provider, takes a lock or writes a file. The executor asks the provider (Check,
Diff), asks this module what follows, and does it; so every rule about replacement, protection and
order can be tested with values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pocket.engine import paths, urns
from pocket.engine.state import ResourceState
from pocket.engine.values import UNKNOWN, Properties, Value, equal, has_unknowns
from pocket.errors import DeploymentError


class Op(StrEnum):
    """Pulumi's names of the steps."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"
    CREATE_REPLACEMENT = "create-replacement"
    DELETE_REPLACED = "delete-replaced"
    READ = "read"
    READ_REPLACEMENT = "read-replacement"
    REFRESH = "refresh"
    DISCARD = "discard"
    REMOVE_PENDING = "remove-pending-replace"


@dataclass(frozen=True)
class Goal:
    """What the program wants one resource to be."""

    urn: str
    type: str
    name: str
    custom: bool
    inputs: Properties
    parent: str = ""
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool | None = None
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: tuple[str, ...] = ()
    replacement_trigger: Value = None
    hide_diff: tuple[str, ...] = ()
    source_position: str = ""
    stack_trace: tuple[Mapping[str, str], ...] = ()

    def state(self, inputs: Properties) -> ResourceState:
        """The new state this goal leads to, before any operation."""
        return ResourceState(
            urn=self.urn,
            type=self.type,
            custom=self.custom,
            inputs=inputs,
            parent=self.parent,
            provider=self.provider,
            dependencies=self.dependencies,
            property_dependencies=self.property_dependencies,
            protect=self.protect,
            ignore_changes=self.ignore_changes,
            replace_on_changes=self.replace_on_changes,
            additional_secret_outputs=self.additional_secret_outputs,
            aliases=self.aliases,
            custom_timeouts=self.custom_timeouts,
            retain_on_delete=self.retain_on_delete,
            deleted_with=self.deleted_with,
            replace_with=self.replace_with,
            replacement_trigger=self.replacement_trigger,
            hide_diff=self.hide_diff,
            source_position=self.source_position,
            stack_trace=self.stack_trace,
        )


@dataclass(frozen=True)
class Diff:
    """A provider's answer about the difference between old and new inputs."""

    changed: bool | None = None
    """None where the provider does not say: then the inputs decide."""
    replace_keys: tuple[str, ...] = ()
    changed_keys: tuple[str, ...] = ()
    detailed: Mapping[str, str] = field(default_factory=dict)
    """Path to ``add``, ``delete``, ``update``, each with ``-replace`` where it forces a
    replacement."""
    delete_before_replace: bool = False

    @property
    def replaces(self) -> bool:
        return bool(self.replace_keys) or any(
            kind.endswith("-replace") for kind in self.detailed.values()
        )


NO_DIFF = Diff(changed=False)


@dataclass(frozen=True)
class Step:
    """One thing done, or to be done, to one resource."""

    op: Op
    urn: str
    type: str
    old: ResourceState | None = None
    new: ResourceState | None = None
    diff: Diff = NO_DIFF
    provider: str = ""
    duration: float = 0.0
    """Seconds it took; 0 in a preview."""
    error: str = ""

    @property
    def name(self) -> str:
        return urns.name_of(self.urn)

    @property
    def keys(self) -> tuple[str, ...]:
        """The properties that differ, by top-level name."""
        found = [*self.diff.changed_keys, *(str(paths.parse(one)[0]) for one in self.diff.detailed)]
        return tuple(dict.fromkeys([*found, *self.diff.replace_keys]))


@dataclass(frozen=True)
class Asked:
    """What Check is asked: the old inputs (None where there is nothing to carry over) and the new;
    and the paths of ``ignoreChanges`` at which a list's length differs, which is not ignored."""

    olds: Properties | None
    news: Properties
    unignored: tuple[str, ...] = ()


def check_inputs(goal: Goal, old: ResourceState | None) -> Asked:
    """What Check is asked about a resource: nothing is carried over to one that takes the place of
    another."""
    if old is None or old.external or old.pending_replacement or old.taint:
        return Asked(None, goal.inputs)
    return Asked(old.inputs, *paths.keep_ignored(old.inputs, goal.inputs, goal.ignore_changes))


def by_inputs(old_inputs: Properties, new_inputs: Properties, ignored: Sequence[str] = ()) -> Diff:
    """The difference of the inputs themselves: for components, and for providers that do not
    say."""
    news, _ = paths.keep_ignored(old_inputs, new_inputs, ignored)
    differences = paths.compare(old_inputs, news)
    return Diff(
        changed=bool(differences),
        changed_keys=tuple(dict.fromkeys(str(path[0]) for path in differences if path)),
        detailed={paths.render(path): kind for path, kind in differences.items()},
    )


def complete(diff: Diff, old: ResourceState, inputs: Properties, ignored: Sequence[str]) -> Diff:
    """The provider's answer, or the difference of the inputs where it gave none."""
    return by_inputs(old.inputs, inputs, ignored) if diff.changed is None else diff


def force_replacements(diff: Diff, selectors: Iterable[str]) -> Diff:
    """The difference under ``replaceOnChanges``: a change at or below a selector replaces.

    Raises:
        DeploymentError: a selector is not a property path.
    """
    try:
        chosen = [paths.parse(one) for one in selectors]
    except ValueError as error:
        raise DeploymentError(
            f"replace_on_changes: {error}",
            fix="Write one such as size, tags.owner or rules[*].port.",
        ) from None
    if not diff.changed or not chosen:
        return diff

    def forced(text: str) -> bool:
        return any(paths.contains(selector, paths.parse(text)) for selector in chosen)

    detailed = {
        path: f"{kind}-replace" if forced(path) and not kind.endswith("-replace") else kind
        for path, kind in diff.detailed.items()
    }
    keys = [*diff.replace_keys, *(key for key in diff.changed_keys if forced(key))]
    return replace(diff, detailed=detailed, replace_keys=tuple(dict.fromkeys(keys)))


def because(key: str) -> Diff:
    """A replacement that a rule of the engine demands, under the name that Pulumi blames."""
    return Diff(changed=True, replace_keys=(key,))


def trigger_fired(old: ResourceState, goal: Goal) -> bool:
    """Whether ``replacementTrigger`` has changed: an unknown counts as changed, its first
    appearance does not."""
    new = goal.replacement_trigger
    if new is None or old.replacement_trigger is None:
        return False
    return has_unknowns(new) or not equal(new, old.replacement_trigger)


@dataclass(frozen=True)
class Decision:
    """What follows for a resource: ``same``, ``create``, ``update`` or ``replace``."""

    op: Op
    diff: Diff = NO_DIFF
    delete_first: bool = False


def decide(goal: Goal, old: ResourceState | None, diff: Diff) -> Decision:
    """What to do about a registered resource.

    Args:
        goal: what the program wants.
        old: what there is, or None.
        diff: the (complete) difference between the two; not looked at where there is nothing old.

    Raises:
        DeploymentError: the resource would be replaced and is protected.
    """
    if old is None:
        return Decision(Op.CREATE)
    if old.pending_replacement:
        return Decision(Op.REPLACE, diff, delete_first=True)
    if old.external:
        return Decision(Op.REPLACE, because("id"))
    diff = force_replacements(diff, goal.replace_on_changes)
    if diff.changed and diff.replaces:
        refuse_replacing(goal, old)
        first = (
            diff.delete_before_replace
            if goal.delete_before_replace is None
            else goal.delete_before_replace
        )
        return Decision(Op.REPLACE, diff, delete_first=first)
    if diff.changed or old.init_errors:
        return Decision(Op.UPDATE, diff)
    return Decision(Op.SAME)


def refuse_replacing(goal: Goal, old: ResourceState) -> None:
    if goal.protect and old.protect:
        raise DeploymentError(
            "it would be replaced, and it is protected",
            where=goal.urn,
            fix="Undo what replaces it, or set `protect=False`, run `up`, and then change it.",
        )


def refuse_condemning(state: ResourceState, because_of: str) -> None:
    """Refuse to delete a protected resource together with one that is replaced."""
    if state.protect:
        raise DeploymentError(
            f"it would be replaced together with {because_of}, and it is protected",
            where=state.urn,
            fix="Set `protect=False` on it and run `up` first, or undo the change.",
        )


def refuse_claimed(
    urn: str, former: str, claimed: Mapping[str, str], started: Collection[str]
) -> None:
    """Refuse that two resources go on from one: each by an alias, or one by its own name.

    Args:
        urn: the resource that the program registers.
        former: the URN of the old state that it goes on from; its own where there is none.
        claimed: URNs of the old state, and the resources that go on from them.
        started: what the program has registered.
    """
    other = claimed.get(urn) or claimed.get(former)
    if other is None and former != urn and former in started:
        other = former
    if other is not None:
        raise DeploymentError(
            f"this resource and {other} both claim to have been {former}",
            where=urn,
            fix="Take the alias out of the one that is new.",
        )


def blamed_on_companions(goal: Goal, replaced: Iterable[str]) -> Diff | None:
    """A replacement because of ``replaceWith``, or None."""
    return because("replaceWith") if set(replaced) & set(goal.replace_with) else None


AskDiff = Callable[[ResourceState, Properties], Diff]
"""Asks a resource's provider for the difference that new inputs would make."""


def cascade(
    root: ResourceState, olds: Sequence[ResourceState], settled: set[str], ask: AskDiff
) -> list[tuple[ResourceState, Diff]]:
    """The resources that must be deleted before a resource that is deleted before it is replaced.

    A dependent goes too when it would itself be replaced if the properties that come from the
    condemned resource were unknown; or when its provider is condemned. What is deleted with the
    resource stays, as with the Pulumi CLI.

    Args:
        root: the resource to be deleted first.
        olds: the old state, in its order (what a resource needs stands before it).
        settled: URNs that this run has already decided about; they are not touched again.
        ask: the provider's Diff.

    Returns:
        the dependents and their differences, in the order of the state: delete them from the end.
    """
    condemned = {root.urn}
    found: list[tuple[ResourceState, Diff]] = []
    for state in olds:
        if state.urn in settled or state.urn in condemned or state.delete:
            continue
        if not state.custom or state.external:
            continue
        diff = fate(state, condemned, ask)
        if diff is not None and diff.replaces:
            found.append((state, diff))
            condemned.add(state.urn)
    return found


def fate(state: ResourceState, condemned: set[str], ask: AskDiff) -> Diff | None:
    """The difference that losing the condemned resources makes to one that may depend on them."""
    if state.provider and urns.split_reference(state.provider)[0] in condemned:
        return because("provider")
    touched = {
        key
        for key, several in state.property_dependencies.items()
        if condemned & set(several) and key in state.inputs
    }
    if not touched:
        return None
    inputs = {key: UNKNOWN if key in touched else value for key, value in state.inputs.items()}
    diff = complete(ask(state, inputs), state, inputs, state.ignore_changes)
    return force_replacements(diff, state.replace_on_changes)


def deletions(leftover: Sequence[ResourceState]) -> list[Step]:
    """The steps for what the program no longer wants, in the reverse order of the state.

    Raises:
        DeploymentError: some are protected; all of them are named.
    """
    leftover = list(leftover)
    protected = [state.urn for state in leftover if state.protect and not state.delete]
    if protected:
        raise DeploymentError(
            f"{len(protected)} protected resource(s) would be deleted: {', '.join(protected)}",
            where=protected[0],
            fix="Keep them in the program, or set `protect=False` and run `up` first.",
        )
    return [deletion(state) for state in reversed(leftover)]


def deletion(state: ResourceState) -> Step:
    """The step that removes one resource."""
    if state.pending_replacement:
        op = Op.REMOVE_PENDING
    elif state.external:
        op = Op.DISCARD
    else:
        op = Op.DELETE_REPLACED if state.delete else Op.DELETE
    return Step(op, state.urn, state.type, old=state, provider=state.provider)


def needs_provider(step: Step, going: set[str]) -> bool:
    """Whether a deletion calls the provider, or only forgets the resource.

    Args:
        step: the deletion.
        going: the URNs deleted in the same run: what is deleted with one of them goes by itself.
    """
    state = step.old
    if state is None or step.op not in (Op.DELETE, Op.DELETE_REPLACED):
        return False
    kept = state.retain_on_delete or state.deleted_with in going
    return state.custom and not urns.is_provider(state.type) and not kept


def waits(leaving: Sequence[ResourceState]) -> list[set[int]]:
    """For each resource to be deleted, the indexes of those that must be gone before it: what
    depends on it."""
    at: dict[str, list[int]] = {}
    for index, state in enumerate(leaving):
        at.setdefault(state.urn, []).append(index)
    before: list[set[int]] = [set() for _ in leaving]
    for index, state in enumerate(leaving):
        for urn in state.all_dependencies():
            for needed in at.get(urn, ()):
                if needed != index:
                    before[needed].add(index)
    return before
