"""``millwright up | preview | refresh | destroy | sweep | status``."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.app import app, output
from cli.common import Engine, EngineOption, EnvironmentName, by_concern, concern_of, twin
from cli.output import is_terminal, pairs, table

if TYPE_CHECKING:
    from laptop.twin import Twin
    from pocket.engine import Event, Result, Step
    from pocket.engine.events import Listener

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
    where = twin(environment, engine)
    result = where.preview(diagnostics)
    show_changes(result, diff=diff)
    answer = summary(result)
    found = show_installed(result, where)
    if found:
        answer["installed"] = found
    if render:
        answer["rendered"] = render_manifests(result, where)
    output.result(answer, lambda console: console.print(counts_line(result)))


def show_installed(result: Result, where: Twin) -> list[dict[str, str]]:
    """What would be installed in the cluster, from where, with which values."""
    from pocket.manifests import installed, settings

    found = [one for one in installed(result, where.project) if one.source]
    if found and not output.as_json:
        output.say("\n    in the cluster, once it is there:")
        for one in found:
            output.say(f"    [bold]{one.name}[/] {one.version} [dim]in {one.namespace}[/]")
            output.say(f"        [dim]from[/] {one.source}")
            for base in one.document.get("resources", ()):
                output.console.print(f"        {base}", markup=False, style="dim")
            for line in settings(one.document["values"]) if one.document.get("values") else ():
                output.console.print(f"        {line}", markup=False, style="dim")
    return [
        {"name": one.name, "namespace": one.namespace, "source": one.source, "version": one.version}
        for one in found
    ]


def render_manifests(result: Result, where: Twin) -> list[str]:
    """Write releases and objects for review; says how many, and where."""
    from pocket.manifests import installed, write

    folder = where.root / "manifests"
    written = [str(path) for path in write(installed(result, where.project), folder)]
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
    """Make the environment what its document says. Goes on where a killed run stopped."""
    bring_up(twin(environment, engine), ask=not yes)


def bring_up(where: Twin, *, ask: bool = False) -> Result:
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
    output.result(summary(result), lambda console: console.print(concern_table(result)))
    output.say(counts_line(result))
    return result


@app.command()
def refresh(environment: EnvironmentName = "local", engine: EngineOption = Engine.EMBEDDED) -> None:
    """Take what is really there into the state, and show what has drifted."""
    where = twin(environment, engine)
    where.connect()
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
    where = twin(environment, engine)
    if not yes and is_terminal():
        typer.confirm(f"Destroy everything in {environment!r}?", abort=True)
    tear_down(where)


def tear_down(where: Twin) -> None:
    """Destroy, prove that nothing is left, stop every process."""
    with progress(len(where.resources()), "destroying") as listener:
        done = where.destroy(listener)
    deleted = counts(done.result).get("delete", 0)
    output.result(
        {
            "deleted": deleted,
            "cleared": [str(one) for one in done.cleared],
            "left": [],
            "kept": [str(one) for one in done.kept],
            "stopped": list(done.stopped),
            "seconds": done.result.duration,
        },
        lambda console: console.print(
            pairs(
                {
                    "resources deleted": deleted,
                    "made by the cluster": len(done.cleared) or "nothing was left of it",
                    "left with our tags": "none (asked service by service)",
                    "kept on purpose": ", ".join(str(one) for one in done.kept) or "nothing",
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
    where = twin(environment)
    removed = []
    if clear:
        if not yes and is_terminal():
            typer.confirm(f"Remove what is left of {environment!r} for good?", abort=True)
        removed = where.sweep()
    found = where.left()
    left = [one for one in found if not one.kept]
    output.result(
        {
            "removed": [str(one) for one in removed],
            "left": [{"what": str(one), "made_by": one.maker} for one in left],
            "kept": [{"what": str(one), "why": one.kept} for one in found if one.kept],
        },
        lambda console: console.print(
            table(
                f"What there is of {environment}",
                ("", "what", "made by", "kept because of"),
                [
                    *(("[green]removed[/]", one, one.maker, "") for one in removed),
                    *((_left_or_kept(one.kept), one, one.maker, one.kept) for one in found),
                ],
            )
        ),
    )
    output.say(f"\n{len(left)} left, {len(found) - len(left)} kept, {len(removed)} removed")
    if left:
        raise typer.Exit(1)


def _left_or_kept(why: str) -> str:
    return "[dim]kept[/]" if why else "[yellow]left[/]"


@app.command()
def status(environment: EnvironmentName = "local") -> None:
    """Show what runs, where it listens, what the environment holds, and how its rollouts stand."""
    where = twin(environment)
    processes = where.supervisor.status()
    resources = by_concern((one.urn, one.type) for one in where.resources())
    concerns: Counter[str] = Counter()
    for concern, _, count in resources:
        concerns[concern] += count
    rollouts = where.rollouts()
    answer = {
        "environment": environment,
        "processes": [
            {"name": one.name, "state": one.state, "pid": one.pid, "ports": dict(one.ports)}
            for one in processes
        ],
        "resources": dict(concerns),
        "rollouts": [one.model_dump(mode="json", exclude={"decisions"}) for one in rollouts],
    }
    if output.as_json:
        output.result(answer)
        return
    now = time.time()
    rows = [
        (
            one.name,
            coloured(state_of(one.name, one.state)),
            one.pid or "",
            ", ".join(f"127.0.0.1:{port}" for port in one.ports.values()),
            f"{(now - one.started) / 60:.0f} min",
        )
        for one in processes
    ]
    if not rows and not resources:
        output.say(f"nothing of {environment!r} is up; `millwright up` starts it")
        return
    output.console.print(table("Processes", ("name", "state", "pid", "listens", "for"), rows))
    output.console.print(
        table("Resources", ("concern", "count"), sorted(concerns.items()), right=("count",))
    )
    if rollouts:
        from cli.rollout_tables import status_table

        output.console.print(status_table(rollouts))


def state_of(name: str, state: str) -> str:
    """A rollout's loop ends with its rollout, the keeper with the last model: not a death."""
    return "done" if state == "dead" and name.startswith(("rollout.", "keeper")) else state


def coloured(state: str) -> str:
    """A state with the colour of its urgency."""
    colour = {"running": "green", "starting": "yellow", "done": "dim"}.get(state, "red")
    return f"[{colour}]{state}[/]"


# -- printing -------------------------------------------------------------------------------------


def diagnostics(event: Event) -> None:
    """Warnings of the program and the providers, as they come."""
    from pocket.engine import Diagnostic

    if isinstance(event, Diagnostic) and event.severity in ("warning", "error"):
        output.errors.print(f"[yellow]{event.severity}[/] ", end="")
        output.errors.print(event.message, markup=False)


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
    found = counts(result)
    words = [f"{sign} {found[op]} {op}" for op, sign in SIGNS.items() if found.get(op)]
    same = found.get("same", 0)
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
