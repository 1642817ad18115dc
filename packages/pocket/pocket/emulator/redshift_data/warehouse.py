"""Executes the local warehouse's SQL on DuckDB, a file for each database of each cluster.

A statement of the Data API runs in a session of its own and in one transaction, as on Redshift:
what fails half-way leaves nothing, and temporary tables end with it. COPY and UNLOAD go through
the S3 of this same server, so that a missing object or bucket fails as it would there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

from pocket.emulator.redshift_data.sql import (
    MACROS,
    Copy,
    Execute,
    Kind,
    Nothing,
    SqlError,
    Statement,
    Unload,
    kind_of_column,
    render,
)

_CONFIG = {
    # Nothing is fetched from anywhere, and nothing of the machine is read but what lies here.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "4GB",
}
_SESSION = "SET TimeZone='UTC'; SET integer_division=true; SET search_path='public'"


_COLUMNS = (
    "SELECT database_name, schema_name, table_name, column_name, data_type FROM duckdb_columns() "
    "WHERE NOT internal AND database_name IN (current_database(), 'temp') ORDER BY column_index"
)


@dataclass(frozen=True)
class Outcome:
    """What a statement gave: rows when it has any, else how many rows it changed (-1: unknown)."""

    rows: pa.Table | None
    changed: int = -1


class Warehouse:
    """All databases below `folder`; `s3` makes a boto3 S3 client."""

    def __init__(self, folder: Path, s3: Callable[[], Any]) -> None:
        self._folder = folder
        self._s3 = s3
        self._lock = threading.Lock()
        self._open: dict[Path, duckdb.DuckDBPyConnection] = {}

    def session(self, cluster: str, database: str) -> duckdb.DuckDBPyConnection:
        """A new session of the database, which is made when it is asked for first."""
        path = self._path(cluster, database)
        with self._lock:
            root = self._open.get(path)
            if root is None:
                root = self._open[path] = _opened(path, _temporary(self._folder))
        session = root.cursor()
        session.execute(_SESSION)
        return session

    def execute(
        self, session: duckdb.DuckDBPyConnection, statements: Sequence[Statement]
    ) -> list[Outcome]:
        """Run the statements in one transaction.

        Raises:
            SqlError: one of them failed; none of them has left anything.
        """
        session.execute("BEGIN")
        try:
            outcomes = [self._one(session, statement) for statement in statements]
            session.execute("COMMIT")
        except (duckdb.Error, SqlError) as failure:
            with contextlib.suppress(duckdb.TransactionException):  # it may have ended already
                session.execute("ROLLBACK")
            raise SqlError(_reported(failure)) from failure
        return outcomes

    def forget(self, cluster: str) -> None:
        """Remove the cluster's databases."""
        folder = self._folder / cluster
        with self._lock:
            for path in [path for path in self._open if path.parent == folder]:
                self._open.pop(path).close()
        shutil.rmtree(folder, ignore_errors=True)

    def copy(self, cluster: str, to: str) -> None:
        """Copy the cluster's databases as they are now, each in one transaction, to another's.

        What was there of the same name is replaced. A snapshot is a cluster that nobody queries.
        """
        for database in self.databases(cluster):
            scratch = _temporary(self._folder) / f"{uuid.uuid4().hex}.duckdb"
            session = self.session(cluster, database)
            try:
                session.execute(f"ATTACH '{scratch}' AS pocket_copy")
                session.execute(f'COPY FROM DATABASE "{database}" TO pocket_copy')
                _drop_macros(session, "pocket_copy")
                session.execute("DETACH pocket_copy")
            finally:
                session.close()
            path = self._path(to, database)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._lock:
                if path in self._open:
                    self._open.pop(path).close()
                scratch.replace(path)

    def forget_all(self) -> None:
        """Remove every database."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Write everything to the files and close them."""
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()

    def databases(self, cluster: str) -> list[str]:
        """The names of the databases that were used."""
        return sorted(path.stem for path in (self._folder / cluster).glob("*.duckdb"))

    def _path(self, cluster: str, database: str) -> Path:
        return self._folder / cluster / f"{database}.duckdb"

    def _one(self, session: duckdb.DuckDBPyConnection, statement: Statement) -> Outcome:
        match statement:
            case Nothing():
                return Outcome(None, 0)
            case Execute():
                return _run(session, statement)
            case Copy():
                return self._copy(session, statement)
            case Unload():
                return self._unload(session, statement)

    def _copy(self, session: duckdb.DuckDBPyConnection, copy: Copy) -> Outcome:
        with tempfile.TemporaryDirectory(dir=_temporary(self._folder)) as folder:
            files = list(self._fetched(copy.source, Path(folder)))
            if not files:
                raise SqlError(f"ERROR: The specified S3 prefix '{copy.source}' does not exist")
            source = _reader(copy, files)
            # Columns go by their place, as Redshift takes them, not by their name.
            given = len(session.sql(f"SELECT * FROM {source} LIMIT 0").columns)
            wanted = len(copy.columns) or len(session.sql(f"FROM {copy.table} LIMIT 0").columns)
            if given != wanted:
                raise SqlError(
                    f"ERROR: Spectrum Scan Error. Unmatched number of columns between table and "
                    f"file. Table columns: {wanted}, Data columns: {given}"
                )
            names = f"({', '.join(copy.columns)})" if copy.columns else ""
            session.execute(f"INSERT INTO {copy.table} {names} SELECT * FROM {source}")
            return Outcome(None, _count(session))

    def _fetched(self, address: str, folder: Path) -> Iterator[Path]:
        bucket, prefix = _split(address)
        s3 = self._s3()
        for page in _pages(s3, bucket, prefix):
            for found in page.get("Contents", []):
                if found["Size"] == 0 and found["Key"].endswith("/"):
                    continue
                path = folder / f"{sum(1 for _ in folder.iterdir())}"
                s3.download_file(bucket, found["Key"], str(path))
                yield path

    def _unload(self, session: duckdb.DuckDBPyConnection, unload: Unload) -> Outcome:
        bucket, prefix = _split(unload.target)
        s3 = self._s3()
        old = [
            item["Key"] for page in _pages(s3, bucket, prefix) for item in page.get("Contents", [])
        ]
        if old and not unload.overwrite:
            raise SqlError(
                f"ERROR: Specified unload destination on S3 is not empty. Consider using a "
                f"different bucket / prefix, manually removing the target files in S3, or using "
                f"the ALLOWOVERWRITE option: {unload.target}"
            )
        *before, query = render(unload.query, _catalogue(session))
        for sql in before:
            session.execute(sql)
        with tempfile.TemporaryDirectory(dir=_temporary(self._folder)) as name:
            folder = Path(name) / "out"
            folder.mkdir()
            target = folder if unload.partition_by else folder / "part"
            session.execute(f"COPY ({_exact(session, query)}) TO '{target}' ({_writer(unload)})")
            changed = _count(session)
            if "CLEANPATH" in unload.options:
                for key in old:
                    s3.delete_object(Bucket=bucket, Key=key)
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                s3.upload_file(str(path), bucket, prefix + _part(path.relative_to(folder), unload))
        return Outcome(None, changed)


def _opened(path: Path, scratch: Path) -> duckdb.DuckDBPyConnection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = duckdb.connect(str(path), config={**_CONFIG, "temp_directory": str(scratch)})
    connection.execute(f"SET allowed_directories=['{scratch}']")
    connection.execute("SET enable_external_access=false")
    connection.execute("CREATE SCHEMA IF NOT EXISTS public")
    _drop_macros(connection, path.stem)
    for macro in MACROS:
        connection.execute(f"CREATE MACRO main.{macro}")
    return connection


def _catalogue(session: duckdb.DuckDBPyConnection) -> Callable[[str, str], dict[str, Kind]]:
    """What tables and views there are at this moment, looked up when it is asked for first."""
    tables: dict[tuple[str, str], dict[str, Kind]] = {}

    def columns(schema: str, name: str) -> dict[str, Kind]:
        if not tables:
            tables["", ""] = {}
            for database, owner, table, column, kind in session.execute(_COLUMNS).fetchall():
                place = "" if database == "temp" else owner
                tables.setdefault((place, table), {})[column.lower()] = kind_of_column(kind)
        places = (schema,) if schema else ("", "public", *(place for place, _ in tables))
        return next((tables[place, name] for place in places if (place, name) in tables), {})

    return columns


def _drop_macros(session: duckdb.DuckDBPyConnection, database: str) -> None:
    """Copied, a macro named like the function that it uses calls itself; each opening makes them
    anew.
    """
    found = session.execute(
        "SELECT DISTINCT function_name, function_type FROM duckdb_functions() WHERE NOT internal "
        "AND schema_name = 'main' AND database_name = ?",
        [database],
    )
    for name, kind in found.fetchall():
        table = "TABLE " if kind == "table_macro" else ""
        session.execute(f'DROP MACRO {table}"{database}".main."{name}"')


def _temporary(folder: Path) -> Path:
    path = folder / "tmp"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _run(session: duckdb.DuckDBPyConnection, statement: Execute) -> Outcome:
    *before, last = render(statement, _catalogue(session))
    for sql in before:
        session.execute(sql)
    word = last.split(maxsplit=1)[0].upper()
    if word in ("BEGIN", "START"):  # there is a transaction already
        return Outcome(None, 0)
    if word in ("COMMIT", "END", "ROLLBACK", "ABORT"):
        session.execute(last)
        session.execute("BEGIN")
        return Outcome(None, 0)
    if statement.has_rows:
        return Outcome(session.execute(last).to_arrow_table())
    session.execute(last)
    return Outcome(None, _count(session))


def _count(session: duckdb.DuckDBPyConnection) -> int:
    """How many rows the last statement changed; -1 when it does not say."""
    row = session.fetchone() if session.description else None
    return row[0] if row and isinstance(row[0], int) else -1


def _exact(session: duckdb.DuckDBPyConnection, query: str) -> str:
    """The query with 128-bit integers as decimals: a file has no wider integer, only a double."""
    relation = session.sql(query)
    wide = [
        name
        for name, kind in zip(relation.columns, relation.types, strict=True)
        if str(kind) in ("HUGEINT", "UHUGEINT")
    ]
    if not wide:
        return query
    casts = ", ".join(f'CAST("{name}" AS DECIMAL(38, 0)) AS "{name}"' for name in wide)
    return f"SELECT * REPLACE ({casts}) FROM ({query})"


def _reader(copy: Copy, files: Iterable[Path]) -> str:
    paths = json.dumps([str(path) for path in files]).replace('"', "'")
    if copy.format == "PARQUET":
        return f"read_parquet({paths})"
    delimiter = copy.options.get("DELIMITER", ",").replace("'", "''")
    skip = int(copy.options.get("IGNOREHEADER", "0"))
    compression = "gzip" if "GZIP" in copy.options else "none"
    return (
        f"read_csv({paths}, header=false, auto_detect=true, all_varchar=true, delim='{delimiter}', "
        f"skip={skip}, compression='{compression}')"
    )


def _writer(unload: Unload) -> str:
    parts = [f"FORMAT {unload.format.lower()}"]
    if unload.format == "CSV":
        parts.append(f"HEADER {'true' if 'HEADER' in unload.options else 'false'}")
        delimiter = unload.options.get("DELIMITER", ",").replace("'", "''")
        parts.append(f"DELIMITER '{delimiter}'")
        if "GZIP" in unload.options:
            parts.append("COMPRESSION gzip")
    if unload.partition_by:
        parts.append(f"PARTITION_BY ({', '.join(unload.partition_by)})")
    return ", ".join(parts)


def _part(path: Path, unload: Unload) -> str:
    """The object's name after the prefix: the partition, then Redshift's slice and part."""
    ending = ".parquet" if unload.format == "PARQUET" else ".gz" if "GZIP" in unload.options else ""
    number = path.stem.removeprefix("data_") if path.stem.startswith("data_") else "0"
    partition = f"{path.parent}/" if unload.partition_by else ""
    return f"{partition}{int(number):04d}_part_00{ending}"


def _split(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def _pages(s3: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    try:
        yield from s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    except s3.exceptions.ClientError as failure:
        error = failure.response["Error"]
        raise SqlError(
            f"ERROR: S3ServiceException: {error['Message']}, Status "
            f"{failure.response['ResponseMetadata']['HTTPStatusCode']}, Error {error['Code']}: "
            f"s3://{bucket}/{prefix}"
        ) from failure


def _reported(failure: Exception) -> str:
    """The text that DescribeStatement shows: Redshift's form, DuckDB's reason."""
    text = str(failure).strip()
    return text if text.startswith("ERROR:") else f"ERROR: {text}"
