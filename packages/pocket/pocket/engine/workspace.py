"""The engine's front door: a stack of a program, and what can be done with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pocket.engine import state as states
from pocket.engine import urns
from pocket.engine.config import Config, Project, load_config, load_project, stack_salt
from pocket.engine.events import Diagnostic, Event, Kind, Listener, Plan, Result, Summary
from pocket.engine.journal import Snapshot
from pocket.engine.known_providers import Identity
from pocket.engine.monitor import Engine, Monitor
from pocket.engine.program import Program, run_program
from pocket.engine.providers import ProviderFactory, Registry
from pocket.engine.run import Run
from pocket.engine.secrets import Crypter, find_passphrase
from pocket.engine.store import Loaded, Store
from pocket.engine.values import Properties, Value, has_secrets, is_unknown, reveal
from pocket.errors import DeploymentError

STATE_FOLDER = ".pocket"
"""Where states lie unless a workspace says otherwise."""
UNKNOWN_TEXT = "[unknown]"
"""How an output that a preview cannot know shows in a result."""


REFUSED = {
    "target": "`--target` (working on some of the resources)",
    "exclude": "`--exclude` (working on all but some of the resources)",
    "policy_pack": "checking by a policy pack",
    "backend": "a cloud backend",
}
"""Options of the Pulumi CLI that this engine does not have."""


def refuse(**options: object) -> None:
    """Refuse options of the Pulumi CLI that this engine does not have, by name.

    Args:
        options: ``target``, ``exclude``, ``policy_pack`` and ``backend`` as a person gave them;
            empty ones are not given.

    Raises:
        DeploymentError: one is given.
    """
    for name, value in options.items():
        if value:
            raise DeploymentError(
                f"{REFUSED[name]} is not supported by the embedded engine",
                where=str(value),
                fix="Use the Pulumi CLI itself, after `pulumi stack import` of the stack's state.",
            )


def silent(event: Event) -> None:
    """A listener for callers that want only the result."""


@dataclass(frozen=True)
class Workspace:
    """One stack of one program, with its files and its providers.

    Args:
        root: the directory that holds the state folder.
        stack: the stack's name, as in ``Pulumi.<stack>.yaml``.
        program: the program's directory or main file; ``Pulumi.yaml`` is at or above it.
        providers: what serves each package, as a factory of servicers.
        passphrase_file: where the passphrase is (made when missing) unless the environment gives
            one; ``passphrase`` in the state folder by default.
        config: values over those of the stack's file, by ``project:key`` or plain key.
        parallel: how many resources are worked on at once.
        organization: what ``pulumi.get_organization()`` says.
        state_folder: where the states of the root's stacks lie, under the root.
        python_path: what a program that the Pulumi CLI runs finds before its own environment.
    """

    root: Path
    stack: str
    program: Path
    providers: Mapping[str, ProviderFactory]
    passphrase_file: Path | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    parallel: int = 16
    organization: str = "organization"
    state_folder: str = STATE_FOLDER
    python_path: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """What holds each stack's files, and the passphrase."""
        return self.root.resolve() / self.state_folder

    def project(self) -> Project:
        return load_project(self.program)

    def store(self, project: Project | None = None, *, writes: bool = False) -> Store:
        """The stack's files; one that writes makes itself a passphrase if there is none."""
        salt = stack_salt(project or self.project(), self.stack)
        return Store(self.folder, self.stack, self.passphrase(create=writes), salt)

    def passphrase(self, *, create: bool = False) -> str | None:
        file = self.passphrase_file or self.folder / "passphrase"
        return find_passphrase(file, create=create)

    def settings(self, project: Project) -> Config:
        """The stack's configuration, with this workspace's own values over it."""
        crypter = Crypter(self.passphrase(), stack_salt(project, self.stack))
        read = load_config(project, self.stack, crypter)
        given = {
            key if ":" in key else f"{project.name}:{key}": value
            for key, value in self.config.items()
        }
        return Config({**read.values, **given}, read.secret_keys - given.keys())


def preview(workspace: Workspace, *, on_event: Listener = silent, refresh: bool = False) -> Plan:
    """What `up` would do. Changes nothing, and needs no lock.

    Raises:
        DeploymentError: the program, its configuration or one of its resources is wrong.
    """
    return operate(workspace, "preview", on_event, lambda run, go: deploy(run, go, refresh))


def up(workspace: Workspace, *, on_event: Listener = silent, refresh: bool = False) -> Result:
    """Bring the stack to what the program says.

    Args:
        workspace: the stack.
        on_event: told of each step as it happens, from several threads but never at once.
        refresh: read every resource first, and mend what has drifted.

    Raises:
        DeploymentError: the first thing that failed; what was done until then is saved.
    """
    return operate(workspace, "up", on_event, lambda run, go: deploy(run, go, refresh))


def refresh(workspace: Workspace, *, on_event: Listener = silent) -> Result:
    """Take what is really there into the state: drift shows as updates, what is gone as deletions.

    Raises:
        DeploymentError: a resource could not be read.
    """
    return operate(workspace, "refresh", on_event, lambda run, go: run.refresh())


def destroy(workspace: Workspace, *, on_event: Listener = silent) -> Result:
    """Delete every resource of the stack, dependents first. The program is not run.

    Raises:
        DeploymentError: something is protected (then nothing is deleted), or a deletion failed.
    """
    return operate(workspace, "destroy", on_event, lambda run, go: run.delete_leftovers())


def deploy(run: Run, go: Callable[[Run], None], refresh_first: bool) -> None:
    """Run the program, then delete what it no longer wants."""
    if refresh_first:
        run.refresh()
        # Listeners have seen the drift; the result is about what the program leads to.
        run.executor.steps.clear()
    try:
        go(run)
    finally:
        run.settle_root()  # what the program told before it failed holds as well
    if run.failure is not None:
        raise run.failure
    run.delete_leftovers()


def operate(
    workspace: Workspace,
    kind: Kind,
    on_event: Listener,
    action: Callable[[Run, Callable[[Run], None]], None],
) -> Result:
    """One operation from lock to summary; whatever happens in between, what was done is saved."""
    project = workspace.project()
    store = workspace.store(project, writes=kind != "preview")
    listener = serialized(on_event)
    if kind == "preview":
        return act(workspace, project, store, kind, listener, action)
    with store.locked(lambda text: listener(Diagnostic("warning", text))):
        return act(workspace, project, store, kind, listener, action)


def act(
    workspace: Workspace,
    project: Project,
    store: Store,
    kind: Kind,
    listener: Listener,
    action: Callable[[Run, Callable[[Run], None]], None],
) -> Result:
    started = time.perf_counter()
    store.warm()
    loaded = store.load()
    dry_run = kind == "preview"
    if loaded.resumed and not dry_run:
        listener(Diagnostic("info", "the last run was interrupted; continuing from its journal"))
        store.save(loaded.deployment, loaded.crypter)
        loaded = store.load()
    journal = None if dry_run else store.journal(loaded.base)
    run = make_run(workspace, project, loaded, kind, listener)
    run.snapshot.journal = journal

    def go(run: Run) -> None:
        program = Program(project, run.identity, run.config, dry_run, workspace.parallel)
        engine, monitor = Engine(listener), Monitor(run, project)
        try:
            run_program(program, monitor, engine)
        except DeploymentError as error:
            raise run.failure or error from error
        finally:
            monitor.close()

    try:
        run.recover()
        action(run, go)
    finally:
        if journal is not None:
            try:
                journal.close()
            finally:
                store.save(run.snapshot.deployment(), loaded.crypter)
    result = summarize(run, kind, workspace.stack, time.perf_counter() - started)
    listener(Summary(result))
    return result


def make_run(
    workspace: Workspace, project: Project, loaded: Loaded, kind: Kind, listener: Listener
) -> Run:
    config = workspace.settings(project) if kind in ("preview", "up") else Config()
    return Run(
        identity=Identity(project.name, workspace.stack, workspace.organization),
        snapshot=Snapshot(loaded.deployment, None, loaded.crypter),
        registry=Registry(workspace.providers),
        config=config,
        dry_run=kind == "preview",
        listener=listener,
        parallel=workspace.parallel,
        stack_outputs=lambda name: outputs_of_stack(workspace, name),
    )


def summarize(run: Run, kind: Kind, stack: str, seconds: float) -> Result:
    """What a finished run did, with the stack's outputs."""
    raw = root_outputs(run.snapshot.deployment().resources)
    return Result(
        kind=kind,
        stack=stack,
        steps=tuple(run.executor.steps),
        outputs={key: plain(value) for key, value in raw.items()},
        secret_outputs=frozenset(key for key, value in raw.items() if has_secrets(value)),
        duration=seconds,
    )


def root_outputs(resources: tuple[states.ResourceState, ...]) -> Properties:
    """The outputs of the stack itself."""
    return next((one.outputs for one in resources if one.type == urns.ROOT_TYPE), {})


def plain(value: Value) -> Any:
    """An output as a caller wants it: without marks."""
    value = reveal(value)
    if is_unknown(value):
        return UNKNOWN_TEXT
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def outputs(workspace: Workspace) -> dict[str, Any]:
    """The stack's outputs as they are in its state, secrets in the clear."""
    raw = root_outputs(workspace.store().load().deployment.resources)
    return {key: plain(value) for key, value in raw.items()}


def secret_outputs(workspace: Workspace) -> frozenset[str]:
    """Which of the stack's outputs are, or hold, secrets."""
    raw = root_outputs(workspace.store().load().deployment.resources)
    return frozenset(key for key, value in raw.items() if has_secrets(value))


def outputs_of_stack(workspace: Workspace, name: str) -> Properties:
    """The outputs of another stack under the same root, for StackReference.

    Raises:
        DeploymentError: there is no such stack here.
    """
    store = Store(workspace.folder, name.rsplit("/", 1)[-1], workspace.passphrase())
    if not store.state_path.exists():
        raise DeploymentError(
            f"the stack {name!r} has no state here",
            where=str(store.state_path),
            fix="Bring it up first; stacks of a cloud backend cannot be referred to.",
        )
    return root_outputs(store.load().deployment.resources)


def export_state(workspace: Workspace) -> dict[str, Any]:
    """The stack's state as ``pulumi stack export`` gives it."""
    return workspace.store().export()


def import_state(workspace: Workspace, document: Mapping[str, Any]) -> None:
    """Take a state over, from ``pulumi stack export`` or from `export_state`.

    Raises:
        DeploymentError: it is another stack's, not whole, or its secrets cannot be read.
    """
    store = workspace.store(writes=True)
    with store.locked(lambda text: None):
        adopt(workspace, store, document)


def adopt(workspace: Workspace, store: Store, document: Mapping[str, Any]) -> None:
    """Make a document the stack's state, whose lock the caller holds; raises as `import_state`."""
    project = workspace.project()
    crypter = store.crypter(document)
    deployment = states.load(document, crypter, where="the state to import")
    for resource in deployment.resources:
        urn = urns.Urn.parse(resource.urn)
        if (urn.stack, urn.project) != (workspace.stack, project.name):
            raise DeploymentError(
                f"the state is of the stack {urn.stack} of {urn.project}",
                where=resource.urn,
                fix=f"Import it into that stack; this one is {workspace.stack} of {project.name}.",
            )
    store.save(deployment, crypter)


class Borrower(Protocol):
    """Another engine that works on a stack for a while."""

    def take_back(self) -> Mapping[str, Any] | None:
        """Its state as of now; None where it has changed nothing."""

    def returned(self) -> None:
        """Told when that state is saved."""


@contextmanager
def lent(workspace: Workspace, borrower: Borrower) -> Iterator[dict[str, Any]]:
    """Lend the state to another engine, under the stack's lock.

    Args:
        workspace: the stack.
        borrower: asked for the state when the block ends, however it ends.

    Yields:
        the state's document; it has a salt even where there is no secret yet.

    Raises:
        DeploymentError: another run holds the stack, or what comes back is not whole.
    """
    store = workspace.store(writes=True)
    with store.locked(lambda text: None):
        loaded = store.load()
        loaded.crypter.key()
        try:
            yield states.dump(loaded.deployment, loaded.crypter)
        finally:
            document = borrower.take_back()
            if document is not None:
                adopt(workspace, store, document)
                borrower.returned()


def recover(workspace: Workspace, *, on_event: Listener = silent) -> None:
    """Find out how the operations ended that an interrupted run left open; does nothing else.

    Raises:
        DeploymentError: a provider could not say.
    """
    loaded = workspace.store().load()
    if loaded.resumed or loaded.deployment.pending:
        operate(workspace, "refresh", on_event, lambda run, go: None)


def serialized(on_event: Listener) -> Listener:
    """A listener that is never called by two threads at once."""
    lock = threading.RLock()

    def tell(event: Event) -> None:
        with lock:
            on_event(event)

    return tell


def resources(workspace: Workspace) -> tuple[states.ResourceState, ...]:
    """The stack's resources as its state has them."""
    return workspace.store().load().deployment.resources
