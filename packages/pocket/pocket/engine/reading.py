"""Resources that somebody else manages, read into the stack (``Resource.get``, StackReference)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pocket.engine.executor import Executor
from pocket.engine.journal import Snapshot
from pocket.engine.providers import Provider, ReadResult, settle
from pocket.engine.state import now
from pocket.engine.steps import Goal, Op, Step
from pocket.engine.values import Properties, has_secrets, is_unknown
from pocket.errors import DeploymentError


@dataclass(frozen=True)
class Reader:
    """Reads what a program asks for by its id.

    Args:
        snapshot: the stack's resources, journalled as they change.
        executor: what does the steps, and tells of them.
        provider_of: the provider that a reference names.
        stack_outputs: gives the outputs of another stack by its name, for StackReference.
    """

    snapshot: Snapshot
    executor: Executor
    provider_of: Callable[[str], Provider]
    stack_outputs: Callable[[str], Properties]

    def read(self, goal: Goal, number: int | None, identity: str) -> int:
        """Read one resource into the snapshot.

        Args:
            goal: what the program asks for.
            number: the state that the program had of it, or None.
            identity: the resource's id.

        Returns:
            the number of its new state.

        Raises:
            DeploymentError: there is no such resource.
        """
        old = None if number is None else self.snapshot.states[number]
        mine = old is not None and not old.external
        step = Step(
            Op.READ_REPLACEMENT if mine else Op.READ,
            goal.urn,
            goal.type,
            old,
            replace(goal.state(goal.inputs), id=identity, external=True),
            provider=goal.provider,
        )
        assert step.new is not None
        with self.executor.step(step) as outcome:
            new = step.new
            if not is_unknown(identity):
                present = self._look_up(goal, identity)
                new = settle(replace(new, id=present.id, outputs=present.outputs))
                if old is not None:
                    same = (old.inputs, old.outputs) == (new.inputs, new.outputs)
                    moment = old.modified if same else now()
                    new = replace(new, created=old.created, modified=moment)
            outcome[0] = replace(step, new=new)
            if mine and old is not None and number is not None:
                return self.snapshot.commit(add=new, put={number: replace(old, delete=True)})
            return self.snapshot.commit(add=new, drop=[] if number is None else [number])

    def _look_up(self, goal: Goal, identity: str) -> ReadResult:
        if goal.type == "pulumi:pulumi:StackReference":
            return self._look_up_stack(goal)
        provider = self.provider_of(goal.provider)
        timeout = goal.custom_timeouts.get("read", 0.0)
        present = provider.read(goal.urn, identity, goal.inputs, goal.inputs, timeout)
        if present is None:
            raise DeploymentError(
                f"there is no {goal.type} with the id {identity!r}",
                where=goal.urn,
                fix="Correct the id, or create the resource in this program.",
            )
        return present

    def _look_up_stack(self, goal: Goal) -> ReadResult:
        name = str(goal.inputs.get("name") or goal.name)
        outputs = self.stack_outputs(name)
        hidden = [key for key, value in sorted(outputs.items()) if has_secrets(value)]
        answer: Properties = {"name": name, "outputs": outputs, "secretOutputNames": hidden}
        return ReadResult(name, goal.inputs, answer)
