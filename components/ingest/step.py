"""Ingest: from the lake to local files, only what the model's split can use.

The steps after this one read local Parquet and nothing else, so that a run is about one state of
the data: the fingerprints that ingest reports say which.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from contracts.dataset import DatasetSpec
from contracts.document import Document
from contracts.errors import PipelineError
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from data.files import write_parquet
from data.lake import Lake


class IngestedTable(Document):
    """One table, as it was read."""

    name: str
    rows: int
    fingerprint: str
    """The whole table's in the lake; the same fingerprint is the same content."""


class IngestReport(Document):
    """What was read."""

    dataset: str
    since: date | None
    """The first day of the tables with time: the split's start less the features' history; none
    where all was read."""
    until: date
    """The first day that was not read."""
    tables: tuple[IngestedTable, ...]


def ingest(
    spec: ModelSpec, dataset: DatasetSpec, outputs: PlatformOutputs, destination: Path
) -> IngestReport:
    """Write each of the dataset's tables to ``destination/<table>.parquet``.

    Tables with time hold the rows from the dataset's history before the split's start (the rates of
    its first rows need them) to the end of the test part.

    Raises:
        DataError: the dataset is not in the lake, or the lake does not answer.
        PipelineError: the lake has no rows in the split.
    """
    lake = Lake(outputs.lake)
    since, until = days_to_read(spec, dataset)
    destination.mkdir(parents=True, exist_ok=True)
    tables = []
    for name, table in dataset.tables.items():
        rows = (
            lake.read(dataset.name, name, since=since, until=until)
            if table.time
            else lake.read(dataset.name, name)
        )
        if name == dataset.source and rows.num_rows == 0:
            raise PipelineError(
                f"the lake has no {name} from {since or 'the beginning'} until {until}",
                where=f"model {spec.name}: split",
                fix="compare the split's days with the data's",
            )
        write_parquet(rows, destination / f"{name}.parquet")
        tables.append(
            IngestedTable(
                name=name,
                rows=rows.num_rows,
                fingerprint=lake.manifest(dataset.name, name).fingerprint,
            )
        )
    return IngestReport(dataset=dataset.name, since=since, until=until, tables=tuple(tables))


def days_to_read(spec: ModelSpec, dataset: DatasetSpec) -> tuple[date | None, date]:
    """From the history before the split's start (None: from the beginning) to its end."""
    start = spec.split.start
    return (start - dataset.history if start else None), spec.split.test.until
