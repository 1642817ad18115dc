"""A dataset's document in Arrow's terms: how each type is held in memory and in Parquet."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from contracts.columns import (
    BOOLEAN,
    DATE,
    INTEGER,
    LOCAL_TIMESTAMP,
    NUMBER,
    TEXT,
    TIMESTAMP,
    ColumnSpec,
)
from contracts.dataset import TableSpec

TIME = pa.timestamp("us", tz="UTC")
"""Every instant: UTC, microseconds (nanosecond Parquet is not read everywhere)."""
LOCAL_TIME = pa.timestamp("us")
"""A wall clock's reading, for the parts of a day that people live by."""

ARROW_TYPES: Mapping[str, pa.DataType] = {
    TEXT: pa.string(),
    INTEGER: pa.int64(),
    NUMBER: pa.float64(),
    BOOLEAN: pa.bool_(),
    DATE: pa.date32(),
    TIMESTAMP: TIME,
    LOCAL_TIMESTAMP: LOCAL_TIME,
}


def arrow_type(column: ColumnSpec) -> pa.DataType:
    """How a column's values are held."""
    return pa.decimal128(*column.decimal) if column.decimal else ARROW_TYPES[column.type]


def arrow_schema(table: TableSpec) -> pa.Schema:
    """A table's columns, in the document's order."""
    return pa.schema(
        [
            pa.field(name, arrow_type(column), column.nullable)
            for name, column in table.columns.items()
        ]
    )
