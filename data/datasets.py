"""From a dataset's document to its tables in the lake.

The platform has no dataset of its own: what there is to load is in the folders of the project, a
document each, with a ``load.py`` beside it where files alone do not say it. Loading again replaces
the tables, so that the lake has what the document's sources have now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from contracts.dataset import DatasetSpec, TableSpec
from contracts.document import suggest
from contracts.errors import DataError
from data.content import blamed_on, run_file
from data.lake import Lake
from data.schema import arrow_schema

Progress = Callable[[str, int, int], None]
"""Called with a table's name, the rows of it that are written and the rows it has."""


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What is in the lake now: rows by table, and the fingerprint of all of it."""

    dataset: str
    rows: dict[str, int]
    fingerprints: dict[str, str]


def load_dataset(
    datasets: Path, name: str, lake: Lake, progress: Progress | None = None
) -> LoadReport:
    """Put a dataset's tables into the lake's raw bucket; doing it again changes nothing.

    Args:
        datasets: the folder of datasets.
        name: the dataset's.
        lake: where its tables go.
        progress: is told of each part that is written.

    Raises:
        DataError: there is no such dataset, a source of it is wrong, or the lake does not answer.
        DocumentError: its document is wrong.
    """
    dataset = DatasetSpec.find(datasets, name)
    rows, fingerprints = {}, {}
    for table, content in read_tables(datasets / name, dataset):
        total = content.num_rows

        def written(done: int, table: str = table, total: int = total) -> None:
            if progress is not None:
                progress(table, done, total)

        rows[table] = total
        fingerprints[table] = lake.write_table(
            name, table, content, time=dataset.table(table).time, progress=written
        ).fingerprint
    return LoadReport(dataset=name, rows=rows, fingerprints=fingerprints)


def read_tables(folder: Path, dataset: DatasetSpec) -> Iterator[tuple[str, pa.Table]]:
    """The dataset's tables as its document has them, in the document's order.

    Args:
        folder: the dataset's own, with its document.
        dataset: the document.

    Raises:
        DataError: a source is missing, fails, or does not have what the document says.
    """
    given = loader_tables(folder, dataset)
    for name, table in dataset.tables.items():
        yield name, conform(given[name], name, table, place=f"{folder / (dataset.loader or '')}")


def loader_tables(folder: Path, dataset: DatasetSpec) -> dict[str, pa.Table]:
    """What the dataset's own ``load()`` gives.

    Raises:
        DataError: the file has none, fails, or lacks a table.
    """
    if dataset.loader is None:
        return {}
    path = folder / dataset.loader
    load = run_file(path, raises=DataError).get("load")
    if not callable(load):
        raise DataError("defines no function load()", where=str(path), fix=LOADER_HINT)
    with blamed_on(path, raises=DataError):
        given = load()
        pairs = dict(given.items() if isinstance(given, Mapping) else as_pairs(given))
        tables = {name: as_table(value) for name, value in pairs.items() if name in dataset.loaded}
    missing = [name for name in dataset.loaded if name not in tables]
    if missing:
        raise DataError(
            f"load() gives no table {', '.join(missing)}",
            where=str(path),
            fix=suggest(missing[0], [str(name) for name in pairs]),
        )
    return tables


LOADER_HINT = "write `def load() -> dict[str, pyarrow.Table]`, a table for each that has no files"


def as_pairs(given: object) -> list[tuple[str, object]]:
    """A sequence of pairs of a table's name and its rows."""
    if isinstance(given, Iterable):
        pairs = list(given)
        if all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
            return pairs
    raise DataError(f"load() gives {type(given).__name__}, not tables by name", fix=LOADER_HINT)


def as_table(value: object) -> pa.Table:
    """Rows of any library that speaks Arrow: its tables, readers and batches, pandas, Polars."""
    if isinstance(value, pa.Table):
        return value
    return pa.table(value)


def conform(given: pa.Table, name: str, table: TableSpec, *, place: str) -> pa.Table:
    """The document's columns with its types, in the order of its time and key.

    Raises:
        DataError: a column is missing, or holds what its type cannot.
    """
    missing = [column for column in table.columns if column not in given.column_names]
    if missing:
        raise DataError(
            f"the table {name!r} has no column {', '.join(missing)}",
            where=place,
            fix="; ".join(f"{column}: {suggest(column, given.column_names)}" for column in missing),
        )
    order = dict.fromkeys([*([table.time] if table.time else []), *table.key])
    chosen = given.select(list(table.columns)).sort_by([(column, "ascending") for column in order])
    schema = arrow_schema(table)
    columns = []
    for field in schema:
        try:
            columns.append(chosen[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"{name}.{field.name} must be {field.type}: {error}", where=place
            ) from None
    return pa.table(columns, schema=schema)
