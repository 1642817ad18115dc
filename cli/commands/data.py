"""``millwright data``: what is in the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from cli import completing
from cli.app import app, output
from cli.common import EnvironmentOption, OutputsOption, project
from cli.output import is_terminal, table
from contracts.columns import ColumnSpec
from contracts.dataset import DatasetSpec
from contracts.errors import DataError, MillwrightError, UsageError
from project.handle import Project

DatasetName = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="The dataset's folder in datasets/.",
        autocompletion=completing.datasets,
    ),
]

group = typer.Typer(help="Load data into the lake.", no_args_is_help=True)
app.add_typer(group, name="data")


@group.command()
def load(
    dataset: DatasetName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    strict: bool = typer.Option(False, "--strict", help="Load nothing if a row cannot be read."),
) -> None:
    """Load a dataset into the lake; the same data again replaces itself.

    Rows that cannot be read are set aside, each with its reason, in a table beside the others.
    """
    load_tables(project(environment, outputs=outputs), dataset, limit=0.0 if strict else None)


def load_tables(where: Project, name: str, *, limit: float | None = None) -> None:
    """A dataset's tables, as Parquet by month; prints what is in the lake then."""
    # A wrong document is said before anything is asked of the environment.
    dataset_of(where.datasets, name)
    where.connect()
    from data.datasets import load_dataset
    from data.lake import Lake

    buckets = where.outputs().lake
    lake = Lake(buckets)
    with progress_bar(name) as tell:
        report = load_dataset(where.datasets, name, lake, tell, limit=limit)
    manifests = lake.tables(report.dataset)
    output.result(
        {
            "dataset": report.dataset,
            "rows": report.rows,
            "fingerprints": report.fingerprints,
            "quarantined": report.quarantined,
            "warnings": report.warnings(),
        },
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
    for line in report.warnings():
        output.say(f"    [yellow]![/] {escape(line)}")


@group.command("list")
def list_datasets() -> None:
    """List the project's datasets."""
    from data.datasets import summaries

    datasets = project().datasets
    rows = summaries(datasets)
    output.result(
        [asdict(row) for row in rows],
        lambda console: console.print(
            table(
                "",
                ("dataset", "tables", "read from", "description"),
                [(row.name, ", ".join(row.tables), row.origin, row.description) for row in rows],
            )
            if rows
            else f"    there is no dataset in {datasets}"
        ),
    )


@group.command()
def show(
    dataset: DatasetName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
) -> None:
    """Show a dataset's tables and columns, and what of it is in the lake."""
    where = project(environment, outputs=outputs)
    spec = dataset_of(where.datasets, dataset)
    loaded = loaded_rows(where, dataset)

    def tables(console: Console) -> None:
        for name, own in spec.tables.items():
            time = f"; time {own.time}" if own.time else ""
            title = f"{name}: {own.description} (key {', '.join(own.key)}{time})"
            rows = [column_row(*each) for each in own.columns.items()]
            console.print(table(title, COLUMNS, rows))
        console.print(
            "    in the lake: "
            + (", ".join(f"{name} {rows:,} rows" for name, rows in loaded.items()) or "nothing")
        )

    output.result({**spec.model_dump(mode="json"), "loaded": loaded}, tables)


COLUMNS = ("column", "type", "unit", "may be missing", "believed", "description")


def column_row(name: str, column: ColumnSpec) -> tuple[str, ...]:
    """A column as a person reads it."""
    believed = ", ".join(str(value) for value in column.values)
    if column.range is not None:
        believed = " to ".join("…" if end is None else str(end) for end in column.range)
    missing = "yes" if column.nullable else ""
    return name, column.type, column.unit, missing, believed, column.description


def loaded_rows(where: Project, name: str) -> dict[str, int]:
    """How many rows of each table are in the environment's lake; none where it is not up."""
    from data.lake import Lake

    try:
        where.connect()
        manifests = Lake(where.outputs().lake).tables(name)
    except MillwrightError:
        return {}
    return {manifest.table: manifest.rows for manifest in manifests}


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
