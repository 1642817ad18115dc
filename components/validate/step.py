"""Validate: every row is what its schema says, or is set aside with the reason.

A value that cannot be true does more harm than one that is missing: one wind reading of 1,048 miles
per hour stretches the scale of every other. So such rows are refused, but never silently: they are
written beside the accepted ones, each with its reasons, the report counts them by rule, and when
too many are refused the data as a whole is not believed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.entry import warn
from contracts.dataset import DatasetSpec, TableSpec
from contracts.document import Document, Share, suggest
from contracts.errors import PipelineError
from data.files import write_parquet
from data.rules import RuleBreach, TableReport, broken_rules, counted, refused_rows
from data.values import Mask

REFUSED = "refused"
"""The folder, beside the accepted tables, of the rows that were refused."""


class ValidationReport(Document):
    """What became of the dataset's rows."""

    dataset: str
    limit: Share
    tables: tuple[TableReport, ...]
    warnings: tuple[str, ...] = ()
    """A sentence for each rule that was broken."""

    def summary(self) -> str:
        """One line for each rule that was broken."""
        return "\n".join(self.warnings) or "no row refused"


def validate(
    source: Path, dataset: DatasetSpec, destination: Path, *, limit: float | None = None
) -> ValidationReport:
    """Write each table's accepted rows to ``destination/<table>.parquet``, and the others, with a
    column ``reasons``, to ``destination/refused/<table>.parquet``.

    Args:
        source: a folder with the dataset's tables as Parquet files.
        dataset: what they must be.
        destination: a folder.
        limit: the largest share of a table's rows that may be refused; the document's when None.

    Raises:
        PipelineError: a table or column is missing, or too many rows were refused (they are
        written all the same, so that one can look).
    """
    limit = dataset.quarantine if limit is None else limit
    tables = tuple(
        validate_table(read_table(source, name, table), name, table, destination)
        for name, table in dataset.tables.items()
    )
    warnings = tuple(line for table in tables for line in table.sentences())
    report = ValidationReport(dataset=dataset.name, limit=limit, tables=tables, warnings=warnings)
    warn("validate", warnings)
    too_many = [table for table in report.tables if table.refused > limit * table.rows]
    if too_many:
        shares = ", ".join(
            f"{table.refused / table.rows:.1%} of {table.name}" for table in too_many
        )
        raise PipelineError(
            f"too many rows are refused: {shares}; the limit is {limit:.1%}\n{report.summary()}",
            where=f"dataset {dataset.name}",
            fix=f"look at {destination / REFUSED}; mend the data, or its schema if that is wrong",
        )
    return report


def read_table(source: Path, name: str, spec: TableSpec) -> pa.Table:
    """The document's columns of a table.

    Raises:
        PipelineError: the file or a column is missing.
    """
    path = source / f"{name}.parquet"
    if not path.is_file():
        raise PipelineError(
            f"the table {name!r} is missing", where=str(path), fix="run ingest again"
        )
    table = pq.read_table(path)
    missing = [column for column in spec.columns if column not in table.column_names]
    if missing:
        hints = "; ".join(f"{column}: {suggest(column, table.column_names)}" for column in missing)
        raise PipelineError(
            f"the table {name!r} has no column {', '.join(missing)}",
            where=str(path),
            fix=hints,
        )
    return table.select(list(spec.columns))


def validate_table(rows: pa.Table, name: str, table: TableSpec, destination: Path) -> TableReport:
    """Part a table's rows into accepted and refused ones, and write both."""
    typed, breaches = broken_rules(rows, table)
    refused = refused_rows(breaches, rows.num_rows)
    write_parquet(typed.filter(pa.array(~refused)), destination / f"{name}.parquet")
    # A rerun into the same folder must not leave an older run's refusals.
    aside = destination / REFUSED / f"{name}.parquet"
    aside.unlink(missing_ok=True)
    if refused.any():
        write_parquet(with_reasons(rows, breaches, refused), aside)
    return TableReport(
        name=name,
        rows=rows.num_rows,
        accepted=int((~refused).sum()),
        refused=int(refused.sum()),
        broken=counted(breaches),
    )


def with_reasons(rows: pa.Table, breaches: list[RuleBreach], refused: Mask) -> pa.Table:
    """The refused rows as they came, each with all its reasons."""
    reasons = [
        "; ".join(breach.reason(row) for breach in breaches if breach.rows[row])
        for row in np.flatnonzero(refused).tolist()
    ]
    return rows.filter(pa.array(refused)).append_column("reasons", pa.array(reasons, pa.string()))
