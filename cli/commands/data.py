"""``millwright data``: what is in the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from cli.app import app, output
from cli.common import EnvironmentOption, OutputsOption, project
from cli.output import is_terminal, table
from contracts.dataset import DatasetSpec
from contracts.errors import DataError, UsageError
from project.handle import Project

DatasetName = Annotated[
    str, typer.Argument(metavar="DATASET", help="The dataset's folder in datasets/.")
]

group = typer.Typer(help="Load data into the lake.", no_args_is_help=True)
app.add_typer(group, name="data")


@group.command()
def load(
    dataset: DatasetName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
) -> None:
    """Load a dataset into the lake; the same data again replaces itself."""
    load_tables(project(environment, outputs=outputs), dataset)


def load_tables(where: Project, name: str) -> None:
    """A dataset's tables, as Parquet by month; prints what is in the lake then."""
    # A wrong document is said before anything is asked of the environment.
    dataset_of(where.datasets, name)
    where.connect()
    from data.datasets import load_dataset
    from data.lake import Lake

    buckets = where.outputs().lake
    lake = Lake(buckets)
    with progress_bar(name) as tell:
        report = load_dataset(where.datasets, name, lake, tell)
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


def dataset_of(datasets: Path, name: str) -> DatasetSpec:
    """The dataset that a command names.

    Raises:
        UsageError: there is none of that name.
        DocumentError: its document is wrong.
    """
    try:
        return DatasetSpec.find(datasets, name)
    except DataError as error:
        raise UsageError(error.what, where=error.where, fix=error.fix) from None


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar over the rows of each table."""
    bar = Progress(console=output.console, transient=True, disable=not is_terminal())
    with bar:
        task = bar.add_task(f"    {title}", total=None)

        def tell(name: str, done: int, total: int) -> None:
            bar.update(task, description=f"    {name}", completed=done, total=total)

        yield tell
