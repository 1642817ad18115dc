"""The rows of a statement, in pages, as the Data API writes them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
from moto.redshiftdata.exceptions import ResourceNotFoundException, ValidationException

from pocket.emulator.redshift_data.runs import DataApi, Request, Run

_ROWS_PER_PAGE = 1000


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


def get_statement_result(api: DataApi, request: Request) -> object:
    run = api.find(request.get("Id") or "")
    rows = run.rows
    if run.status != "FINISHED" or rows is None:
        raise _no_result(run)
    start = offset_of(request.get("NextToken"), run.id)
    page = rows.slice(start, _ROWS_PER_PAGE)
    answer: dict[str, object] = {
        "ColumnMetadata": [_metadata(column) for column in rows.schema],
        "Records": _records(page),
        "TotalNumRows": rows.num_rows,
    }
    if start + _ROWS_PER_PAGE < rows.num_rows:
        answer["NextToken"] = token_of(run.id, start + _ROWS_PER_PAGE)
    return answer


def _no_result(run: Run) -> ResourceNotFoundException:
    missing = ResourceNotFoundException()
    missing.message = (
        "Query does not have result. Please check query status with DescribeStatement."
    )
    missing.description = json.dumps(
        {"__type": "ResourceNotFoundException", "message": missing.message}
    )
    return missing


def token_of(identifier: str, offset: int) -> str:
    return base64.urlsafe_b64encode(f"{identifier} {offset}".encode()).decode()


def offset_of(token: str | None, identifier: str) -> int:
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
    name, length, precision, scale = described(column.type)
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


def described(kind: pa.DataType) -> tuple[str, int, int, int]:
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
