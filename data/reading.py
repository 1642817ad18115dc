"""A dataset's tables as its document has them, whatever they are read from.

Files and a loader's tables take the same way: the document's columns are chosen, each value becomes
its column's type, and rows that no table can hold are set aside with their reasons. What is left is
put in the order of the table's time and key, so that the same rows are the same table in whatever
order they came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from contracts.dataset import DatasetSpec, TableSpec
from contracts.document import suggest
from contracts.errors import DataError
from data.content import blamed_on, run_file
from data.rules import (
    BrokenRule,
    RuleBreach,
    TableReport,
    counted,
    readable,
    refused_rows,
    typed_columns,
)
from data.schema import arrow_schema
from data.sources import RawRows, RefusedRow, SourceFile, columns_in, find_files, read_file
from data.values import mask

LOADER_HINT = "write `def load() -> dict[str, pyarrow.Table]`, a table for each that has no files"


@dataclass(frozen=True, kw_only=True)
class ReadTable:
    """A table that was read; ``report`` counts the rows that were set aside, by reason."""

    name: str
    rows: pa.Table
    refused: tuple[RefusedRow, ...] = ()
    report: TableReport


def read_tables(folder: Path, dataset: DatasetSpec) -> Iterator[ReadTable]:
    """The dataset's tables, in the document's order.

    Args:
        folder: the dataset's own, with its document.
        dataset: the document.

    Raises:
        DataError: a source is missing, fails, or does not have what the document says; nothing is
            read while one of the files is missing.
    """
    files = {
        name: find_files(table.files, folder)
        for name, table in dataset.tables.items()
        if table.files
    }
    given = loader_tables(folder, dataset)
    for name, table in dataset.tables.items():
        if name in files:
            parts = from_files(files[name], table)
        else:
            parts = iter([from_loader(given.pop(name), name, table, folder, dataset)])
        yield assemble(parts, name, table)


def from_files(files: Iterable[SourceFile], table: TableSpec) -> Iterator[tuple[str, RawRows]]:
    """Each file's rows, and its name."""
    assert table.files is not None
    for file in files:
        yield file.name, read_file(file, table.files, table)


def from_loader(
    given: pa.Table, name: str, table: TableSpec, folder: Path, dataset: DatasetSpec
) -> tuple[str, RawRows]:
    """A loader's rows, and what to call them."""
    place = f"{folder / (dataset.loader or '')}: {name}"
    columns = columns_in(given.column_names, table, place=place)
    rows = given.select(list(columns.values())).rename_columns(list(columns))
    return place, RawRows(rows=rows, numbers=range(1, rows.num_rows + 1))


def assemble(parts: Iterable[tuple[str, RawRows]], name: str, table: TableSpec) -> ReadTable:
    """One table of several files.

    Raises:
        DataError: there are no rows at all.
    """
    typed, refused, broken = [], [], []
    places = []
    for place, raw in parts:
        rows, aside, rules = typed_rows(raw, table, place)
        typed.append(rows)
        refused += aside
        broken += rules
        places.append(place)
    whole = in_order(pa.concat_tables(typed), table)
    if whole.num_rows + len(refused) == 0:
        raise DataError(f"the table {name!r} has no rows", where=", ".join(places[:3]))
    report = TableReport(
        name=name,
        rows=whole.num_rows + len(refused),
        accepted=whole.num_rows,
        refused=len(refused),
        broken=merged(broken),
    )
    return ReadTable(name=name, rows=whole, refused=tuple(refused), report=report)


def typed_rows(
    raw: RawRows, table: TableSpec, place: str
) -> tuple[pa.Table, list[RefusedRow], list[BrokenRule]]:
    """The rows that the table can hold, those that it cannot, and why."""
    typed, breaches = typed_columns(raw.rows, table)
    if table.time:
        # A row without its time has no place in the lake, nor in any split.
        missing = mask(raw.rows[table.time].is_null())
        breaches.append(
            RuleBreach(table.time, "null", "must not be null", missing, lambda _: "nothing")
        )
    breaches = [breach for breach in breaches if breach.rows.any()]
    wrong = refused_rows(breaches, raw.rows.num_rows)
    refused = list(raw.refused)
    for row in np.flatnonzero(wrong).tolist():
        values = {name: readable(raw.rows[name][row]) for name in raw.rows.column_names}
        reasons = "; ".join(breach.reason(row) for breach in breaches if breach.rows[row])
        content = json.dumps(values, default=str, ensure_ascii=False)
        refused.append(
            RefusedRow(file=place, row=raw.numbers[row], reasons=reasons, content=content)
        )
    shapes = [
        BrokenRule(
            column="row",
            rule="shape",
            expected="",
            rows=1,
            example=f"{row.reasons}, row {row.row} of {place}",
        )
        for row in raw.refused
    ]
    rows = typed if not breaches else typed.filter(pa.array(~wrong))
    counts = counted(breaches, lambda row: f", row {raw.numbers[row]} of {place}")
    return rows, refused, [*shapes, *counts]


def merged(broken: Iterable[BrokenRule]) -> tuple[BrokenRule, ...]:
    """The same rules of several files, counted together; the first example stands for all."""
    rules: dict[tuple[str, str, str], BrokenRule] = {}
    for rule in broken:
        key = (rule.column, rule.rule, rule.expected)
        before = rules.get(key)
        rules[key] = (
            rule if before is None else before.model_copy(update={"rows": before.rows + rule.rows})
        )
    return tuple(rules.values())


def in_order(rows: pa.Table, table: TableSpec) -> pa.Table:
    """The rows in the order of the table's time and key, as its schema has them."""
    order = dict.fromkeys([*([table.time] if table.time else []), *table.key])
    ordered = rows.sort_by([(column, "ascending") for column in order])
    # A null in a column that may have none is for validation to refuse, with its reason.
    schema = arrow_schema(table)
    fields = [
        field if ordered[field.name].null_count == 0 else field.with_nullable(True)
        for field in schema
    ]
    return pa.table(ordered.columns, schema=pa.schema(fields))


# A dataset's own load.py


def loader_tables(folder: Path, dataset: DatasetSpec) -> dict[str, pa.Table]:
    """What the dataset's own ``load()`` gives.

    Raises:
        DataError: the file has none, fails (with its line), or lacks a table.
    """
    if dataset.loader is None:
        return {}
    path = folder / dataset.loader
    load = run_file(path, raises=DataError).get("load")
    if not callable(load):
        raise DataError("defines no function load()", where=str(path), fix=LOADER_HINT)
    with blamed_on(str(path), raises=DataError):
        pairs = pairs_of(load(), path)
        tables = {name: as_table(value) for name, value in pairs.items() if name in dataset.loaded}
    missing = [name for name in dataset.loaded if name not in tables]
    if missing:
        raise DataError(
            f"load() gives no table {', '.join(missing)}",
            where=str(path),
            fix=suggest(missing[0], list(pairs)) if pairs else LOADER_HINT,
        )
    return tables


def pairs_of(given: object, path: Path) -> dict[str, object]:
    """A mapping of tables by name, or a sequence of pairs of a name and its table.

    Raises:
        DataError: it is neither.
    """
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    tables: dict[str, object] = {}
    for pair in given if isinstance(given, Iterable) else [given]:
        match pair:
            case (str(name), value):
                tables[name] = value
            case _:
                raise DataError("load() gives no tables by name", where=str(path), fix=LOADER_HINT)
    return tables


def as_table(value: object) -> pa.Table:
    """Rows of whatever speaks Arrow: its tables, readers and batches, pandas, Polars."""
    if isinstance(value, pd.DataFrame):
        mixed = [name for name in value.columns if value[name].dtype == object]
        value = value.assign(**{name: spelled(value[name].tolist()) for name in mixed})
    elif isinstance(value, Mapping):
        value = {n: spelled(own) if isinstance(own, list) else own for n, own in value.items()}
    return value if isinstance(value, pa.Table) else pa.table(value)


def spelled(values: list[object]) -> list[object]:
    """Python's days, clock readings and instants as text where they stand in one column.

    Arrow would take all for what the first one is, and silently: it makes an instant behind a clock
    reading a reading in UTC, and cuts the time off behind a day. As text each keeps what it says.
    """
    kinds = {
        (isinstance(value, datetime), getattr(value, "tzinfo", None) is not None)
        for value in values
        if isinstance(value, date) and value == value  # pandas' missing time is none
    }
    if len(kinds) < 2:
        return values
    return [
        value.isoformat() if isinstance(value, date) and value == value else value
        for value in values
    ]
