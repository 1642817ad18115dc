"""What an interrupted run left open, found out before anything else is decided.

The journal knows that an operation began, and not whether its call was sent. So each is looked at:
what was created is adopted, if it is ours; what may have changed is read; a deletion is done again,
which is harmless. A preview asks the same where it can, and where it cannot (previews need no
credentials) says what is open and what `up` will do about it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import grpc

from pocket.engine import urns
from pocket.engine.calls import ProviderError
from pocket.engine.events import Diagnostic, Listener
from pocket.engine.executor import message_of
from pocket.engine.journal import Snapshot
from pocket.engine.providers import Provider, ReadResult, settle
from pocket.engine.state import Operation, OperationKind, ResourceState, now
from pocket.errors import DeploymentError

INTENDED: dict[OperationKind, str] = {
    "creating": "looks for what was made, adopts it, and creates what is missing",
    "updating": "reads what came of it, and changes what still differs",
    "deleting": "deletes again what is left",
    "reading": "reads again",
}
"""What `up` does about an operation that was interrupted."""

ASK_AGAIN = "Once the provider can be asked again, run the same command again."
NAMED = 5
"""How many resources of a kind a sentence names."""


@dataclass
class Recovery:
    """Settles the pending operations of a snapshot.

    Args:
        snapshot: the stack's resources and pending operations.
        dry_run: ask, and change nothing outside.
        listener: told of what is found.
        provider_of: the provider of a resource in the state.
    """

    snapshot: Snapshot
    dry_run: bool
    listener: Listener
    provider_of: Callable[[ResourceState], Provider]
    foreign: dict[str, int] = field(default_factory=dict)
    """Pending creations, by URN, in whose place something stands that is not ours."""

    def settle(self) -> None:
        """Find out how each operation ended.

        Raises:
            DeploymentError: a provider could not say; a preview goes on.
        """
        unasked: dict[str, list[Operation]] = defaultdict(list)
        silent: dict[str, str] = {}
        for number, operation in list(self.snapshot.pending.items()):
            state = operation.resource
            self.listener(Diagnostic("info", f"was interrupted while {operation.kind}", state.urn))
            if state.provider not in silent:
                try:
                    self._find_out(number, operation)
                    continue
                except (ProviderError, DeploymentError) as failure:
                    if not self.dry_run:
                        raise unsettled(operation, failure) from failure
                    silent[state.provider] = message_of(failure)
            unasked[silent[state.provider]].append(operation)
        for reason, operations in unasked.items():
            self._tell_pending(reason, operations)

    def refuse_foreign(self, state: ResourceState, provider: Provider) -> None:
        """Before a creation that was interrupted is done again: is its place free by now?

        Raises:
            DeploymentError: something stands there that is not ours.
        """
        operation = self.foreign.get(state.urn)
        if operation is None:
            return
        try:
            provider.read(state.urn, "", state.inputs, {})
        except ProviderError as failure:
            raise DeploymentError(failure.message, where=state.urn, fix=failure.fix) from failure
        self._forget(state.urn, operation)

    def forget_foreign(self) -> None:
        """Drop the creations in others' places that the program no longer asks for."""
        for urn, operation in list(self.foreign.items()):
            self._forget(urn, operation)

    def _forget(self, urn: str, operation: int) -> None:
        self.snapshot.commit(operation)
        del self.foreign[urn]

    def _find_out(self, number: int, operation: Operation) -> None:
        state = operation.resource
        if operation.kind == "creating":
            self._adopt(number, state)
        elif operation.kind == "deleting" and not self.dry_run:
            self.provider_of(state).delete(state)
            self.snapshot.commit(number, drop=self._versions(state))
        else:
            self._look_again(number, state)

    def _adopt(self, operation: int, state: ResourceState) -> None:
        """Take a resource over that was created without anybody hearing of it, if it was."""
        try:
            found = self._find(state)
        except ProviderError as failure:
            if failure.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            self.foreign[state.urn] = operation
            self.listener(Diagnostic("warning", f"was not adopted: {failure.message}", state.urn))
            return
        twins = [at for at, one in self.snapshot.states.items() if one.urn == state.urn]
        if found is None or found.id in {self.snapshot.states[at].id for at in twins}:
            self.snapshot.commit(operation)
            return
        moment = now()
        new = settle(
            replace(
                state,
                id=found.id,
                inputs=found.inputs,  # not those asked for: it may have come half way
                outputs=found.outputs,
                created=moment,
                modified=moment,
            )
        )
        self.listener(Diagnostic("info", f"adopted {found.id}", state.urn))
        put, drop = {}, []
        for at in twins:
            twin = self.snapshot.states[at]
            if twin.pending_replacement:
                drop.append(at)
            elif not twin.delete:
                put[at] = replace(twin, delete=True)
        self.snapshot.commit(operation, add=new, put=put, drop=drop)

    def _find(self, state: ResourceState) -> ReadResult | None:
        """Ask the provider for what an interrupted creation may have left."""
        try:
            return self.provider_of(state).read(state.urn, "", state.inputs, {})
        except ProviderError as failure:
            if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise
        told = "its creation was interrupted, and its provider cannot look for it"
        self.listener(Diagnostic("warning", told, state.urn))
        return None

    def _look_again(self, operation: int, state: ResourceState) -> None:
        """Read a resource that may have been changed, or half deleted."""
        for at in self._versions(state):
            current = self.snapshot.states[at]
            # What was being written is there or not, in the words in which it was asked for: in
            # others it would look changed, and be written again.
            asked = {**current.inputs, **state.inputs}
            found = self.provider_of(current).read(current.urn, current.id, asked, current.outputs)
            if found is None:
                self.snapshot.commit(drop=[at])
            else:
                new = settle(replace(current, inputs=found.inputs, outputs=found.outputs))
                self.snapshot.commit(put={at: new})
        self.snapshot.commit(operation)

    def _versions(self, state: ResourceState) -> list[int]:
        """The entries of the state that are this very resource: same URN, same id."""
        return [
            at
            for at, one in self.snapshot.states.items()
            if (one.urn, one.id) == (state.urn, state.id)
        ]

    def _tell_pending(self, reason: str, operations: list[Operation]) -> None:
        """Say what is open and what `up` does about it, in a sentence for each kind."""
        kinds: dict[OperationKind, list[str]] = defaultdict(list)
        for operation in operations:
            kinds[operation.kind].append(operation.resource.urn)
        for kind, several in kinds.items():
            told = (
                f"the last run was interrupted while {kind} {listed(several)}; what came of it"
                f" cannot be asked here ({reason}), so this preview takes it as undone:"
                f" `up` {INTENDED[kind]}"
            )
            self.listener(Diagnostic("warning", told, several[0] if len(several) == 1 else ""))


def unsettled(operation: Operation, failure: ProviderError | DeploymentError) -> DeploymentError:
    """The failure to find out how an operation ended."""
    return DeploymentError(
        f"it was interrupted while {operation.kind}, and what came of it could not be found out:"
        f" {message_of(failure)}",
        where=operation.resource.urn,
        fix=failure.fix or ASK_AGAIN,
    )


def listed(several: list[str]) -> str:
    """The resources of these URNs, as a sentence names them."""
    names = [f"{urns.type_of(urn)} {urns.name_of(urn)}" for urn in several[:NAMED]]
    more = f" and {len(several) - NAMED} more" if len(several) > NAMED else ""
    return f"{', '.join(names)}{more}"
