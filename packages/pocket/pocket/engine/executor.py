"""Does the steps: calls the provider, journals before and after, tells who listens.

A step's operation is recorded as pending before the provider is called and its result after. Where
a provider fails without saying what it had done by then, the operation stays pending, and the next
run looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pocket.engine.calls import ProviderError
from pocket.engine.events import Failed, Listener, ResourceOutputs, ResourcePre
from pocket.engine.journal import Snapshot
from pocket.engine.providers import Provider, settle
from pocket.engine.state import ResourceState, now
from pocket.engine.steps import Step
from pocket.errors import DeploymentError


@dataclass
class Executor:
    """Applies steps to a snapshot.

    Args:
        snapshot: the state being changed.
        dry_run: plan only: providers are asked to preview, nothing is changed or recorded.
        listener: told of each step.
    """

    snapshot: Snapshot
    dry_run: bool
    listener: Listener
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, step: Step) -> Iterator[list[Step]]:
        """Around one step: events, duration, and a failure as an error of ours.

        Yields:
            a list whose one step may be replaced by its completed form.

        Raises:
            DeploymentError: the provider failed.
        """
        self.listener(ResourcePre(step))
        started = time.perf_counter()
        outcome = [step]
        try:
            yield outcome
        except (ProviderError, DeploymentError) as failure:
            error = as_error(failure, step)
            failed = replace(outcome[0], error=error.what, duration=time.perf_counter() - started)
            self.steps.append(failed)
            self.listener(Failed(failed, error.what))
            raise error from failure
        done = replace(outcome[0], duration=0.0 if self.dry_run else time.perf_counter() - started)
        self.steps.append(done)
        self.listener(ResourceOutputs(done))

    def same(self, step: Step, number: int) -> int:
        """Carry a resource over: its new description, its old id and outputs."""
        assert step.old is not None
        assert step.new is not None
        old = step.old
        new = replace(
            step.new,
            id=old.id,
            outputs=old.outputs,
            created=old.created,
            modified=old.modified,
            refresh_before_update=old.refresh_before_update,
        )
        with self.step(replace(step, new=new)):
            return self.snapshot.commit(add=new, drop=[number])

    def create(
        self,
        step: Step,
        provider: Provider | None,
        *,
        put: dict[int, ResourceState] | None = None,
        drop: tuple[int, ...] = (),
    ) -> int:
        """Create a resource.

        Args:
            step: with the new state.
            provider: None for what only the engine keeps (components, provider resources).
            put: old states to change in the same commit (one that is now to be deleted).
            drop: old states that this one takes the place of.
        """
        assert step.new is not None
        with self.step(step) as outcome:
            operation = None
            if provider is not None and not self.dry_run:
                operation = self.snapshot.begin("creating", step.new)
            new = step.new
            if provider is not None:
                try:
                    identity, outputs = provider.create(new, preview=self.dry_run)
                except ProviderError as failure:
                    self._after_failure(operation, new, failure, put, drop)
                    raise
                new = settle(replace(new, id=identity, outputs=outputs))
            moment = now()
            new = replace(new, created=moment, modified=moment)
            outcome[0] = replace(step, new=new)
            return self.snapshot.commit(operation, add=new, put=put, drop=drop)

    def update(self, step: Step, provider: Provider | None, number: int) -> int:
        """Change a resource in place."""
        assert step.old is not None
        assert step.new is not None
        old = step.old
        new = replace(step.new, id=old.id, created=old.created, modified=old.modified)
        with self.step(step) as outcome:
            operation = None
            if provider is None:
                new = replace(new, outputs=old.outputs)
            else:
                if not self.dry_run:
                    operation = self.snapshot.begin("updating", replace(new, outputs=old.outputs))
                try:
                    outputs = provider.update(old, new, new.ignore_changes, preview=self.dry_run)
                except ProviderError as failure:
                    self._after_failure(operation, new, failure, None, (number,))
                    raise
                new = settle(replace(new, outputs=outputs, modified=now()))
            outcome[0] = replace(step, new=new)
            return self.snapshot.commit(operation, add=new, drop=[number])

    def delete(
        self, step: Step, provider: Provider | None, number: int, *, remains: bool = False
    ) -> None:
        """Remove a resource, or only forget it where there is no provider to call.

        Args:
            step: with the old state.
            provider: None where nothing is to be deleted outside.
            number: the state's.
            remains: keep it as "deleted, to be created again" (delete before replace).
        """
        assert step.old is not None
        old = step.old
        with self.step(step):
            operation = None
            if provider is not None and not self.dry_run:
                operation = self.snapshot.begin("deleting", old)
                try:
                    provider.delete(old)
                except ProviderError:
                    # It may be half gone: the next run looks at it before it decides anything.
                    self.snapshot.commit(operation)
                    self.snapshot.begin("updating", old)
                    raise
            if remains:
                kept = replace(old, pending_replacement=True, delete=False)
                self.snapshot.commit(operation, put={number: kept})
            else:
                self.snapshot.commit(operation, drop=[number])

    def note(self, step: Step) -> None:
        """A step that stands for others and does nothing itself (the middle of a replacement)."""
        with self.step(step):
            pass

    def _after_failure(
        self,
        operation: int | None,
        new: ResourceState,
        failure: ProviderError,
        put: dict[int, ResourceState] | None,
        drop: tuple[int, ...],
    ) -> None:
        """Record what is known after a failed creation or update."""
        if operation is None:
            return
        if failure.partial is not None:
            broken = settle(
                replace(
                    new,
                    id=failure.partial.id or new.id,
                    outputs=failure.partial.outputs,
                    init_errors=failure.partial.reasons,
                    modified=now(),
                )
            )
            self.snapshot.commit(operation, add=broken, put=put, drop=drop)
        elif failure.had_no_effect:
            self.snapshot.commit(operation)


def as_error(failure: ProviderError | DeploymentError, step: Step) -> DeploymentError:
    """A failure of a step with what, where and what to do."""
    if isinstance(failure, DeploymentError):
        if failure.where:
            return failure
        return DeploymentError(failure.what, where=step.urn, fix=failure.fix)
    verb = step.op.value.split("-")[0]
    return DeploymentError(
        f"{verb} failed: {failure.message}",
        where=step.urn,
        fix=failure.fix
        or "What was done until then is saved; correct the cause and run the same command again.",
    )


def message_of(failure: ProviderError | DeploymentError) -> str:
    """What a failure says, on one line."""
    said = failure.what if isinstance(failure, DeploymentError) else failure.message
    return " ".join(said.split())
