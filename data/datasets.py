"""From a dataset's document to its tables in the lake.

The platform has no dataset of its own: what there is to load is in the folders of the project.
Loading again replaces the tables, so that the lake has what the document's sources have now. Rows
that no table can hold go into a table beside it, its quarantine, each with its reasons. Rows that a
rule disbelieves stay, for the validation step to judge, and are told of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from contracts.dataset import DatasetSpec, names_in
from contracts.errors import DataError, DocumentError
from data.lake import Lake
from data.reading import ReadTable, read_tables
from data.rules import BrokenRule, TableReport, broken_rules, counted

LoadProgress = Callable[[str, int, int], None]
"""Called with a table's name, the rows of it that are written and the rows it has."""

QUARANTINE = ".quarantine"
"""What a table's name has behind it where the rows are that were set aside; no table's own name has
a point."""
MOST_REASONS = 10
REFUSED_ROW = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("reasons", pa.string()), ("content", pa.string())]
)


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What is in the lake now: rows by table, and the fingerprint of all of it.

    ``read`` counts what was set aside on reading; ``doubted`` are the rules that rows in the lake
    break, by table: the validation step will refuse them.
    """

    dataset: str
    rows: dict[str, int]
    fingerprints: dict[str, str]
    read: dict[str, TableReport]
    doubted: dict[str, tuple[BrokenRule, ...]]

    @property
    def quarantined(self) -> dict[str, int]:
        """How many rows were set aside, by table; those without any are not named."""
        return {name: table.refused for name, table in self.read.items() if table.refused}

    def warnings(self) -> list[str]:
        """One sentence for each rule that rows broke."""
        aside = [line for table in self.read.values() for line in table.sentences()]
        return aside + [
            f"{name}: {rule.rows:,} of {self.rows[name]:,} rows will be refused by validation: "
            f"{rule.column} {rule.expected} (such as {rule.example})"
            for name, rules in self.doubted.items()
            for rule in rules
        ]


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """A dataset in a line; ``origin`` is what it is read from."""

    name: str
    tables: tuple[str, ...] = ()
    origin: str = ""
    description: str = ""


def summaries(datasets: Path) -> list[DatasetSummary]:
    """The datasets of a folder; one whose document is wrong says so in place of its description."""
    rows = []
    for name in names_in(datasets):
        try:
            dataset = DatasetSpec.find(datasets, name)
        except DocumentError as error:
            rows.append(DatasetSummary(name=name, description=str(error)))
            continue
        formats = {table.files.format_name for table in dataset.tables.values() if table.files}
        origin = ", ".join([*sorted(formats), *([dataset.loader] if dataset.loader else [])])
        rows.append(
            DatasetSummary(
                name=name,
                tables=tuple(dataset.tables),
                origin=origin,
                description=dataset.description,
            )
        )
    return rows


def load_dataset(
    datasets: Path,
    name: str,
    lake: Lake,
    progress: LoadProgress | None = None,
    *,
    limit: float | None = None,
) -> LoadReport:
    """Put a dataset's tables into the lake's raw bucket; doing it again changes nothing.

    Args:
        datasets: the folder of datasets.
        name: the dataset's.
        lake: where its tables go.
        progress: is told of each part that is written.
        limit: the largest share of a table's rows that may be set aside; the document's when None.

    Raises:
        DataError: there is no such dataset, a source of it is wrong, or the lake does not answer.
            A table is written only when all of it was read.
        DocumentError: its document is wrong.
    """
    dataset = DatasetSpec.find(datasets, name)
    report = LoadReport(dataset=name, rows={}, fingerprints={}, read={}, doubted={})
    for table in read_tables(datasets / name, dataset):
        check_refused(table.report, dataset, dataset.quarantine if limit is None else limit)
        total = table.rows.num_rows

        def written(done: int, name: str = table.name, total: int = total) -> None:
            if progress is not None:
                progress(name, done, total)

        set_aside(lake, dataset, table)
        spec = dataset.table(table.name)
        manifest = lake.write_table(name, table.name, table.rows, time=spec.time, progress=written)
        report.rows[table.name] = total
        report.fingerprints[table.name] = manifest.fingerprint
        report.read[table.name] = table.report
        if rules := counted(broken_rules(table.rows, spec)[1]):
            report.doubted[table.name] = rules
    return report


def check_refused(report: TableReport, dataset: DatasetSpec, limit: float) -> None:
    """Data of which too much is wrong is not believed as a whole.

    Raises:
        DataError: more rows than the limit allows are to be set aside.
    """
    if report.refused <= limit * report.rows:
        return
    lines = report.sentences()
    more = [f"… and {len(lines) - MOST_REASONS} more"] if len(lines) > MOST_REASONS else []
    raise DataError(
        f"{report.refused:,} of {report.rows:,} rows of {report.name} cannot be read, "
        f"{report.refused / report.rows:.1%}; the limit is {limit:.1%}\n"
        + "\n".join([*lines[:MOST_REASONS], *more]),
        where=f"dataset {dataset.name}",
        fix="mend the data, or its document where that is wrong; `quarantine` there is the limit",
    )


def set_aside(lake: Lake, dataset: DatasetSpec, table: ReadTable) -> None:
    """The rows that the table cannot hold, in a table beside it; none where all are well."""
    name = f"{table.name}{QUARANTINE}"
    if table.refused:
        rows = pa.Table.from_pylist([asdict(row) for row in table.refused], schema=REFUSED_ROW)
        lake.write_table(dataset.name, name, rows)
    else:
        lake.delete_table(dataset.name, name)
