"""Validate: every row is what its schema says, or is set aside with the reason.

A value that cannot be true does more harm than one that is missing: one wind reading of 1,048 miles
per hour stretches the scale of every other. So such rows are refused, but never silently: they are
written beside the accepted ones, each with its reasons, the report counts them by rule, and when
too many are refused the data as a whole is not believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.document import Document, Share, suggest
from contracts.errors import PipelineError
from data.datasets import Column, DatasetSchema, TableSchema

LIMIT = 0.01
"""The largest share of a table's rows that may be refused."""

REFUSED = "refused"
"""The folder, beside the accepted tables, of the rows that were refused."""

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


class BrokenRule(Document):
    """How often one rule was broken."""

    column: str
    rule: str
    """``type``, ``null``, ``range``, ``values`` or ``duplicate``."""
    expected: str
    rows: int
    example: str
    """The first value that broke it."""


class TableReport(Document):
    """What became of one table's rows."""

    name: str
    rows: int
    accepted: int
    refused: int
    broken: tuple[BrokenRule, ...] = ()


class ValidationReport(Document):
    """What became of the dataset's rows."""

    dataset: str
    limit: Share
    tables: tuple[TableReport, ...]

    def summary(self) -> str:
        """One line for each rule that was broken."""
        lines = [
            f"{table.name}: {rule.rows:,} of {table.rows:,} rows refused: {rule.column} "
            f"{rule.expected} (such as {rule.example})"
            for table in self.tables
            for rule in table.broken
        ]
        return "\n".join(lines) or "no row refused"


@dataclass(frozen=True)
class Finding:
    """The rows that broke one rule."""

    column: str
    rule: str
    expected: str
    rows: Mask
    show: Callable[[int], str]
    """The offending value of a row."""

    def reason(self, row: int) -> str:
        """Why one row is refused."""
        return f"{self.column} {self.expected}, found {self.show(row)}"


def validate(
    source: Path, schema: DatasetSchema, destination: Path, *, limit: float = LIMIT
) -> ValidationReport:
    """Write each table's accepted rows to ``destination/<table>.parquet``, and the others, with a
    column ``reasons``, to ``destination/refused/<table>.parquet``.

    Args:
        source: a folder with the dataset's tables as Parquet files.
        schema: what they must be.
        destination: a folder.
        limit: the largest share of a table's rows that may be refused.

    Raises:
        PipelineError: a table or column is missing, or too many rows were refused (they are
        written all the same, so that one can look).
    """
    report = ValidationReport(
        dataset=schema.name,
        limit=limit,
        tables=tuple(
            validate_table(read_table(source, table), table, destination) for table in schema.tables
        ),
    )
    too_many = [table for table in report.tables if table.refused > limit * table.rows]
    if too_many:
        shares = ", ".join(
            f"{table.refused / table.rows:.1%} of {table.name}" for table in too_many
        )
        raise PipelineError(
            f"too many rows are refused: {shares}; the limit is {limit:.1%}\n{report.summary()}",
            where=f"dataset {schema.name}",
            fix=f"look at {destination / REFUSED}; mend the data, or its schema if that is wrong",
        )
    return report


def read_table(source: Path, schema: TableSchema) -> pa.Table:
    """The schema's columns of a table.

    Raises:
        PipelineError: the file or a column is missing.
    """
    path = source / f"{schema.name}.parquet"
    if not path.is_file():
        raise PipelineError(
            f"the table {schema.name!r} is missing", where=str(path), fix="run ingest again"
        )
    table = pq.read_table(path)
    names = [column.name for column in schema.columns]
    missing = [name for name in names if name not in table.column_names]
    if missing:
        hints = "; ".join(f"{name}: {suggest(name, table.column_names)}" for name in missing)
        raise PipelineError(
            f"the table {schema.name!r} has no column {', '.join(missing)}",
            where=str(path),
            fix=hints,
        )
    return table.select(names)


def validate_table(rows: pa.Table, schema: TableSchema, destination: Path) -> TableReport:
    """Part a table's rows into accepted and refused ones, and write both."""
    typed, findings = typed_columns(rows, schema)
    findings += [found for column in schema.columns for found in broken_values(typed, column)]
    findings += broken_key(typed, schema)
    findings = [found for found in findings if found.rows.any()]
    refused = np.zeros(rows.num_rows, dtype=bool)
    for found in findings:
        refused |= found.rows
    write(typed.filter(pa.array(~refused)), destination / f"{schema.name}.parquet")
    # A rerun into the same folder must not leave an older run's refusals.
    aside = destination / REFUSED / f"{schema.name}.parquet"
    aside.unlink(missing_ok=True)
    if refused.any():
        write(with_reasons(rows, findings, refused), aside)
    return TableReport(
        name=schema.name,
        rows=rows.num_rows,
        accepted=int((~refused).sum()),
        refused=int(refused.sum()),
        broken=tuple(
            BrokenRule(
                column=found.column,
                rule=found.rule,
                expected=found.expected,
                rows=int(found.rows.sum()),
                example=found.show(int(found.rows.argmax())),
            )
            for found in findings
        ),
    )


def write(rows: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, compression="zstd", coerce_timestamps="us")


def with_reasons(rows: pa.Table, findings: list[Finding], refused: Mask) -> pa.Table:
    """The refused rows as they came, each with all its reasons."""
    reasons = [
        "; ".join(found.reason(row) for found in findings if found.rows[row])
        for row in np.flatnonzero(refused).tolist()
    ]
    return rows.filter(pa.array(refused)).append_column("reasons", pa.array(reasons, pa.string()))


# The rules


def typed_columns(rows: pa.Table, schema: TableSchema) -> tuple[pa.Table, list[Finding]]:
    """The rows with the schema's types; a value that has no such form is null, and found."""
    columns, findings = [], []
    for column in schema.columns:
        given = rows[column.name]
        typed, lost = typed_values(given, column.type)
        columns.append(typed)
        findings.append(Finding(column.name, "type", f"must be {column.type}", lost, shown(given)))
    # Nullability is a rule of its own, with a reason; here every column may hold nulls.
    fields = [pa.field(column.name, column.type) for column in schema.columns]
    return pa.table(columns, schema=pa.schema(fields)), findings


def typed_values(given: pa.ChunkedArray, type_: pa.DataType) -> tuple[pa.ChunkedArray, Mask]:
    """The values as a type, and which of them cannot be."""
    try:
        return given.cast(type_), np.zeros(len(given), dtype=bool)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = [typed_value(value, type_) for value in given]
        typed = pa.chunked_array([pa.array(values, type_)])
        return typed, mask(pc.and_(typed.is_null(), given.is_valid()))


def typed_value(value: pa.Scalar, type_: pa.DataType) -> object:
    """One value as a type; None where it cannot be."""
    try:
        return value.cast(type_).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def broken_values(rows: pa.Table, column: Column) -> Iterator[Finding]:
    """Where one column breaks its own rules."""
    values = rows[column.name]
    show = shown(values)
    if not column.nullable:
        yield Finding(column.name, "null", "must not be null", mask(values.is_null()), show)
    if column.low is not None or column.high is not None:
        yield Finding(column.name, "range", expected_range(column), outside(values, column), show)
    if column.values:
        known = pc.is_in(values, value_set=pa.array(column.values, column.type))
        wrong = pc.and_(pc.invert(known), values.is_valid())
        expected = f"must be one of {', '.join(column.values)}"
        yield Finding(column.name, "values", expected, mask(wrong), show)


def outside(values: pa.ChunkedArray, column: Column) -> Mask:
    """Values that are not within the column's range; not-a-number is outside every range."""
    numbers = values.cast(pa.float64(), safe=False)
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    inside = pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))
    return mask(pc.invert(inside))


def expected_range(column: Column) -> str:
    if column.low is None:
        return f"must be at most {column.high:g}"
    if column.high is None:
        return f"must be at least {column.low:g}"
    return f"must be between {column.low:g} and {column.high:g}"


def broken_key(rows: pa.Table, schema: TableSchema) -> list[Finding]:
    """Rows whose key an earlier row has."""
    keys = rows.select(list(schema.key)).to_pandas()
    repeated = keys.duplicated(keep="first").to_numpy()
    name = ", ".join(schema.key)

    def show(row: int) -> str:
        return ", ".join(str(value) for value in keys.iloc[row])

    return [Finding(name, "duplicate", "must name one row", repeated, show)]


def shown(values: pa.ChunkedArray) -> Callable[[int], str]:
    """How a row's value is shown to a person."""

    def show(row: int) -> str:
        value = values[row].as_py()
        return "nothing" if value is None else str(value)

    return show


def mask(values: pa.ChunkedArray) -> Mask:
    """Which rows: null is no."""
    return np.asarray(values.fill_null(False).to_numpy(), dtype=bool)
