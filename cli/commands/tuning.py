"""``millwright serve tune``: what a model's server should be told."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from cli.app import app, output
from cli.commands.rollout import target_of
from cli.common import (
    EnvironmentOption,
    MlflowOption,
    ModelName,
    OutputsOption,
    model_of,
    project,
)
from cli.output import table
from contracts.document import suggest
from contracts.errors import RolloutError
from contracts.rollout import Target

if TYPE_CHECKING:
    from contracts.model import ServedModel
    from project.handle import Project
    from serving.tuning.proposing import Cell, Proposal

group = typer.Typer(
    help="Servers of a model: run one, or measure how they should be set.", no_args_is_help=True
)
app.add_typer(group, name="serve")

LEAST = 20
"""Seconds in which something can be measured."""


@group.command()
def tune(
    model: ModelName,
    version: str = typer.Option(
        "", help="The version, or an alias of one; the newest registered one when left out."
    ),
    seconds: int = typer.Option(
        60, help="How long it may take, servers' starts included.", min=LEAST, max=3600
    ),
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    mlflow: MlflowOption = "",
) -> None:
    """Measure whether batches and threads pay for a model, and propose what to write.

    Servers of the version run on this machine, a setting each, and are asked with rows made up from
    the model's signature. The loader is a Python program beside them: compare settings by it, not
    machines.
    """
    from serving.runtime.model import Model
    from serving.runtime.store import fetch
    from serving.runtime.turns import can_join, can_share
    from serving.tuning.measuring import (
        bodies,
        check_measurable,
        difference,
        measure,
        settings_for,
    )
    from serving.tuning.proposing import propose

    until = time.monotonic() + seconds
    where = project(environment, outputs=outputs, mlflow=mlflow)
    spec, _ = model_of(where, model)
    target = named(where, spec, version)
    where.connect()
    artifact, content = fetch(target.uri)
    check_measurable(artifact)
    loaded = Model(artifact.name, artifact, content)
    joins, shares = can_join(loaded), can_share(content, loaded)
    apart = None
    if joins and not shares:
        import numpy as np

        apart = difference(loaded, bodies(artifact, 1, np.random.default_rng(0)))
    settings = settings_for(joins=joins, shares=shares, processors=os.cpu_count() or 1)
    output.say(f"    {spec.name} version {target.version}, for {seconds} s at the most")
    cells = measure(
        artifact,
        content,
        settings,
        seconds=until - time.monotonic(),
        say=lambda text: output.say(f"    [dim]{escape(text)}[/]"),
    )
    proposal = propose(cells, budget=spec.serving.latency_budget, difference=apart)
    show(target, cells, proposal, joins=joins)


def named(where: Project, spec: ServedModel, version: str) -> Target:
    """The version that is asked for by its number or an alias, or the newest.

    Raises:
        RolloutError: it is not registered.
    """
    from data.model_registry import ModelRegistry

    if version and not version.isdecimal():
        where.connect()
        with where.tracking() as tracking_uri:
            entries = ModelRegistry(tracking_uri).versions(spec.name)
        aliases = {name: entry.version for entry in entries for name in entry.aliases}
        if version not in aliases:
            raise RolloutError(
                f"no version has the alias {version!r}",
                where=spec.name,
                fix=suggest(version, sorted(aliases)) if aliases else "Name a version's number.",
            )
        version = aliases[version]
    return target_of(where, spec, version, "")


def show(target: Target, cells: list[Cell], proposal: Proposal, *, joins: bool) -> None:
    """The table, the reasons, and what to write."""
    rows = [
        (
            str(cell.load[0]),
            str(cell.load[1]),
            cell.setting.title,
            f"{cell.per_second:,.0f}",
            f"{cell.cpu:.0f}",
            f"{cell.p50:.2f}",
            f"{cell.p99:.2f}",
        )
        for cell in cells
    ]
    columns = ("rows", "connections", "setting", "requests/s", "CPU µs", "p50 ms", "p99 ms")
    reasons = [
        *([] if joins else ["batches: the model takes a fixed number of rows; leave it off"]),
        *proposal.reasons,
    ]
    lines = [f"  {key}: {written(value)}" for key, value in proposal.serving.items()]
    advice = ["Write into model.yaml:", "serving:", *lines] if lines else ["Leave it as it is."]
    output.result(
        {
            "version": target.version,
            "measured": [
                {
                    "setting": cell.setting.title,
                    "rows": cell.load[0],
                    "connections": cell.load[1],
                    "requests_per_second": cell.per_second,
                    "cpu_microseconds": cell.cpu,
                    "p50_milliseconds": cell.p50,
                    "p99_milliseconds": cell.p99,
                }
                for cell in cells
            ],
            "serving": dict(proposal.serving),
            "reasons": reasons,
        },
        lambda console: console.print(table("", columns, rows, right=(*columns[:2], *columns[3:]))),
    )
    for reason in reasons:
        output.say(f"    {escape(reason)}")
    output.say("\n".join(["", *advice]))


def written(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {inner}" for key, inner in value.items()) + "}"
    return str(value)
