"""``millwright up | preview | refresh | destroy | sweep``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.app import app, output
from cli.common import Engine, EngineOption, EnvironmentName, concern_of, project, stack
from cli.output import is_terminal, pairs, table
from contracts.rollout import percent

if TYPE_CHECKING:
    from laptop.stack import Stack
    from pocket.engine import Event, Result, Step
    from pocket.engine.events import Listener
    from project.handle import Project

SIGNS = {
    "create": "[green]+[/]",
    "update": "[yellow]~[/]",
    "replace": "[magenta]±[/]",
    "delete": "[red]-[/]",
    "read": "[cyan]>[/]",
}
"""Pulumi's signs, by its names of the steps."""


@app.command()
def preview(
    environment: EnvironmentName = "local",
    diff: bool = typer.Option(False, "--diff", help="Show every property that would change."),
    render: bool = typer.Option(
        False, "--render", help="Write what would be in the cluster to .millwright/<env>/manifests."
    ),
    engine: EngineOption = Engine.EMBEDDED,
) -> None:
    """Show what `up` would change. Changes nothing and needs no credentials."""
    where = stack(environment, engine)
    result = where.preview(diagnostics)
    show_changes(result, diff=diff)
    answer = summary(result)
    releases = show_installed(result, where.project)
    if releases:
        answer["installed"] = releases
    if render:
        answer["rendered"] = render_manifests(result, where.project)
    output.result(answer, lambda console: console.print(counts_line(result)))


def show_installed(result: Result, where: Project) -> list[dict[str, str]]:
    """What would be installed in the cluster, from where, with which values."""
    from pocket.manifests import installed, settings

    items = [item for item in installed(result, where.folder) if item.source]
    if items and not output.as_json:
        output.say("\n    in the cluster, once it is there:")
        for item in items:
            output.say(f"    [bold]{item.name}[/] {item.version} [dim]in {item.namespace}[/]")
            output.say(f"        [dim]from[/] {item.source}")
            for base in item.document.get("resources", ()):
                output.console.print(f"        {base}", markup=False, style="dim")
            for line in settings(item.document["values"]) if item.document.get("values") else ():
                output.console.print(f"        {line}", markup=False, style="dim")
    return [
        {
            "name": item.name,
            "namespace": item.namespace,
            "source": item.source,
            "version": item.version,
        }
        for item in items
    ]


def render_manifests(result: Result, where: Project) -> list[str]:
    """Write releases and objects for review; says how many, and where."""
    from pocket.manifests import installed, write

    folder = where.root / "manifests"
    written = [str(path) for path in write(installed(result, where.folder), folder)]
    output.say(f"    {len(written)} files written to {folder}")
    return written


@app.command()
def up(
    environment: EnvironmentName = "local",
    yes: bool = typer.Option(
        False, "--yes", "-y", help="Do not ask before something is deleted or replaced."
    ),
    engine: EngineOption = Engine.EMBEDDED,
) -> None:
    """Make the environment what its document says. Goes on where a killed run stopped.

    Also after a reboot: what was served is served again, with the weights it had, and rollouts that
    were under way go on.
    """
    bring_up(stack(environment, engine), ask=not yes)


def bring_up(where: Stack, *, ask: bool = False) -> Result:
    """Start what the environment needs, preview, apply; prints a table by concern."""
    where.start_cloud()
    plan = where.preview(diagnostics)
    show_changes(plan, limit=0 if not plan.changed else 12)
    destructive = [step for step in plan.changes if step.op in ("delete", "replace")]
    if ask and destructive and is_terminal():
        names = ", ".join(step.name for step in destructive[:5])
        typer.confirm(
            f"{len(destructive)} would be deleted or replaced ({names}). Go on?", abort=True
        )
    with progress(len(plan.changes), "applying") as listener:
        result = where.up(listener)
    served = serve_again(where.project)
    output.result(
        {**summary(result), "served": served},
        lambda console: console.print(concern_table(result)),
    )
    output.say(counts_line(result))
    return result


def serve_again(where: Project) -> list[dict[str, object]]:
    """Bring back what was served on this machine, if it is not there; says what is."""
    if where.has_cluster:
        return []
    from laptop.host import RolloutHost
    from laptop.recovery import bring_back

    recovery = bring_back(RolloutHost.of(where))
    if recovery.restarted:
        for each in recovery.served:
            weight = "?" if each.weight is None else percent(each.weight)
            output.say(f"    serves again: {each.model} {each.predictor}, {weight}")
    for problem in recovery.problems:
        output.warn(problem)
    return [vars(each) for each in recovery.served]


@app.command()
def refresh(environment: EnvironmentName = "local", engine: EngineOption = Engine.EMBEDDED) -> None:
    """Take what is really there into the state, and show what has drifted."""
    where = stack(environment, engine)
    where.project.connect()
    result = where.refresh(diagnostics)
    show_changes(result)
    output.result(summary(result), lambda console: console.print(counts_line(result)))


@app.command()
def destroy(
    environment: EnvironmentName = "local",
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    engine: EngineOption = Engine.EMBEDDED,
) -> None:
    """Remove every resource and process of the environment, and show that nothing is left."""
    where = stack(environment, engine)
    if not yes and is_terminal():
        typer.confirm(f"Destroy everything in {environment!r}?", abort=True)
    tear_down(where)


def tear_down(where: Stack) -> None:
    """Destroy, prove that nothing is left, stop every process."""
    from account.leftovers import Leftovers
    from laptop.removal import destroy

    with progress(len(where.resources()), "destroying") as listener:
        done = destroy(where, Leftovers(where.project), listener)
    deleted = counts(done.result).get("delete", 0)
    output.result(
        {
            "deleted": deleted,
            "cleared": [str(leftover) for leftover in done.cleared],
            "left": [],
            "kept": [str(leftover) for leftover in done.kept],
            "stopped": list(done.stopped),
            "seconds": done.result.duration,
        },
        lambda console: console.print(
            pairs(
                {
                    "resources deleted": deleted,
                    "made by the cluster": len(done.cleared) or "nothing was left of it",
                    "left with our tags": "none (asked service by service)",
                    "kept on purpose": ", ".join(str(leftover) for leftover in done.kept)
                    or "nothing",
                    "processes stopped": ", ".join(done.stopped) or "none ran",
                    "seconds": f"{done.result.duration:.1f}",
                }
            )
        ),
    )


@app.command()
def sweep(
    environment: EnvironmentName,
    clear: bool = typer.Option(
        False, "--clear", help="Remove what the cluster and the services left; keeps our data."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
) -> None:
    """Show what is left of an environment in its account, whoever made it; 1 if anything is.

    Load balancers, disks, network interfaces and log groups are in no stack's state, and some stop
    `pulumi destroy`: --clear takes them apart, once no node runs that would make them again.
    """
    from account.leftovers import Leftovers

    where = Leftovers(project(environment))
    removed = []
    if clear:
        if not yes and is_terminal():
            typer.confirm(f"Remove what is left of {environment!r} for good?", abort=True)
        removed = where.sweep()
    leftovers = where.left()
    left = [leftover for leftover in leftovers if not leftover.kept]
    output.result(
        {
            "removed": [str(leftover) for leftover in removed],
            "left": [{"what": str(leftover), "made_by": leftover.maker} for leftover in left],
            "kept": [
                {"what": str(leftover), "why": leftover.kept}
                for leftover in leftovers
                if leftover.kept
            ],
        },
        lambda console: console.print(
            table(
                f"What there is of {environment}",
                ("state", "what", "made by", "kept because of"),
                [
                    *(("[green]removed[/]", leftover, leftover.maker, "") for leftover in removed),
                    *(
                        (_left_or_kept(leftover.kept), leftover, leftover.maker, leftover.kept)
                        for leftover in leftovers
                    ),
                ],
            )
        ),
    )
    output.say(f"\n{len(left)} left, {len(leftovers) - len(left)} kept, {len(removed)} removed")
    if left:
        raise typer.Exit(1)


def _left_or_kept(why: str) -> str:
    return "[dim]kept[/]" if why else "[yellow]left[/]"


# -- printing -------------------------------------------------------------------------------------


def diagnostics(event: Event) -> None:
    """Warnings of the program and the providers, as they come."""
    from pocket.engine import Diagnostic

    if isinstance(event, Diagnostic) and event.severity in ("warning", "error"):
        output.warn(event.message, event.severity)


@contextmanager
def progress(total: int, title: str) -> Iterator[Listener]:
    """A bar that moves with each resource; plain silence where nobody watches."""
    from pocket.engine import Failed, ResourceOutputs

    bar = Progress(
        TextColumn("    {task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[name]}"),
        console=output.console,
        transient=True,
        disable=output.as_json or not is_terminal() or total == 0,
    )
    with bar:
        task = bar.add_task(title, total=total, name="")

        def listen(event: Event) -> None:
            diagnostics(event)
            if isinstance(event, ResourceOutputs) and event.step.op in SIGNS:
                bar.update(task, advance=1, name=event.step.name)
            if isinstance(event, Failed):
                bar.console.print(f"    [red]failed[/] {event.step.type} {event.step.name}")

        yield listen


def show_changes(result: Result, *, diff: bool = False, limit: int = 200) -> None:
    """The steps, as Pulumi shows them."""
    shown = [step for step in result.changes if step.op in SIGNS]
    for step in shown[:limit]:
        keys = f" [dim]\\[{', '.join(step.keys)}][/]" if step.keys and step.op != "create" else ""
        output.say(f"    {SIGNS[step.op]} {step.type} [bold]{step.name}[/]{keys}")
        for path, kind in step.diff.detailed.items() if diff else ():
            output.say(f"        [dim]{kind}[/] {path}")
    if len(shown) > limit > 0:
        output.say(f"    [dim]… and {len(shown) - limit} more[/]")


def counts(result: Result) -> dict[str, int]:
    """How many resources each kind of step touched, by Pulumi's name of the step."""
    return {str(op): count for op, count in result.counts.items()}


def counts_line(result: Result) -> str:
    """``+ 12 create  ~ 1 update  40 unchanged``, with the seconds."""
    touched = counts(result)
    words = [f"{sign} {touched[op]} {op}" for op, sign in SIGNS.items() if touched.get(op)]
    same = touched.get("same", 0)
    words.append(f"[dim]{same} unchanged[/]" if same or not words else "")
    return f"    {'  '.join(filter(None, words))} [dim]in {result.duration:.1f} s[/]"


def concern_table(result: Result) -> object:
    """Resources by concern with counts and the seconds that their operations took."""
    rows: dict[str, list[Step]] = defaultdict(list)
    for step in result.steps:
        if not step.type.startswith(("pulumi:", "millwright:")) and step.op != "delete":
            rows[concern_of(step.urn) or "other"].append(step)
    return table(
        "",
        ("concern", "resources", "changed", "seconds", "of"),
        [
            (
                concern,
                len(steps),
                sum(step.op in SIGNS for step in steps),
                f"{sum(step.duration for step in steps):.1f}",
                ", ".join(sorted({step.type.split("/")[0].split(":")[1] for step in steps})),
            )
            for concern, steps in sorted(rows.items())
        ],
        right=("resources", "changed", "seconds"),
    )


def summary(result: Result) -> dict[str, object]:
    """A result for machines."""
    return {
        "operation": result.kind,
        "counts": counts(result),
        "seconds": round(result.duration, 3),
        "changes": [
            {"op": str(step.op), "urn": step.urn, "type": step.type, "keys": list(step.keys)}
            for step in result.changes
        ],
        "outputs": {
            key: value for key, value in result.outputs.items() if key not in result.secret_outputs
        },
    }
