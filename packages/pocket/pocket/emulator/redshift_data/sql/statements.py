"""What a text of SQL comes to: the statements that the warehouse executes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class SqlError(Exception):
    """A statement that cannot be executed; the text is what the Data API reports as its error."""


@dataclass(frozen=True)
class Execute:
    """SQL for DuckDB, in order; the last one gives the rows when `has_rows`."""

    sql: tuple[str, ...]
    has_rows: bool


@dataclass(frozen=True)
class Copy:
    """Load every object under an S3 prefix into a table."""

    table: str
    columns: tuple[str, ...]
    source: str
    format: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unload:
    """Write a query's rows as objects under an S3 prefix."""

    query: Execute
    target: str
    format: str
    partition_by: tuple[str, ...] = ()
    overwrite: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Nothing:
    """A statement about a cluster's upkeep or rights, of which there are none here."""

    command: str


Statement = Execute | Copy | Unload | Nothing


def absent(what: str) -> SqlError:
    return SqlError(f"ERROR: {what} is not available in the local warehouse")
