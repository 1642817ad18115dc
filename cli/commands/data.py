"""``millwright data``: what is in the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.progress import Progress

from cli.app import app, output
from cli.common import EnvironmentOption, OutputsOption, project
from cli.output import is_terminal, table
from contracts.document import suggest
from contracts.errors import UsageError
from project.handle import Project

group = typer.Typer(help="Load data into the lake.", no_args_is_help=True)
app.add_typer(group, name="data")

LOADERS = ("flights",)


@group.command()
def load(
    dataset: str = typer.Argument(help=f"One of: {', '.join(LOADERS)}."),
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
) -> None:
    """Load a dataset into the lake; the same data again replaces itself."""
    if dataset not in LOADERS:
        raise UsageError(f"there is no dataset {dataset!r} to load", fix=suggest(dataset, LOADERS))
    load_flights(project(environment, outputs=outputs))


def load_flights(where: Project) -> None:
    """Flights, weather, planes, airports and airlines of 2013, as Parquet by month."""
    where.connect()
    from data.flights import load_flights as load_tables
    from data.lake import Lake

    buckets = where.outputs().lake
    lake = Lake(buckets)
    with progress_bar("flights") as tell:
        report = load_tables(lake, progress=tell)
    manifests = lake.tables(report.dataset)
    output.result(
        {"dataset": report.dataset, "rows": report.rows, "fingerprints": report.fingerprints},
        lambda console: console.print(
            table(
                "",
                ("table", "rows", "files", "where"),
                [
                    (
                        one.table,
                        f"{one.rows:,}",
                        len(one.files),
                        f"s3://{buckets.raw}/{one.dataset}/{one.table}/",
                    )
                    for one in manifests
                ],
                right=("rows", "files"),
            )
        ),
    )


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar over the rows of each table."""
    bar = Progress(console=output.console, transient=True, disable=not is_terminal())
    with bar:
        task = bar.add_task(f"    {title}", total=None)

        def tell(name: str, done: int, total: int) -> None:
            bar.update(task, description=f"    {name}", completed=done, total=total)

        yield tell
