"""The Redshift Data API with real results.

moto accepts any SQL and answers every query with the same three streets. Here each statement runs
on DuckDB (`warehouse`), after translation (`sql`), in the background as on AWS:
`ExecuteStatement` gives an id, `DescribeStatement` the state, `GetStatementResult` the rows in
pages. A statement that fails is a FAILED statement with its reason, not a failed call.

Source: https://docs.aws.amazon.com/redshift-data/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
from moto.redshift.models import RedshiftBackend, redshift_backends
from moto.redshiftdata.exceptions import ResourceNotFoundException, ValidationException
from moto.redshiftdata.responses import RedshiftDataAPIServiceResponse

from pocket.emulator import serverless
from pocket.emulator.context import Context
from pocket.emulator.patching import replace
from pocket.emulator.sql import SqlError, split, translate
from pocket.emulator.warehouse import Outcome, Warehouse

_ROWS_PER_PAGE = 1000
_KEPT = 1000
# A short statement is done before the answer goes out, so that a client's first look finds it
# finished; a long one is answered while it runs.
_PATIENCE = 2.0
_LISTED_LIMIT = 1000

# arrow type -> (Redshift's type name, length, precision)
_TYPES: dict[str, tuple[str, int, int]] = {
    "bool": ("bool", 0, 1),
    "int8": ("int2", 0, 5),
    "int16": ("int2", 0, 5),
    "int32": ("int4", 0, 10),
    "int64": ("int8", 0, 19),
    "uint8": ("int2", 0, 5),
    "uint16": ("int4", 0, 10),
    "uint32": ("int8", 0, 19),
    "float": ("float4", 0, 8),
    "double": ("float8", 0, 17),
    "date32[day]": ("date", 0, 13),
    "binary": ("varbyte", 0, 0),
}

# DuckDB's type -> Redshift's name, for DescribeTable
_COLUMN_TYPES = {
    "BOOLEAN": "bool",
    "TINYINT": "int2",
    "SMALLINT": "int2",
    "INTEGER": "int4",
    "BIGINT": "int8",
    "HUGEINT": "numeric",
    "FLOAT": "float4",
    "DOUBLE": "float8",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "VARCHAR": "varchar",
    "BLOB": "varbyte",
    "JSON": "super",
}


@dataclass
class _Run:
    """One statement of the API, or one of a batch."""

    id: str
    sql: str
    cluster: str
    database: str
    request: Mapping[str, Any]
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    status: str = "SUBMITTED"
    error: str = ""
    outcome: Outcome | None = None
    parts: list[_Run] = field(default_factory=list)
    session: duckdb.DuckDBPyConnection | None = None
    started: float = 0.0
    ended: float = 0.0

    def goes(self, status: str, error: str = "") -> None:
        self.status, self.error, self.updated = status, error, time.time()

    @property
    def rows(self) -> pa.Table | None:
        return self.outcome.rows if self.outcome else None


class _DataApi:
    """The statements and the warehouse that runs them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="warehouse")

    def submit(self, run: _Run, parameters: Mapping[str, str]) -> None:
        with self._lock:
            self._runs[run.id] = run
            while len(self._runs) > _KEPT:
                self._runs.popitem(last=False)
        future: Future[None] = self._pool.submit(self._perform, run, parameters)
        wait_for([future], timeout=_PATIENCE)

    def find(self, identifier: str) -> _Run:
        """The run, or a part of a batch (`<id>:<number from 1>`)."""
        name, _, number = identifier.partition(":")
        run = self._runs.get(name)
        if run is None:
            raise ResourceNotFoundException()
        if not number:
            return run
        if not number.isdigit() or not 1 <= int(number) <= len(run.parts):
            raise ResourceNotFoundException()
        return run.parts[int(number) - 1]

    def all(self) -> list[_Run]:
        with self._lock:
            return sorted(self._runs.values(), key=lambda run: run.created, reverse=True)

    def cancel(self, run: _Run) -> bool:
        if run.status not in ("SUBMITTED", "PICKED", "STARTED"):
            raise ValidationException(
                f"Could not cancel a query that is already in {run.status} state with ID: {run.id}"
            )
        run.goes("ABORTED")
        if run.session:
            run.session.interrupt()
        return True

    def _perform(self, run: _Run, parameters: Mapping[str, str]) -> None:
        if run.status == "ABORTED":
            return
        run.goes("STARTED")
        run.started = time.monotonic()
        try:
            run.session = self.warehouse.session(run.cluster, run.database)
            self._execute(run, parameters)
        except SqlError as failure:
            if run.status != "ABORTED":
                run.goes("FAILED", str(failure))
        except Exception as failure:
            run.goes("FAILED", f"ERROR: {type(failure).__name__}: {failure}")
            raise
        finally:
            run.ended = time.monotonic()
            if run.session:
                run.session.close()
                run.session = None
        for part in run.parts:
            if part.status == "SUBMITTED":
                part.goes("ABORTED")

    def _execute(self, run: _Run, parameters: Mapping[str, str]) -> None:
        assert run.session
        if not run.parts:
            outcomes = self.warehouse.execute(run.session, translate(run.sql, parameters))
            run.outcome = outcomes[-1] if outcomes else None
            run.goes("FINISHED")
            return
        statements = []
        for part in run.parts:
            try:
                statements += translate(part.sql, parameters)
            except SqlError as failure:
                part.goes("FAILED", str(failure))
                raise
        outcomes = self.warehouse.execute(run.session, statements)
        for part, outcome in zip(run.parts, outcomes, strict=True):
            part.outcome = outcome
            part.goes("FINISHED")
        run.goes("FINISHED")


def install(context: Context) -> None:
    """Put the executing API in the place of moto's."""
    api = _DataApi(Warehouse(context.data / "warehouse", context.s3))
    context.at_exit(api.warehouse.close)
    for name, answer in _OPERATIONS.items():
        _operation(name, answer, api)

    @replace(RedshiftBackend, "delete_cluster")
    def delete_cluster(
        original: Callable[..., Any], backend: RedshiftBackend, *given: Any, **asked: Any
    ) -> Any:
        cluster = original(backend, *given, **asked)
        name = _folder(backend.account_id, backend.region_name, cluster.cluster_identifier)
        api.warehouse.forget(name)
        return cluster

    _keep_snapshots(api.warehouse)
    serverless.when_gone.append(api.warehouse.forget)


def _keep_snapshots(warehouse: Warehouse) -> None:
    """A snapshot holds the cluster's rows, and what is restored from it has them."""

    def place(backend: RedshiftBackend, name: str) -> str:
        return f"snapshots/{_folder(backend.account_id, backend.region_name, name)}"

    @replace(RedshiftBackend, "create_cluster_snapshot")
    def create(
        original: Callable[..., Any],
        backend: RedshiftBackend,
        cluster_identifier: str,
        snapshot_identifier: str,
        *given: Any,
        **asked: Any,
    ) -> Any:
        snapshot = original(backend, cluster_identifier, snapshot_identifier, *given, **asked)
        cluster = _folder(backend.account_id, backend.region_name, cluster_identifier)
        warehouse.copy(cluster, place(backend, snapshot_identifier))
        return snapshot

    @replace(RedshiftBackend, "restore_from_cluster_snapshot")
    def restore(original: Callable[..., Any], backend: RedshiftBackend, **asked: Any) -> Any:
        cluster = original(backend, **asked)
        name = _folder(backend.account_id, backend.region_name, cluster.cluster_identifier)
        warehouse.copy(place(backend, asked["snapshot_identifier"]), name)
        return cluster

    @replace(RedshiftBackend, "delete_cluster_snapshot")
    def delete(
        original: Callable[..., Any], backend: RedshiftBackend, snapshot_identifier: str
    ) -> Any:
        snapshot = original(backend, snapshot_identifier)
        warehouse.forget(place(backend, snapshot_identifier))
        return snapshot


def _operation(name: str, answer: Callable[[_DataApi, _Request], object], api: _DataApi) -> None:
    def method(self: RedshiftDataAPIServiceResponse) -> tuple[int, dict[str, str], str]:
        request = _Request(
            parameters=json.loads(self.body or "{}"),
            account=self.current_account,
            region=self.region,
        )
        return 200, {}, json.dumps(answer(api, request))

    method.__name__ = name
    setattr(RedshiftDataAPIServiceResponse, name, method)


@dataclass(frozen=True)
class _Request:
    parameters: Mapping[str, Any]
    account: str
    region: str

    def get(self, name: str) -> Any:
        return self.parameters.get(name)

    def where(self, database: str = "Database") -> tuple[str, str]:
        """(cluster's folder, database), for an existing cluster or a serverless workgroup.

        Raises:
            ValidationException: neither or both are named, or there is no such one.
        """
        cluster, workgroup = self.get("ClusterIdentifier"), self.get("WorkgroupName")
        if bool(cluster) == bool(workgroup):
            raise ValidationException(
                "Exactly one of ClusterIdentifier and WorkgroupName must be given"
            )
        if cluster and cluster not in redshift_backends[self.account][self.region].clusters:
            raise ValidationException("Redshift endpoint doesn't exist in this region.")
        if workgroup and not serverless.databases_of(self.region, workgroup):
            raise ValidationException("Redshift endpoint doesn't exist in this region.")
        if cluster and not (self.get("DbUser") or self.get("SecretArn")):
            raise ValidationException("DbUser or SecretArn must be given with ClusterIdentifier")
        name = self.get(database) or self.get("Database")
        if not name:
            raise ValidationException("Database must be given")
        # A database's name folds to lower case, and it names a file.
        if workgroup:
            return serverless.databases_of(self.region, workgroup), _file_name(name)
        return _folder(self.account, self.region, cluster), _file_name(name)


def _folder(account: str, region: str, name: str) -> str:
    return f"{account}-{region}-{_file_name(name)}"


def _file_name(name: str) -> str:
    if "/" in name or name.startswith("."):
        raise ValidationException(f"{name!r} is not a valid identifier")
    return name.lower()


# -- the operations
# ---------------------------------------------------------------------------------


def _execute_statement(api: _DataApi, request: _Request) -> object:
    sql = request.get("Sql")
    if not sql or not split_or_refuse(sql):
        raise ValidationException("Sql must hold a statement")
    run = _run(request, sql)
    api.submit(run, _parameters(request))
    return _accepted(run)


def _batch_execute_statement(api: _DataApi, request: _Request) -> object:
    sqls = request.get("Sqls") or []
    if not 1 <= len(sqls) <= 40:
        raise ValidationException("Sqls must hold 1 to 40 statements")
    for sql in sqls:
        if len(split_or_refuse(sql)) != 1:
            raise ValidationException("Each of Sqls must be a single statement")
    run = _run(request, ";\n".join(sqls))
    run.parts = [
        _Run(f"{run.id}:{number}", sql, run.cluster, run.database, run.request)
        for number, sql in enumerate(sqls, start=1)
    ]
    api.submit(run, _parameters(request))
    return _accepted(run)


def split_or_refuse(sql: str) -> list[str]:
    """The statements of a text; what cannot be read counts as one, which then fails."""
    try:
        return split(sql)
    except SqlError:
        return [sql]


def _run(request: _Request, sql: str) -> _Run:
    cluster, database = request.where()
    return _Run(str(uuid.uuid4()), sql, cluster, database, request.parameters)


def _parameters(request: _Request) -> dict[str, str]:
    return {item["name"]: item["value"] for item in request.get("Parameters") or []}


def _accepted(run: _Run) -> dict[str, object]:
    keys = ("ClusterIdentifier", "WorkgroupName", "DbUser", "SecretArn", "Database")
    given = {key: run.request[key] for key in keys if run.request.get(key)}
    return {"Id": run.id, "CreatedAt": run.created, **given}


def _describe_statement(api: _DataApi, request: _Request) -> object:
    run = api.find(request.get("Id") or "")
    described = {
        **_accepted(run),
        **_progress(run),
        "RedshiftPid": 1,
        "RedshiftQueryId": -1 if run.parts else abs(hash(run.id)) % 10**9,
        "QueryParameters": run.request.get("Parameters") or [],
    }
    if run.parts:
        described["SubStatements"] = [
            {"Id": part.id, "CreatedAt": part.created, **_progress(part)} for part in run.parts
        ]
    return {key: value for key, value in described.items() if value not in (None, [], "")}


def _progress(run: _Run) -> dict[str, object]:
    rows = run.rows
    return {
        "Status": run.status,
        "Error": run.error or None,
        "QueryString": run.sql,
        "HasResultSet": rows is not None,
        "ResultRows": rows.num_rows
        if rows is not None
        else run.outcome.changed
        if run.outcome
        else -1,
        "ResultSize": rows.nbytes if rows is not None else -1,
        "Duration": int(max(0.0, run.ended - run.started) * 1e9),
        "UpdatedAt": run.updated,
    }


def _get_statement_result(api: _DataApi, request: _Request) -> object:
    run = api.find(request.get("Id") or "")
    rows = run.rows
    if run.status != "FINISHED" or rows is None:
        raise _no_result(run)
    start = _offset(request.get("NextToken"), run.id)
    page = rows.slice(start, _ROWS_PER_PAGE)
    answer: dict[str, object] = {
        "ColumnMetadata": [_metadata(column) for column in rows.schema],
        "Records": _records(page),
        "TotalNumRows": rows.num_rows,
    }
    if start + _ROWS_PER_PAGE < rows.num_rows:
        answer["NextToken"] = _token(run.id, start + _ROWS_PER_PAGE)
    return answer


def _no_result(run: _Run) -> ResourceNotFoundException:
    missing = ResourceNotFoundException()
    missing.message = (
        "Query does not have result. Please check query status with DescribeStatement."
    )
    missing.description = json.dumps(
        {"__type": "ResourceNotFoundException", "message": missing.message}
    )
    return missing


def _token(identifier: str, offset: int) -> str:
    return base64.urlsafe_b64encode(f"{identifier} {offset}".encode()).decode()


def _offset(token: str | None, identifier: str) -> int:
    if not token:
        return 0
    try:
        owner, offset = base64.urlsafe_b64decode(token).decode().split()
    except (ValueError, binascii.Error) as failure:
        raise ValidationException("NextToken is not valid") from failure
    if owner != identifier:
        raise ValidationException("NextToken is not valid for this statement")
    return int(offset)


def _metadata(column: pa.Field) -> dict[str, object]:
    name, length, precision, scale = _described(column.type)
    return {
        "name": column.name,
        "label": column.name,
        "typeName": name,
        "length": length,
        "precision": precision,
        "scale": scale,
        "nullable": 1,
        "isCaseSensitive": name == "varchar",
        "isCurrency": False,
        "isSigned": name in ("int2", "int4", "int8", "float4", "float8", "numeric"),
        "schemaName": "",
        "tableName": "",
    }


def _described(kind: pa.DataType) -> tuple[str, int, int, int]:
    """(Redshift's name, length, precision, scale) of an arrow type."""
    if pa.types.is_decimal(kind):
        return "numeric", 0, kind.precision, kind.scale
    if pa.types.is_timestamp(kind):
        return ("timestamptz", 0, 35, 6) if kind.tz else ("timestamp", 0, 29, 6)
    if pa.types.is_time(kind):
        return "time", 0, 15, 6
    name, length, precision = _TYPES.get(str(kind), ("varchar", 0, 65535))
    return name, length, precision, 0


def _records(page: pa.Table) -> list[list[dict[str, object]]]:
    columns = [_fields(column) for column in page.columns]
    return [list(record) for record in zip(*columns, strict=True)] if columns else []


def _fields(column: pa.ChunkedArray) -> list[dict[str, object]]:
    key, convert = _form(column.type)
    return [
        {"isNull": True} if value is None else {key: convert(value)} for value in column.to_pylist()
    ]


def _form(kind: pa.DataType) -> tuple[str, Callable[[Any], object]]:
    """The field of the API's union in which values of a type come, and how."""
    if pa.types.is_boolean(kind):
        return "booleanValue", bool
    if pa.types.is_integer(kind):
        return "longValue", int
    if pa.types.is_floating(kind):
        return "doubleValue", float
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "blobValue", lambda value: base64.b64encode(value).decode()
    if pa.types.is_timestamp(kind):
        return "stringValue", _timestamp
    return "stringValue", str


def _timestamp(value: Any) -> str:
    """`2013-01-01 05:00:00`, with microseconds and zone where there are any."""
    text = value.strftime("%Y-%m-%d %H:%M:%S")
    if value.microsecond:
        text += f".{value.microsecond:06d}".rstrip("0")
    return f"{text}+00" if value.tzinfo else text


def _list_statements(api: _DataApi, request: _Request) -> object:
    wanted, prefix = request.get("Status"), request.get("StatementName")
    found = [
        {
            "Id": run.id,
            "CreatedAt": run.created,
            "UpdatedAt": run.updated,
            "Status": run.status,
            "QueryString": run.sql,
            "QueryStrings": [part.sql for part in run.parts],
            "IsBatchStatement": bool(run.parts),
            "StatementName": run.request.get("StatementName") or "",
            "SecretArn": run.request.get("SecretArn") or "",
        }
        for run in api.all()
        if wanted in (None, "ALL", run.status)
        and (run.request.get("StatementName") or "").startswith(prefix or "")
    ]
    return {"Statements": found[: int(request.get("MaxResults") or 100)]}


def _cancel_statement(api: _DataApi, request: _Request) -> object:
    return {"Status": api.cancel(api.find(request.get("Id") or ""))}


def _list_databases(api: _DataApi, request: _Request) -> object:
    cluster, database = request.where()
    return {"Databases": sorted({database, *api.warehouse.databases(cluster)})}


def _catalogue(
    api: _DataApi, request: _Request, sql: str, parameters: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    cluster, database = request.where("ConnectedDatabase")
    session = api.warehouse.session(cluster, database)
    try:
        return session.execute(sql, parameters).fetchall()
    finally:
        session.close()


def _list_schemas(api: _DataApi, request: _Request) -> object:
    rows = _catalogue(
        api,
        request,
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND "
        "database_name = current_database() ORDER BY 1",
    )
    names = [name for (name,) in rows if name != "main"]
    return {"Schemas": [name for name in names if _like(name, request.get("SchemaPattern"))]}


def _list_tables(api: _DataApi, request: _Request) -> object:
    rows = _catalogue(
        api,
        request,
        "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE "
        "table_catalog = current_database() AND table_schema <> 'main' ORDER BY 1, 2",
    )
    found = [
        {"schema": schema, "name": name, "type": "VIEW" if kind == "VIEW" else "TABLE"}
        for schema, name, kind in rows
        if _like(schema, request.get("SchemaPattern")) and _like(name, request.get("TablePattern"))
    ]
    return {"Tables": found[: int(request.get("MaxResults") or _LISTED_LIMIT)]}


def _describe_table(api: _DataApi, request: _Request) -> object:
    schema = (request.get("Schema") or "public").lower()
    table = (request.get("Table") or "").lower()
    rows = _catalogue(
        api,
        request,
        "SELECT column_name, data_type, is_nullable, column_default, numeric_precision, "
        "numeric_scale FROM duckdb_columns() WHERE database_name = current_database() AND "
        "schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema, table],
    )
    columns = [
        {
            "name": name,
            "label": name,
            "typeName": _COLUMN_TYPES.get(kind, "numeric" if kind[:7] == "DECIMAL" else "varchar"),
            "nullable": int(nullable),
            "columnDefault": default or "",
            "precision": precision or 0,
            "scale": scale or 0,
            "length": 0,
            "schemaName": schema,
            "tableName": table,
        }
        for name, kind, nullable, default, precision, scale in rows
    ]
    return {"TableName": table, "ColumnList": columns}


def _like(name: str, pattern: str | None) -> bool:
    """SQL's LIKE: % for any text, _ for any character."""
    if pattern is None:
        return True
    glob = fnmatch.translate(pattern.lower().replace("%", "*").replace("_", "?"))
    return bool(re.match(glob, name))


_OPERATIONS: dict[str, Callable[[_DataApi, _Request], object]] = {
    "execute_statement": _execute_statement,
    "batch_execute_statement": _batch_execute_statement,
    "describe_statement": _describe_statement,
    "get_statement_result": _get_statement_result,
    "list_statements": _list_statements,
    "cancel_statement": _cancel_statement,
    "list_databases": _list_databases,
    "list_schemas": _list_schemas,
    "list_tables": _list_tables,
    "describe_table": _describe_table,
}
