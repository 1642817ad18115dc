"""One run over one stack: registrations as they come from the program, then what the program no
longer wants.

The program's own threads are what runs steps in parallel: the SDK registers a resource from a
thread of its pool once everything that the resource needs has settled, and the call returns when
the step is done. So dependencies need no second scheduler; only deletions, which have no program to
order them, bring their own.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from pocket.engine import steps, urns
from pocket.engine.calls import ProviderError
from pocket.engine.config import Config
from pocket.engine.events import Diagnostic, Listener
from pocket.engine.executor import Executor, as_error
from pocket.engine.journal import Snapshot
from pocket.engine.known_providers import Identity, KnownProviders
from pocket.engine.providers import UNKNOWN_ID, Provider, Registry
from pocket.engine.reading import Reader
from pocket.engine.recovery import Recovery
from pocket.engine.refreshing import Refresher
from pocket.engine.scheduler import Scheduler
from pocket.engine.state import ResourceState, now
from pocket.engine.steps import Diff, Goal, Op, Step
from pocket.engine.values import Properties, equal, has_secrets
from pocket.errors import DeploymentError


@dataclass
class Run:
    """The state of one run.

    Args:
        identity: project and stack.
        snapshot: the stack's resources, journalled as they change.
        registry: the providers.
        config: the stack's configuration (default providers are configured from it).
        dry_run: plan only.
        listener: told of everything.
        parallel: how many deletions and reads go on at once.
        stack_outputs: gives the outputs of another stack by its name, for StackReference.
    """

    identity: Identity
    snapshot: Snapshot
    registry: Registry
    config: Config
    dry_run: bool
    listener: Listener
    parallel: int
    stack_outputs: Callable[[str], Properties]
    providers: KnownProviders = field(init=False)
    executor: Executor = field(init=False)
    recovery: Recovery = field(init=False)
    scheduler: Scheduler = field(init=False)
    root_outputs: tuple[str, Properties] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.providers = KnownProviders(
            self.identity, self.snapshot, self.registry, self.config, register=self.register
        )
        self.executor = Executor(self.snapshot, self.dry_run, self.listener)
        self.recovery = Recovery(
            self.snapshot, self.dry_run, self.listener, provider_of=self.providers.former
        )
        self.scheduler = Scheduler(self.identity.stack, 1 if self.dry_run else self.parallel)
        self._refresher = Refresher(
            self.snapshot, self.executor, self.scheduler, provider_of=self.providers.former
        )
        self._reader = Reader(
            self.snapshot,
            self.executor,
            provider_of=self.providers.of,
            stack_outputs=self.stack_outputs,
        )
        self._lock = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._started: set[str] = set()
        self._replaced: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._claimed: dict[str, str] = {}
        self._condemned: dict[int, threading.Event] = {}
        self._cascaded: dict[str, Diff] = {}
        self._deleted_first: set[str] = set()
        self._olds = {
            state.urn: number for number, state in self.snapshot.states.items() if not state.delete
        }

    # --- registrations -------------------------------------------------------------------------

    def register(self, goal: Goal, aliases: Iterable[urns.Alias] = ()) -> ResourceState:
        """Bring one resource to what the program wants.

        Returns:
            its state afterwards (in a preview: as far as it can be known).

        Raises:
            DeploymentError: it failed; the first failure of a run is kept in `failure`.
            StoppedError: the run has already failed.
        """
        goal, number = self._claim(goal, aliases)
        self._await_condemned(number)
        try:
            new = self._bring_about(goal, number)
        except (DeploymentError, ProviderError) as failure:
            raise self.fail(as_error(failure, Step(Op.SAME, goal.urn, goal.type))) from failure
        with self._lock:
            self._numbers[goal.urn] = new
            return self.snapshot.states[new]

    def _claim(self, goal: Goal, aliases: Iterable[urns.Alias]) -> tuple[Goal, int | None]:
        """Take hold of the URN and of the old state behind it (found by the URN or by an alias)."""
        with self._lock:
            self.check_running()
            if goal.urn in self._started:
                raise self.fail(
                    DeploymentError(
                        "two resources of the program have this URN",
                        where=goal.urn,
                        fix="Give one of them another name or another parent.",
                    )
                )
            self._started.add(goal.urn)
            former = urns.former_urns(goal.urn, goal.parent, aliases, self._renamed)
            goal = replace(goal, aliases=tuple(former))
            urn = next((one for one in (goal.urn, *former) if one in self._olds), None)
            try:
                steps.refuse_claimed(goal.urn, urn or goal.urn, self._claimed, self._started)
            except DeploymentError as failure:
                raise self.fail(failure) from None
            if urn is None:
                return goal, None
            self._claimed[urn] = goal.urn
            if urn != goal.urn:
                self._renamed[goal.urn] = urn
            return goal, self._olds[urn]

    @property
    def failure(self) -> DeploymentError | None:
        """The first failure of the run."""
        return self.scheduler.failure

    def check_running(self) -> None:
        """
        Raises:
            StoppedError: the run has failed.
        """
        self.scheduler.check_running()

    def interrupt(self) -> None:
        """Begin nothing more; what has begun ends, and is saved."""
        self.scheduler.interrupt()

    def fail(self, error: DeploymentError) -> DeploymentError:
        """Keep the run's first failure; nothing is begun after it."""
        return self.scheduler.fail(error)

    def _bring_about(self, goal: Goal, number: int | None) -> int:
        old = None if number is None else self.snapshot.states[number]
        if urns.is_provider(goal.type):
            return self._bring_provider_about(goal, number, old)
        provider = self.providers.of(goal.provider) if goal.custom else None
        asked, seed = self._asked(goal, old), os.urandom(32)
        inputs = asked.news
        if provider is not None:
            inputs = provider.check(goal.urn, asked.olds, asked.news, seed)
        diff = self._difference(goal, old, inputs, provider)
        decision = steps.decide(goal, old, diff)
        if decision.op is Op.REPLACE and provider is not None and old is not None:
            # What was generated for the old resource (its name above all) must not go to the new
            # one.
            inputs = provider.check(goal.urn, None, goal.inputs, seed)
        new = goal.state(inputs)
        if provider is not None and decision.op in (Op.CREATE, Op.REPLACE):
            self.recovery.refuse_foreign(new, provider)
        return self._carry_out(goal, number, new, decision, provider)

    def _asked(self, goal: Goal, old: ResourceState | None) -> steps.Asked:
        asked = steps.check_inputs(goal, old)
        if asked.unignored:
            paths = ", ".join(asked.unignored)
            text = f"changes in added or removed elements cannot be ignored: {paths}"
            self.listener(Diagnostic("info", text, goal.urn))
        return asked

    def _difference(
        self, goal: Goal, old: ResourceState | None, inputs: Properties, provider: Provider | None
    ) -> Diff:
        if old is None or old.external:
            return steps.NO_DIFF
        if old.pending_replacement:
            return self._cascaded.get(old.urn, steps.because("id"))
        if old.taint:
            return steps.because("id")
        with self._lock:
            companions = steps.blamed_on_companions(goal, self._replaced)
        if companions is not None:
            return companions
        if steps.trigger_fired(old, goal):
            return steps.because("replacementTrigger")
        if old.custom != goal.custom or self._provider_changed(old, goal, provider):
            return steps.because("provider")
        if provider is None:
            return steps.by_inputs(old.inputs, inputs)
        known = replace(old, urn=goal.urn, type=goal.type)
        answer = provider.diff(known, inputs, goal.ignore_changes)
        return steps.complete(answer, old, inputs, goal.ignore_changes)

    def _provider_changed(self, old: ResourceState, goal: Goal, provider: Provider | None) -> bool:
        """Whether a resource must be replaced because another provider has it now: as that one's
        DiffConfig says."""
        if old.provider == goal.provider or provider is None:
            return False
        former = urns.split_reference(old.provider)[0]
        if self._renamed.get(provider.urn) == former:
            return False
        resource = self.providers.state_of(old.provider)
        if resource is None:
            return False
        if former == provider.urn and former not in self._replaced:
            return False
        return provider.diff_config(resource, provider.inputs).replaces

    def _carry_out(
        self,
        goal: Goal,
        number: int | None,
        new: ResourceState,
        decision: steps.Decision,
        provider: Provider | None,
    ) -> int:
        old = None if number is None else self.snapshot.states[number]
        step = Step(decision.op, goal.urn, goal.type, old, new, decision.diff, goal.provider)
        match decision.op:
            case Op.CREATE:
                return self.executor.create(step, provider)
            case Op.SAME:
                assert number is not None
                return self.executor.same(step, number)
            case Op.UPDATE:
                assert number is not None
                return self.executor.update(step, provider, number)
            case _:
                assert number is not None
                with self._lock:
                    self._replaced.add(goal.urn)
                replace_it = self._delete_first if decision.delete_first else self._create_first
                return replace_it(step, number, provider)

    def _create_first(self, step: Step, number: int, provider: Provider | None) -> int:
        """Replace without a gap: the old one is deleted at the end of the run."""
        assert step.old is not None
        created = self.executor.create(
            replace(step, op=Op.CREATE_REPLACEMENT),
            provider,
            put={number: replace(step.old, delete=True)},
        )
        self.executor.note(step)
        return created

    def _delete_first(self, step: Step, number: int, provider: Provider | None) -> int:
        """Replace with a gap: the dependents that cannot stay and the old one go before the new one
        comes."""
        assert step.old is not None
        if not step.old.pending_replacement:
            self._delete_with_dependents(step.old, number)
        self.executor.note(step)
        return self.executor.create(
            replace(step, op=Op.CREATE_REPLACEMENT), provider, drop=(number,)
        )

    def _delete_with_dependents(self, root: ResourceState, number: int) -> None:
        """Delete a resource that is to be replaced, after the dependents that cannot stay.

        Where another replacement has condemned one of them, its deletion is waited for. All wait
        in the order of the state, so that they never wait for each other.
        """
        going, mine = self._condemn(root)
        gone = {root.urn, *(state.urn for state in going.values())}
        try:
            for dependent, state in reversed(going.items()):
                if dependent in mine:
                    self._delete_replaced(state, dependent, gone)
                    self._condemned[dependent].set()
                else:
                    self._condemned[dependent].wait()
                    self.check_running()
        except (DeploymentError, ProviderError) as failure:
            # Told before those that wait are let go: they begin nothing then.
            step = Step(Op.DELETE_REPLACED, root.urn, root.type, old=root)
            raise self.fail(as_error(failure, step)) from failure
        finally:
            for dependent in mine:
                self._condemned[dependent].set()
        self._delete_replaced(root, number, gone)
        with self._lock:
            self._deleted_first |= gone

    def _condemn(self, root: ResourceState) -> tuple[dict[int, ResourceState], set[int]]:
        """Decide, at one moment, which dependents go with a resource.

        From then on the program's own registrations of them wait until they are gone; those that
        came before it are settled, and stay.

        Returns:
            those that go, in the order of the state; and which of them are to be deleted here.
        """
        while True:
            with self._lock:
                settled = self._started | self._claimed.keys()
            resources = self.snapshot.deployment().resources
            dependents = steps.cascade(root, resources, settled, self._ask)
            with self._lock:
                came = self._started | self._claimed.keys()
                if any(state.urn in came for state, _ in dependents):
                    continue  # the program came to it while its provider was asked
                return self._claim_condemned(root, dependents)

    def _claim_condemned(
        self, root: ResourceState, dependents: Sequence[tuple[ResourceState, Diff]]
    ) -> tuple[dict[int, ResourceState], set[int]]:
        going: dict[int, ResourceState] = {}
        mine: dict[int, Diff] = {}
        for state, diff in dependents:
            number = self._olds[state.urn]
            if number not in self._condemned and state.pending_replacement:
                continue  # an earlier run has deleted it
            going[number] = state
            if number not in self._condemned:
                steps.refuse_condemning(state, root.urn)
                mine[number] = diff
        for number, diff in mine.items():
            self._condemned[number] = threading.Event()
            self._cascaded[going[number].urn] = diff
            self._replaced.add(going[number].urn)
        return going, set(mine)

    def _await_condemned(self, number: int | None) -> None:
        """Wait until a resource that must go with another is gone."""
        condemned = None if number is None else self._condemned.get(number)
        if condemned is not None:
            condemned.wait()
            self.check_running()

    def _ask(self, state: ResourceState, inputs: Properties) -> Diff:
        if urns.is_provider(state.type):
            return self.registry.make(state.urn).diff_config(state, inputs)
        return self.providers.former(state).diff(state, inputs, state.ignore_changes)

    def _delete_replaced(self, state: ResourceState, number: int, gone: set[str]) -> None:
        step = Step(Op.DELETE_REPLACED, state.urn, state.type, old=state, provider=state.provider)
        called = replace(step, op=Op.DELETE)
        provider = self.providers.former(state) if steps.needs_provider(called, gone) else None
        self.executor.delete(step, provider, number, remains=True)

    # --- provider resources --------------------------------------------------------------------

    def _bring_provider_about(
        self, goal: Goal, number: int | None, old: ResourceState | None
    ) -> int:
        provider = self.registry.make(goal.urn)
        asked = self._asked(goal, old)
        inputs = provider.check_config(asked.olds, asked.news)
        diff = steps.NO_DIFF
        if old is not None and old.taint:
            diff = steps.because("id")
        elif old is not None:
            diff = steps.complete(
                provider.diff_config(old, inputs), old, inputs, goal.ignore_changes
            )
        decision = steps.decide(goal, old, diff)
        identity = old.id if old and decision.op is not Op.REPLACE else self._new_id()
        provider.configure(inputs, identity)
        self.registry.put(provider)
        visible = {key: value for key, value in inputs.items() if key != "__internal"}
        new = replace(goal.state(inputs), id=identity, outputs=visible)
        if decision.op is Op.UPDATE and old is not None and number is not None:
            step = Step(Op.UPDATE, goal.urn, goal.type, old, new, decision.diff)
            kept = replace(new, created=old.created, modified=now())
            with self.executor.step(replace(step, new=kept)):
                return self.snapshot.commit(add=kept, drop=[number])
        return self._carry_out(goal, number, new, decision, None)

    def _new_id(self) -> str:
        return UNKNOWN_ID if self.dry_run else str(uuid.uuid4())

    # --- reads and outputs ---------------------------------------------------------------------

    def read(self, goal: Goal, identity: str) -> ResourceState:
        """Bring a resource that somebody else manages into the run (``Resource.get``).

        Raises:
            DeploymentError: there is no such resource.
        """
        goal, number = self._claim(goal, ())
        self._await_condemned(number)
        try:
            new = self._reader.read(goal, number, identity)
        except (DeploymentError, ProviderError) as failure:
            raise self.fail(as_error(failure, Step(Op.READ, goal.urn, goal.type))) from failure
        with self._lock:
            self._numbers[goal.urn] = new
            return self.snapshot.states[new]

    def outputs_of(self, urn: str, outputs: Properties) -> None:
        """The outputs that a component declares. The stack's own settle at the end of the run."""
        if urns.type_of(urn) == urns.ROOT_TYPE:
            self.root_outputs = (urn, outputs)
            return
        self._put_outputs(urn, outputs)

    def _put_outputs(self, urn: str, outputs: Properties) -> None:
        with self._lock:
            number = self._numbers.get(urn)
        if number is None:
            raise DeploymentError("outputs of a resource that is not registered", where=urn)
        state = self.snapshot.states[number]
        if not (state.outputs.keys() == outputs.keys() and equal(state.outputs, outputs)) or any(
            has_secrets(outputs[key]) != has_secrets(state.outputs[key]) for key in outputs
        ):
            self.snapshot.commit(put={number: replace(state, outputs=outputs)})

    def settle_root(self) -> None:
        """Write the stack's outputs, now that everything they come from is there."""
        if self.root_outputs is not None:
            self._put_outputs(*self.root_outputs)

    # --- deletions -----------------------------------------------------------------------------

    def delete_leftovers(self) -> None:
        """Delete what the program no longer registers, and what it replaced, dependents first.

        Raises:
            DeploymentError: something is protected (then nothing is deleted), or a deletion
            failed.
        """
        self.recovery.forget_foreign()
        kept = set(self._numbers.values())
        self._delete([number for number in self.snapshot.states if number not in kept])

    def _delete(self, numbers: Sequence[int]) -> None:
        leaving = [self.snapshot.states[number] for number in numbers]
        planned = list(reversed(steps.deletions(leaving)))
        going = {state.urn for state in leaving} | self._deleted_first
        self.check_running()

        def delete(index: int) -> None:
            self.check_running()
            step = planned[index]
            wanted = steps.needs_provider(step, going) and not self.dry_run
            provider = self.providers.former(leaving[index]) if wanted else None
            self.executor.delete(step, provider, numbers[index])

        self.scheduler.in_order(steps.waits(leaving), delete)

    # --- refresh and recovery ------------------------------------------------------------------

    def refresh(self) -> None:
        """Read every resource, and take what is really there into the state.

        Raises:
            DeploymentError: a read failed.
        """
        self._refresher.refresh()

    def recover(self) -> None:
        """Find out how the operations ended that an earlier run began and did not finish.

        Raises:
            DeploymentError: a provider could not say.
        """
        try:
            self.recovery.settle()
        except DeploymentError as failure:
            raise self.fail(failure) from failure
        self._refresher.forget_gone()
        self._olds = {
            state.urn: number for number, state in self.snapshot.states.items() if not state.delete
        }
