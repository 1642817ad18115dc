"""``millwright status``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from cli.app import app, output
from cli.common import (
    LOCAL,
    ContextOption,
    EitherName,
    EnvironmentOption,
    NamespaceOption,
    OutputsOption,
    by_concern,
    either,
    project,
    rollouts_of,
)
from cli.output import table
from contracts.errors import MillwrightError
from contracts.rollout import WHOLE

if TYPE_CHECKING:
    from contracts.rollout import RolloutStatus
    from pocket.supervisor import Status
    from project.handle import Project
    from serving.rollout.overview import ServedPredictor


@app.command()
def status(
    environment: EitherName = "",
    named: EnvironmentOption = "",
    outputs: OutputsOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> None:
    """Show what runs and is served, what the environment holds, and how its rollouts stand.

    What cannot be asked is named, beside what is known; then it ends with 1.
    """
    where = project(either(environment, named), outputs=outputs, context=context)
    _ = where.environment  # an unknown name is refused, though there may be a folder of it
    processes, concerns, unknown = processes_of(where), resources_of(where), list[MillwrightError]()
    served: list[ServedPredictor] = []
    statuses: list[RolloutStatus] = []
    try:
        rollouts = rollouts_of(where, namespace)
        served, statuses = rollouts.served(), rollouts.statuses()
    except MillwrightError as error:
        if not processes and not concerns:
            raise
        unknown.append(error)
    answer = {
        "environment": where.name,
        "processes": [
            {"name": each.name, "state": each.state, "pid": each.pid, "ports": dict(each.ports)}
            for each in processes
        ],
        "resources": dict(concerns),
        "served": [vars(each) for each in served],
        "rollouts": [each.model_dump(mode="json", exclude={"decisions"}) for each in statuses],
        "unknown": [str(error) for error in unknown],
    }
    output.result(answer, lambda _: show(where, processes, concerns, served, statuses))
    if unknown:
        for problem in unknown:
            output.warn(f"what is served cannot be asked: {problem}")
        raise typer.Exit(1)


def show(
    where: Project,
    processes: Sequence[Status],
    concerns: Counter[str],
    served: Sequence[ServedPredictor],
    statuses: Sequence[RolloutStatus],
) -> None:
    """All that is known, for a person."""
    up = "millwright up" if where.name == LOCAL else f"millwright up {where.name}"
    if not where.has_cluster and not processes and not concerns:
        output.say(f"nothing of {where.name!r} is up; `{up}` starts it")
        return
    if processes:
        output.console.print(process_table(processes))
    if concerns:
        rows = sorted(concerns.items())
        output.console.print(table("Resources", ("concern", "count"), rows, right=("count",)))
    if served or where.has_cluster:
        output.console.print(served_table(served))
    if statuses or where.has_cluster:
        from cli.rollout_tables import status_table

        output.console.print(status_table(statuses))
    if any(state_of(each.name, each.state) == "dead" for each in processes):
        output.say(f"\nwhat is dead comes back with `{up}`, served as it was")


def processes_of(where: Project) -> Sequence[Status]:
    """The environment's processes on this machine."""
    from pocket.supervisor import Supervisor

    return Supervisor(where.root).status() if where.root.is_dir() else ()


def resources_of(where: Project) -> Counter[str]:
    """How many resources each concern has, where the engine on this machine keeps the state."""
    from laptop.stack import Stack

    concerns: Counter[str] = Counter()
    for concern, _, count in by_concern((each.urn, each.type) for each in Stack(where).resources()):
        concerns[concern] += count
    return concerns


def process_table(processes: Sequence[Status]) -> object:
    """What runs on this machine, and where it listens."""
    now = time.time()
    return table(
        "Processes",
        ("name", "state", "pid", "listens", "for"),
        [
            (
                each.name,
                coloured(state_of(each.name, each.state)),
                each.pid or "",
                ", ".join(f"127.0.0.1:{port}" for port in each.ports.values()),
                f"{(now - each.started) / 60:.0f} min",
            )
            for each in processes
        ],
    )


def served_table(served: Sequence[ServedPredictor]) -> object:
    """Each version that has servers or traffic."""
    return table(
        "Served",
        ("model", "version", "ready", "weight"),
        [
            (
                each.model,
                each.predictor,
                "[green]yes[/]" if each.ready else "[red]no[/]",
                "?" if each.weight is None else f"{each.weight / WHOLE:.2%}",
            )
            for each in served
        ],
        right=("weight",),
    )


def state_of(name: str, state: str) -> str:
    """A rollout's loop ends with its rollout, the keeper with the last model: not a death."""
    return "done" if state == "dead" and name.startswith(("rollout.", "keeper")) else state


def coloured(state: str) -> str:
    """A state with the colour of its urgency."""
    colour = {"running": "green", "starting": "yellow", "done": "dim"}.get(state, "red")
    return f"[{colour}]{state}[/]"
