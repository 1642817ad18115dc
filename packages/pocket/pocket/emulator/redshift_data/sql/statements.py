"""What a text of SQL comes to: the statements that the warehouse executes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp


class SqlError(Exception):
    """A statement that cannot be executed; the text is what the Data API reports as its error."""


@dataclass(frozen=True)
class Execute:
    """A statement for DuckDB, which is written when it runs: what it means depends on the types of
    the columns that there are then.
    """

    tree: exp.Expr
    has_rows: bool
    explained: bool = False
    """Whether only its plan is asked for."""


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
