"""``millwright train`` and ``millwright versions``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.app import app, output
from cli.common import EnvironmentOption, ModelName, model_of, twin
from cli.output import is_terminal, table
from contracts.artifact import Interval
from contracts.errors import UsageError
from laptop.twin import Twin

if TYPE_CHECKING:
    from components.documents import Evaluation
    from pipelines.training import TrainingResult


@app.command()
def train(
    model: ModelName,
    train_until: str = typer.Option(
        "", help="End of the training data, instead of the document's."
    ),
    validate_until: str = typer.Option("", help="End of the validation data, likewise."),
    test_until: str = typer.Option("", help="End of the test data, likewise."),
    start: str = typer.Option("", help="First day of the training data, likewise."),
    submit: str = typer.Option("", metavar="URL", help="Run it on this Kubeflow Pipelines server."),
    environment: EnvironmentOption = "local",
) -> None:
    """Run the training pipeline; a version that passes its gates is registered.

    Ends with 3 when a gate failed: then nothing is registered.
    """
    where = twin(environment)
    _, path = model_of(where, model)
    days = {
        "train_until": day("--train-until", train_until),
        "validate_until": day("--validate-until", validate_until),
        "test_until": day("--test-until", test_until),
        "start": day("--start", start),
    }
    if submit:
        submit_run(where, path, submit, days)
    else:
        train_here(where, path, days)


def day(option: str, text: str) -> dt.date | None:
    """A day given on the command line.

    Raises:
        UsageError: it is not one.
    """
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a day such as 2013-07-01", where=option) from None


def train_here(where: Twin, path: Path, days: dict[str, dt.date | None]) -> TrainingResult:
    """Run the pipeline on this machine; prints steps, metrics and gates."""
    where.connect()
    from pipelines import training

    try:
        with step_lines() as tell:
            result = training.run(
                path,
                where.outputs(),
                where.root / "runs",
                tell,
                tracking_uri=where.tracking_uri,
                **days,  # type: ignore[arg-type]
            )
    except training.RejectedTrainingError as error:
        show_evaluation(error.evaluation)
        raise
    show_evaluation(result.evaluation)
    output.result(
        {
            "model": result.name,
            "version": result.version,
            "uri": result.uri,
            "run": str(result.run),
            "metrics": {name: one.value for name, one in result.evaluation.metrics.items()},
            "gates": [gate.model_dump(mode="json") for gate in result.gates],
            "seconds": {step.step: round(step.seconds, 2) for step in result.steps},
        },
        lambda console: console.print(
            f"    registered [bold]{result.name} version {result.version}[/] at {result.uri}"
        ),
    )
    return result


def submit_run(where: Twin, path: Path, url: str, days: dict[str, dt.date | None]) -> None:
    """Hand the pipeline to a Kubeflow Pipelines server."""
    from pipelines import training

    run = training.submit(url, path, where.outputs(), tracking_uri=where.tracking_uri, split=days)
    output.result({"run": run}, lambda console: console.print(f"    run {run} at {url}"))


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
            elif event == "finished":
                output.say(f"    [green]✓[/] {step:<12} [dim]{seconds:5.1f} s[/]")
            elif event == "kept":
                output.say(f"    [green]✓[/] {step:<12} [dim]was done before[/]")
            else:
                output.say(f"    [red]✗[/] {step}")

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
    output.console.print(table("Gates", ("gate", "must be", "is", "", ""), gates, right=("is",)))


def interval(metric: Interval) -> str:
    """A confidence interval, where there is one."""
    if metric.low is None or metric.high is None:
        return ""
    return f"{metric.low:.4f} to {metric.high:.4f}"


@app.command()
def versions(model: ModelName, environment: EnvironmentOption = "local") -> None:
    """List a model's registered versions and their aliases."""
    where = twin(environment)
    model_of(where, model)
    from data.model_registry import ModelRegistry

    found = ModelRegistry(where.tracking_uri).versions(model)
    output.result(
        [{"version": one.version, "aliases": one.aliases, "uri": one.uri} for one in found],
        lambda console: console.print(
            table(
                "",
                ("version", "aliases", "created", "artifact"),
                [
                    (one.version, ", ".join(one.aliases), f"{one.created:%Y-%m-%d %H:%M}", one.uri)
                    for one in found
                ],
            )
        ),
    )
