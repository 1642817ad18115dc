"""The data engine: Ibis over DuckDB.

Features are Ibis expressions, so that the same definition runs here and, when the data outgrows one
machine, on Spark. Everything that would make the two differ without anyone noticing (the session's
time zone, a machine's number of cores or its memory) is set here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import duckdb
import ibis
import pyarrow as pa
import pyarrow.dataset as ds
from ibis.backends.duckdb import Backend

from contracts.errors import DataError

Source: TypeAlias = pa.Table | ds.Dataset | Path
"""Rows in memory, rows in the lake, or a Parquet file."""


def connect(*, memory_limit: str = "2GB", threads: int | None = None) -> Backend:
    """An empty engine in this process; clocks are UTC.

    Args:
        memory_limit: how much memory DuckDB may take, as ``512MB`` or ``2GB``.
        threads: how many; None takes all cores.
    """
    settings = {"memory_limit": memory_limit}
    if threads is not None:
        settings["threads"] = str(threads)
    engine = ibis.duckdb.connect(**settings)
    engine.raw_sql("SET TimeZone = 'UTC'")
    return engine


def register(engine: Backend, name: str, source: Source) -> ibis.Table:
    """Give the rows a name in the engine; nothing is copied.

    Raises:
        DataError: the file is missing or is not Parquet.
    """
    if isinstance(source, Path):
        if not source.is_file():
            raise DataError("there is no such file", where=str(source))
        try:
            return engine.read_parquet(source, table_name=name)
        except duckdb.Error as error:
            raise DataError(f"this is not Parquet: {error}", where=str(source)) from None
    engine.con.register(name, source)
    return engine.table(name)


def register_folder(engine: Backend, folder: Path) -> Mapping[str, ibis.Table]:
    """Every Parquet file of a folder, under its own name.

    Raises:
        DataError: there are none.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise DataError("there are no Parquet files", where=str(folder))
    return {file.stem: register(engine, file.stem, file) for file in files}
