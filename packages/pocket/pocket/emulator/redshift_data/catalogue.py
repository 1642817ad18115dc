"""Databases, schemas, tables and columns."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Any

from pocket.emulator.redshift_data.runs import DataApi, Request

_LISTED_LIMIT = 1000


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


def list_databases(api: DataApi, request: Request) -> object:
    cluster, database = request.where()
    return {"Databases": sorted({database, *api.warehouse.databases(cluster)})}


def _catalogue(
    api: DataApi, request: Request, sql: str, parameters: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    cluster, database = request.where("ConnectedDatabase")
    session = api.warehouse.session(cluster, database)
    try:
        return session.execute(sql, parameters).fetchall()
    finally:
        session.close()


def list_schemas(api: DataApi, request: Request) -> object:
    rows = _catalogue(
        api,
        request,
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND "
        "database_name = current_database() ORDER BY 1",
    )
    names = [name for (name,) in rows if name != "main"]
    return {"Schemas": [name for name in names if _like(name, request.get("SchemaPattern"))]}


def list_tables(api: DataApi, request: Request) -> object:
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


def describe_table(api: DataApi, request: Request) -> object:
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
