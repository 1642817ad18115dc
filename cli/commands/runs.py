"""``millwright runs``: training runs, wherever they are, in the same words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.app import app, output
from cli.common import EnvironmentOption, KfpOption, OutputsOption, at, project
from cli.entry import INTERRUPTED
from cli.output import is_terminal, pairs, table
from contracts.artifact import Interval
from project.handle import Project

if TYPE_CHECKING:
    from components.documents import Evaluation
    from pipelines.following import Runs, RunStatus
    from pipelines.results import TrainingResult

runs_app = typer.Typer(no_args_is_help=True, help="Training runs: list, show, follow, stop.")
app.add_typer(runs_app, name="runs")

RunName = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]",
        help="A run's name or its beginning, or a model's for its latest; the latest of all, where "
        "none is given.",
    ),
]
HereOption = Annotated[
    bool, typer.Option("--here", help="On this machine, against the environment's stores.")
]


@contextmanager
def runs_of(where: Project, *, here: bool = False) -> Iterator[Runs]:
    """The runs of an environment: on its pipelines server, or in its folder on this machine."""
    if here or not where.has_pipelines_server:
        from pipelines.running import FolderRuns

        with closing(FolderRuns(where.root / "runs")) as folders:
            yield folders
        return
    from pipelines.kubeflow import Server
    from pipelines.pods import PodRuns

    where.connect()
    with where.pipelines_server() as url:
        yield PodRuns(Server(url), where.outputs())


def come_back(where: Project, run: str, *, here: bool = False) -> str:
    """The command that follows a run again."""
    words = ["millwright runs follow", run]
    words += ["-e", where.name] if where.name != "local" else []
    words += ["--kfp", where.addresses["pipelines"]] if where.addresses.get("pipelines") else []
    return " ".join([*words, "--here"] if here else words)


@dataclass(frozen=True)
class RunsPlace:
    """Where a command's runs are."""

    where: Project
    here: bool

    def runs(self) -> AbstractContextManager[Runs]:
        """The runs there."""
        return runs_of(self.where, here=self.here)


def place(
    environment: EnvironmentOption = "local",
    here: HereOption = False,
    kfp: KfpOption = "",
    outputs: OutputsOption = "",
) -> RunsPlace:
    """Where the options say."""
    return RunsPlace(project(environment, kfp=kfp, outputs=outputs), here)


@runs_app.command("list")
@at(place)
def list_runs(
    there: RunsPlace,
    limit: int = typer.Option(20, min=1, max=200, help="At most so many, the latest first."),
) -> None:
    """List training runs, the latest first."""
    with there.runs() as runs:
        listed = runs.list(limit)
    rows = [
        (status.run, status.model, STATES[status.state], when(status.created), took(status))
        for status in listed
    ]
    output.result(
        [summary(status) for status in listed],
        lambda console: console.print(
            table("", ("run", "model", "state", "started", "took"), rows, right=("took",))
            if rows
            else "    there are no runs yet"
        ),
    )


@runs_app.command("show")
@at(place)
def show_run(there: RunsPlace, run: RunName = "") -> None:
    """Show how a run stands: its steps, its metrics and gates, and why it failed."""
    with there.runs() as runs:
        show(runs, runs.status(run))


@runs_app.command("follow")
@at(place)
def follow_run(there: RunsPlace, run: RunName = "") -> None:
    """Follow a run until it ends, as `millwright train` does.

    Ends with 3 when a gate failed, with 1 when a step did.
    """
    with there.runs() as runs:
        name = runs.status(run).run
        follow(runs, name, come_back(there.where, name, here=there.here))


@runs_app.command("stop")
@at(place)
def stop_run(
    there: RunsPlace,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Its name or its beginning, or its model's.")
    ],
) -> None:
    """Stop a run that is going; what its finished steps wrote is kept."""
    with there.runs() as runs:
        status = runs.status(run)
        runs.stop(status)
    ended = status.state.over
    output.result(
        {"run": status.run, "stopped": not ended},
        lambda console: console.print(
            f"    {status.run} had ended: {status.state}"
            if ended
            else f"    {status.run} is stopped"
        ),
    )


def follow(runs: Runs, run: str, back: str) -> TrainingResult:
    """Tell of a run until it ends; prints steps, metrics, gates and what was registered.

    Args:
        runs: the environment's.
        run: the run's name.
        back: the command that comes back to the run.

    Raises:
        RejectedTrainingError: a gate failed.
        PipelineError: a step failed, or the server stays away.
        SystemExit: the person leaves, and the run goes on.
    """
    from pipelines.following import AwayError, Follower, outcome
    from pipelines.results import RejectedTrainingError, warnings

    try:
        with step_lines() as tell:
            status = Follower(tell).follow(runs, run)
        made = outcome(runs, status)
    except RejectedTrainingError as error:
        show_evaluation(error.evaluation)
        show_warnings(warnings(runs.outputs(status)))
        raise
    except KeyboardInterrupt:
        if not runs.leave(run):
            raise
        output.say(f"\n    the run goes on; `{back}` comes back to it")
        raise SystemExit(INTERRUPTED) from None
    except AwayError as error:
        fix = f"The run may go on; `{back}` comes back to it. {error.fix}".rstrip()
        raise AwayError(error.what, where=error.where, fix=fix) from error
    except BaseException:
        runs.leave(run)
        raise
    show_evaluation(made.evaluation)
    show_warnings(made.warnings)
    output.result(
        {
            "model": made.name,
            "version": made.version,
            "uri": made.uri,
            "new": made.new,
            "run": made.run,
            "location": made.location,
            "metrics": {name: metric.value for name, metric in made.evaluation.metrics.items()},
            "gates": [gate.model_dump(mode="json") for gate in made.gates],
            "seconds": {step.step: round(step.seconds, 2) for step in made.steps},
            "warnings": list(made.warnings),
        },
        lambda console: console.print(
            f"    registered [bold]{made.name} version {made.version}[/] at {made.uri}"
            if made.new
            else f"    nothing new: this is [bold]{made.name} version {made.version}[/], "
            f"registered before, at {made.uri}"
        ),
    )
    return made


def show(runs: Runs, status: RunStatus) -> None:
    """All that is known of a run now."""
    from components.documents import Evaluation, Registration
    from pipelines.following import RunState
    from pipelines.results import document, failure, warnings

    outputs = runs.outputs(status)
    evaluation, registration = document(outputs, Evaluation), document(outputs, Registration)
    warned = warnings(outputs)
    why = ""
    if status.state in (RunState.FAILED, RunState.REJECTED):
        at = status.failed_step
        why = str(failure(status.run, at, outputs)) if at else status.reason
    facts = {
        "run": status.run,
        "model": status.model,
        "state": STATES[status.state],
        "started": when(status.created),
        "took": took(status),
        "steps' outputs": status.location,
    }
    if registration is not None:
        facts["version"] = f"{registration.version} at {registration.uri}"
    if not output.as_json:
        output.console.print(pairs(facts))
        for step in status.steps:
            step_line(step.step, step.state, step.seconds)
        if evaluation is not None:
            show_evaluation(evaluation)
        show_warnings(warned)
        if why:
            output.console.print(f"    {why}", markup=False, soft_wrap=True)
    known = {
        "steps": [vars(step) for step in status.steps],
        "version": registration.version if registration else None,
        "uri": registration.uri if registration else None,
        "metrics": {name: metric.value for name, metric in evaluation.metrics.items()}
        if evaluation
        else None,
        "gates": [gate.model_dump(mode="json") for gate in evaluation.gates]
        if evaluation
        else None,
        "reason": why,
        "warnings": list(warned),
    }
    output.result(summary(status) | known)


def summary(status: RunStatus) -> dict[str, object]:
    """A run for machines."""
    return {
        "run": status.run,
        "identity": status.identity,
        "model": status.model,
        "state": str(status.state),
        "started": status.created.isoformat(),
        "finished": status.finished.isoformat() if status.finished else None,
        "location": status.location,
    }


STATES = {
    "waiting": "waiting",
    "running": "[cyan]running[/]",
    "done": "[green]done[/]",
    "rejected": "[yellow]rejected[/]",
    "failed": "[red]failed[/]",
    "stopping": "stopping",
    "stopped": "stopped",
}


def when(moment: dt.datetime) -> str:
    """A time, as the person's clock says it."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def took(status: RunStatus) -> str:
    """How long a run went, or goes."""
    if status.state == "waiting":
        return ""
    until = status.finished or dt.datetime.now(dt.UTC)
    seconds = round((until - status.created).total_seconds())
    minutes, rest = divmod(max(seconds, 0), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


LINES: dict[str, Callable[[str, float], str]] = {
    "finished": lambda step, seconds: f"    [green]✓[/] {step:<12} [dim]{seconds:5.1f} s[/]",
    "kept": lambda step, _: f"    [green]✓[/] {step:<12} [dim]was done before[/]",
    "cached": lambda step, _: f"    [green]✓[/] {step:<12} [dim]cached[/]",
    "failed": lambda step, _: f"    [red]✗[/] {step}",
    "running": lambda step, _: f"    [cyan]…[/] {step}",
    "waiting": lambda step, _: f"      [dim]{step}[/]",
}


def step_line(step: str, state: str, seconds: float) -> None:
    """A step, as it stands."""
    output.say(LINES[state](step, seconds))


@contextmanager
def step_lines() -> Iterator[Callable[[str, str, float], None]]:
    """A line for each step as it ends, and a spinner beside the one that runs."""
    spinner = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=output.console,
        transient=True,
        disable=output.as_json or not is_terminal(),
    )
    with spinner:
        task = spinner.add_task("starting", total=None)

        def tell(step: str, event: str, seconds: float) -> None:
            if event == "started":
                spinner.reset(task, description=step)
            else:
                step_line(step, event, seconds)

        yield tell


def show_evaluation(evaluation: Evaluation) -> None:
    """Metrics with their intervals, beside what always predicting the mean would give; gates."""
    if output.as_json:
        return
    rows = [
        (
            name,
            f"{metric.value:.4f}",
            interval(metric),
            f"{evaluation.prior[name]:.4f}" if name in evaluation.prior else "",
        )
        for name, metric in evaluation.metrics.items()
    ]
    title = (
        f"Tested on {evaluation.rows:,} rows, {evaluation.start:%Y-%m-%d} to "
        f"{evaluation.end:%Y-%m-%d}"
    )
    columns = ("metric", "value", "95 % interval", "prior")
    output.console.print(table(title, columns, rows, right=columns[1:]))
    gates = [
        (
            gate.name,
            gate.gate,
            f"{gate.value:.4g}",
            "[green]passed[/]" if gate.passed else "[red]failed[/]",
            f"by {abs(gate.margin):.4g}",
        )
        for gate in evaluation.gates
    ]
    output.console.print(
        table("Gates", ("gate", "must be", "is", "verdict", "margin"), gates, right=("is",))
    )


def show_warnings(lines: Sequence[str]) -> None:
    """What the steps warned of."""
    if not output.as_json:
        for line in lines:
            output.say(f"    [yellow]![/] {escape(line)}")


def interval(metric: Interval) -> str:
    """A confidence interval, where there is one."""
    if metric.low is None or metric.high is None:
        return ""
    return f"{metric.low:.4f} to {metric.high:.4f}"
