"""Taking an environment off this machine, with the proof that nothing is left.

Trainings and serving go first (they use the environment), then what the cluster made, for it blocks
the network's deletion, then the stack, then what services made meanwhile. Whoever can ask AWS what
is left is asked; only then is the AWS API server stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from contracts.errors import InfrastructureError
from laptop.host import KEEPER
from laptop.stack import Stack
from laptop.supervisor import Supervisor
from pocket import emulator as cloud
from project.here import REGISTRY_FILE
from project.sources import OUTPUTS_FILE

if TYPE_CHECKING:
    from pocket.engine import Result
    from pocket.engine.events import Listener

LOOPS: Final = (KEEPER, "rollout", "replay")
"""How the names of processes begin that act on others; one acts on those after it."""
RUNS: Final = "runs"
"""The folder of the trainings on this machine."""
EPHEMERAL: Final = (
    *(OUTPUTS_FILE, REGISTRY_FILE),
    *("cloud", "examples", "replay", "rollouts", RUNS, "serving"),
)
"""What is worth nothing without the environment's resources."""


class Remainder(Protocol):
    """Something of an environment that exists in its account."""

    @property
    def maker(self) -> str:
        """Who made it: ``the program``, ``the cluster`` or ``a service``."""

    @property
    def kept(self) -> str:
        """Why it is there on purpose; empty where it is not."""


class Leftovers(Protocol):
    """Whoever asks the account what there is; `account.leftovers.Leftovers` does."""

    def left(self) -> Sequence[Remainder]:
        """Everything of the environment that exists, whoever made it; changes nothing."""

    def clear(self) -> Sequence[Remainder]:
        """Remove what its cluster and the services made; gives what that was."""


@dataclass(frozen=True, kw_only=True)
class Destroyed:
    """What became of an environment.

    Args:
        result: the engine's, of the stack's resources.
        cleared: what the cluster and the services had made beside.
        kept: what is there on purpose.
        stopped: the trainings and the names of the processes that were stopped.
    """

    result: Result
    cleared: tuple[Remainder, ...]
    kept: tuple[Remainder, ...]
    stopped: tuple[str, ...]


def destroy(stack: Stack, leftovers: Leftovers, listener: Listener) -> Destroyed:
    """Remove every resource and process, and prove that nothing is left.

    Raises:
        InfrastructureError: a deletion failed, or something of ours is left.
    """
    root, supervisor = stack.project.root, Supervisor(stack.project.root)
    stopped = [f"run {run}" for run in stop_runs(root)]
    stopped += stop_processes(supervisor, keep=cloud.NAME)
    if stack.resources():
        stack.start_cloud()
    there = cloud.find(root) is not None
    cleared = list(leftovers.clear()) if there else []
    result = stack.destroy(listener)
    kept: Sequence[Remainder] = ()
    if there:
        remaining = leftovers.left()
        if any(each.maker != "the program" and not each.kept for each in remaining):
            cleared += leftovers.clear()
            remaining = leftovers.left()
        kept = proven_empty(remaining, stack.project.name)
    stopped += supervisor.stop_all()
    forget(root)
    return Destroyed(
        result=result, cleared=tuple(cleared), kept=tuple(kept), stopped=tuple(stopped)
    )


def proven_empty(remaining: Sequence[Remainder], name: str) -> Sequence[Remainder]:
    """What is kept on purpose, of what there is of an environment.

    Raises:
        InfrastructureError: something else is there, each named.
    """
    left = [str(each) for each in remaining if not each.kept]
    if left:
        raise InfrastructureError(
            f"{len(left)} resources of ours are left: " + ", ".join(left[:10]),
            where=name,
            fix="Run `millwright refresh` and `millwright destroy` again, or remove them.",
        )
    return remaining


def stop_runs(root: Path) -> tuple[str, ...]:
    """Stop the trainings that go on this machine: they would write into what is removed."""
    from pipelines.running import FolderRuns

    return FolderRuns(root / RUNS).stop_all()


def stop_processes(supervisor: Supervisor, *, keep: str = "") -> list[str]:
    """Stop all processes but one, those that use others first."""
    names = [each.name for each in reversed(supervisor.status()) if each.name != keep]
    # Loops first: they would start again what is stopped under them.
    names.sort(key=lambda name: [name.startswith(loop) for loop in LOOPS], reverse=True)
    return [name for name in names if supervisor.stop(name)]


def forget(root: Path) -> None:
    """Remove what only made sense while the environment stood; logs and the report stay."""
    for name in EPHEMERAL:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
