"""``millwright train`` and ``millwright versions``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.app import app, output
from cli.commands.runs import HereOption, come_back, follow, runs_of
from cli.common import (
    LOCAL,
    EnvironmentOption,
    KfpOption,
    MlflowOption,
    ModelName,
    OutputsOption,
    document_at,
    model_of,
    project,
)
from cli.output import table
from contracts.errors import UsageError
from contracts.model import ModelSpec, load_model, trained_elsewhere, unknown_model

if TYPE_CHECKING:
    from pipelines.following import Request, Runs
    from pipelines.results import TrainingResult
    from project.handle import Project


@app.command()
def train(
    model: ModelName,
    train_until: str = typer.Option(
        "",
        metavar="DAY",
        help="First day after the training data (2024-09-01), instead of the document's.",
    ),
    validate_until: str = typer.Option(
        "", metavar="DAY", help="First day after the validation data, instead of the document's."
    ),
    test_until: str = typer.Option(
        "", metavar="DAY", help="First day after the test data, instead of the document's."
    ),
    start: str = typer.Option(
        "", metavar="DAY", help="First day of the training data, instead of the document's."
    ),
    environment: EnvironmentOption = "local",
    here: HereOption = False,
    detach: bool = typer.Option(False, "--detach", help="Start the run, and do not follow it."),
    no_cache: bool = typer.Option(
        False,
        "--no-cache",
        help="Run steps again that an earlier run on this machine has done with the same inputs.",
    ),
    kfp: KfpOption = "",
    mlflow: MlflowOption = "",
    outputs: OutputsOption = "",
) -> None:
    """Run the training pipeline; a version that passes its gates is registered.

    It runs on the environment's Kubeflow Pipelines, on this machine where it has none. Ends with 3
    when a gate failed: then nothing is registered.
    """
    where = project(environment, kfp=kfp, mlflow=mlflow, outputs=outputs)
    spec, path = model_of(where, model)
    if not isinstance(spec, ModelSpec):
        raise trained_elsewhere(path, spec.name)
    days = {
        "train_until": day("--train-until", train_until),
        "validate_until": day("--validate-until", validate_until),
        "test_until": day("--test-until", test_until),
        "start": day("--start", start),
    }
    if here and detach:
        raise UsageError(
            "a run on this machine reaches the environment through this command, and ends with it",
            where="--detach",
            fix="Leave out one of --here and --detach.",
        )
    with asked(where, path, days, here=here) as (runs, request):
        run = runs.start(replace(request, cached=not no_cache))
        back = come_back(where, run, here=here)
        if not detach:
            made = follow(runs, run, back)
            place = f" -e {where.name}" if where.name != LOCAL else ""
            output.say(f"    next: `millwright rollout start {made.name}{place}`")
            return
    output.result(
        {"run": run},
        lambda console: console.print(f"    run {run}\n    `{back}` follows it", soft_wrap=True),
    )


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


@contextmanager
def asked(
    where: Project, path: Path, days: dict[str, dt.date | None], *, here: bool
) -> Iterator[tuple[Runs, Request]]:
    """Where a training will run, and what it is given there."""
    from pipelines.requests import request

    where.connect()
    outputs = where.outputs()
    with runs_of(where, here=here) as runs:
        if here or not where.has_pipelines_server:
            with where.tracking() as tracking_uri:
                yield (
                    runs,
                    request(path, where.datasets, outputs, tracking_uri, days, check=runs.check),
                )
        else:
            from pipelines.submitting import tracking_of

            inside = tracking_of(outputs, where.addresses.get("tracking", ""))
            yield runs, request(path, where.datasets, outputs, inside, days, check=runs.check)


def train_here(
    where: Project, path: Path, days: dict[str, dt.date | None], runs: Runs
) -> TrainingResult:
    """Run the pipeline on this machine, among its runs; prints steps, metrics and gates."""
    from pipelines.requests import request

    where.connect()
    with where.tracking() as uri:
        run = runs.start(
            request(path, where.datasets, where.outputs(), uri, days, check=runs.check)
        )
        return follow(runs, run, come_back(where, run, here=True))


@app.command()
def versions(
    model: ModelName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    mlflow: MlflowOption = "",
) -> None:
    """List a model's registered versions and their aliases; of the model only its name counts."""
    from data.model_registry import ModelRegistry

    where = project(environment, outputs=outputs, mlflow=mlflow)
    elsewhere = document_at(model)
    name = load_model(elsewhere).name if elsewhere else model
    known = elsewhere or (where.models / name / "model.yaml").is_file()
    # A registry on this machine that never was is not made to look into it.
    if not known and where.is_local and not mlflow and not where.root.exists():
        raise unknown_model(where.models, name)
    with where.tracking() as uri:
        entries = ModelRegistry(uri).versions(name)
    if not entries and not known:
        raise unknown_model(where.models, name)
    output.result(
        [
            {"version": entry.version, "aliases": entry.aliases, "uri": entry.uri}
            for entry in entries
        ],
        lambda console: console.print(
            f"    no version of {name} is registered: `millwright train {name}` makes one"
            if not entries
            else table(
                "",
                ("version", "aliases", "created", "artifact"),
                [
                    (
                        entry.version,
                        ", ".join(entry.aliases),
                        f"{entry.created:%Y-%m-%d %H:%M}",
                        entry.uri,
                    )
                    for entry in entries
                ],
            )
        ),
    )
