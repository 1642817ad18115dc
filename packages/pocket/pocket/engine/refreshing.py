"""Reading every resource, and taking what is really there into the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pocket.engine import steps, urns
from pocket.engine.executor import Executor
from pocket.engine.journal import Snapshot
from pocket.engine.providers import Provider, settle
from pocket.engine.scheduler import Scheduler
from pocket.engine.state import ResourceState, now
from pocket.engine.steps import Op, Step


@dataclass(frozen=True)
class Refresher:
    """Reads the resources of a snapshot.

    Args:
        snapshot: the stack's resources, journalled as they change.
        executor: what does the steps, and tells of them.
        scheduler: how many reads go on at once, and until when.
        provider_of: a resource's provider.
    """

    snapshot: Snapshot
    executor: Executor
    scheduler: Scheduler
    provider_of: Callable[[ResourceState], Provider]

    def refresh(self) -> None:
        """Read every resource, and take what is really there into the state.

        Raises:
            DeploymentError: a read failed.
        """
        numbers = [
            number
            for number, state in self.snapshot.states.items()
            if state.custom
            and not urns.is_provider(state.type)
            and not state.pending_replacement
            and state.type != "pulumi:pulumi:StackReference"
        ]
        unordered: list[set[int]] = [set() for _ in numbers]
        self.scheduler.in_order(unordered, lambda index: self._refresh(numbers[index]))
        self.forget_gone()

    def _refresh(self, number: int) -> None:
        state = self.snapshot.states[number]
        self.scheduler.check_running()
        step = Step(Op.REFRESH, state.urn, state.type, state, state, provider=state.provider)
        with self.executor.step(step) as outcome:
            present = self.provider_of(state).read(
                state.urn,
                state.id,
                state.inputs,
                state.outputs,
                state.custom_timeouts.get("read", 0.0),
            )
            if present is None:
                outcome[0] = replace(step, op=Op.DELETE, new=None)
                self.snapshot.commit(drop=[number])
                return
            # Drift is in what a program can say; what else is told changes by itself: an address,
            # once something uses it.
            said = {*state.inputs, *present.inputs}
            diff = steps.by_inputs(
                {key: value for key, value in state.outputs.items() if key in said},
                {key: value for key, value in present.outputs.items() if key in said},
            )
            new = settle(
                replace(state, id=present.id, inputs=present.inputs, outputs=present.outputs)
            )
            outcome[0] = replace(step, op=Op.SAME)
            if diff.changed:
                new = replace(new, modified=now())
                outcome[0] = replace(step, op=Op.UPDATE, new=new, diff=diff)
            if new != state:
                self.snapshot.commit(put={number: new})

    def forget_gone(self) -> None:
        """Take what is gone out of what the other resources refer to."""
        states = self.snapshot.states
        present = {state.urn for state in states.values()}
        kept = {number: state.without_missing(present) for number, state in states.items()}
        changed = {number: state for number, state in kept.items() if state is not states[number]}
        if changed:
            self.snapshot.commit(put=changed)
