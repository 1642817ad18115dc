"""Values as a column's type: what text, numbers and clock readings mean, and which mean nothing.

Every source goes through here, so that a date is read in one way whether it stood in CSV, in JSON
or in Parquet. A value that cannot be what its column says is null and marked, never guessed: no
number is rounded, no 31st of February is a day in March, no clock reading gets a time zone that
nobody named.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.dataset import (
    BOOLEAN,
    DATE,
    INTEGER,
    LOCAL_TIMESTAMP,
    NUMBER,
    TEXT,
    TIMESTAMP,
    UNIX_FORMATS,
    ColumnSpec,
)
from data.schema import LOCAL_TIME, TIME, arrow_type

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]

DECIMAL_KIND = "decimal"
TAKEN: Mapping[str, frozenset[str]] = {
    TEXT: frozenset({TEXT, INTEGER, BOOLEAN, DECIMAL_KIND, DATE}),
    INTEGER: frozenset({TEXT, INTEGER, NUMBER, DECIMAL_KIND}),
    NUMBER: frozenset({TEXT, INTEGER, NUMBER, DECIMAL_KIND}),
    DECIMAL_KIND: frozenset({TEXT, INTEGER, NUMBER, DECIMAL_KIND}),
    BOOLEAN: frozenset({TEXT, INTEGER, BOOLEAN}),
    DATE: frozenset({TEXT, DATE, TIMESTAMP, LOCAL_TIMESTAMP}),
    TIMESTAMP: frozenset({TEXT, TIMESTAMP, LOCAL_TIMESTAMP}),
    LOCAL_TIMESTAMP: frozenset({TEXT, TIMESTAMP, LOCAL_TIMESTAMP}),
}
"""What a type is read from; anything else in its column is a mistake. A floating-point number is no
text: an identity that went through one has lost its spelling."""

OFFSET = r":\d{2}(:\d{2}(\.\d+)?)?\s*(Z|z|[+-]\d{2}(:?\d{2})?)$"
"""The end of an instant in ISO 8601 that says its offset from UTC."""
BEYOND_MICROSECONDS = (r"(\.\d{6})\d+", r"\1")
WHOLE = (r"^\+?(-?\d+)(\.0*)?$", r"\1")
"""A whole number as some programs write it: ``+5``, ``5.0``."""
MIDNIGHT = (r"[T ]00:00(:00(\.0+)?)?$", "")
PADDING = (r"\b0+(\d)", r"\1")


def typed_values(given: pa.ChunkedArray, column: ColumnSpec) -> tuple[pa.ChunkedArray, Mask]:
    """A column's values as its type, null where that is impossible, and the rows where it is."""
    target = arrow_type(column)
    if given.type == target:
        return given, np.zeros(len(given), dtype=bool)
    if pa.types.is_dictionary(given.type):
        given = given.cast(given.type.value_type)
    kind = kind_of(given.type)
    wanted = DECIMAL_KIND if column.decimal else column.type
    if column.format in UNIX_FORMATS:
        typed = since_1970(given, kind, column.format)
    elif kind is None or kind not in TAKEN[wanted]:
        typed = nulls(len(given), target)
    elif kind == TEXT and wanted != TEXT:
        typed = from_text(pc.utf8_trim_whitespace(given.cast(pa.string())), column)
    elif kind in (TIMESTAMP, LOCAL_TIMESTAMP):
        typed = from_times(given, column)
    elif wanted in (BOOLEAN, DECIMAL_KIND) and kind != wanted:
        # Through text: Arrow takes any number but 0 for true, and rounds to a decimal.
        typed = cast_where_possible(given.cast(pa.string()), target)
    else:
        typed = cast_where_possible(given, target)
    return typed, mask(pc.and_(typed.is_null(), given.is_valid()))


def kind_of(type_: pa.DataType) -> str | None:
    """Which of the documents' types Arrow's is nearest to; None where none is."""
    tests = (
        (TEXT, pa.types.is_string(type_) or pa.types.is_large_string(type_)),
        (TEXT, pa.types.is_binary(type_) or pa.types.is_string_view(type_)),
        (TEXT, pa.types.is_null(type_)),
        (INTEGER, pa.types.is_integer(type_)),
        (NUMBER, pa.types.is_floating(type_)),
        (DECIMAL_KIND, pa.types.is_decimal(type_)),
        (BOOLEAN, pa.types.is_boolean(type_)),
        (DATE, pa.types.is_date(type_)),
        (TIMESTAMP, pa.types.is_timestamp(type_) and type_.tz is not None),
        (LOCAL_TIMESTAMP, pa.types.is_timestamp(type_)),
    )
    return next((kind for kind, holds in tests if holds), None)


def from_text(text: pa.ChunkedArray, column: ColumnSpec) -> pa.ChunkedArray:
    """What was written in a file as characters."""
    target = arrow_type(column)
    if column.type == INTEGER:
        return cast_where_possible(pc.replace_substring_regex(text, *WHOLE), target)
    if column.type == TIMESTAMP:
        return instants(text, column)
    if column.type == LOCAL_TIMESTAMP:
        return clock_readings(text, column)
    if column.type == DATE:
        if column.format:
            return clock_readings(text, column).cast(target)
        return cast_where_possible(pc.replace_substring_regex(text, *MIDNIGHT), target)
    return cast_where_possible(text, target)


def instants(text: pa.ChunkedArray, column: ColumnSpec) -> pa.ChunkedArray:
    """ISO 8601 with its offset from UTC, or the zone's clock readings."""
    if column.format:
        return placed(clock_readings(text, column), column.zone)
    with_offset = pc.match_substring_regex(text, OFFSET)
    unknown = pa.scalar(None, pa.string())
    text = pc.replace_substring_regex(text, *BEYOND_MICROSECONDS)
    exact = cast_where_possible(pc.if_else(with_offset, text, unknown), TIME)
    readings = clock_readings(pc.if_else(with_offset, unknown, text), column)
    return pc.coalesce(exact, placed(readings, column.zone))


def clock_readings(text: pa.ChunkedArray, column: ColumnSpec) -> pa.ChunkedArray:
    """Dates and times without a zone, in the column's format or in ISO 8601."""
    if not column.format:
        text = pc.replace_substring_regex(text, *BEYOND_MICROSECONDS)
        return cast_where_possible(text, LOCAL_TIME)
    parsed = pc.strptime(text, format=column.format, unit="s", error_is_null=True)
    # What is parsed must read as it was written: strptime takes a 31st of February for the 2nd of
    # March.
    again = pc.strftime(parsed, format=column.format)
    same = pc.equal(unpadded(again), unpadded(text))
    return pc.if_else(same, parsed, pa.scalar(None, parsed.type)).cast(LOCAL_TIME)


def unpadded(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates and times without what two writers may differ in: leading zeros, capitals."""
    return pc.utf8_lower(pc.replace_substring_regex(text, *PADDING))


def placed(readings: pa.ChunkedArray, zone: str | None) -> pa.ChunkedArray:
    """A zone's clock readings as instants; null where no zone is known.

    A reading that the clocks show twice is taken as the later one, and one that they skip as the
    instant of the skip: an outcome must never count as known before it was.
    """
    if zone is None:
        return nulls(len(readings), TIME)
    return pc.assume_timezone(readings, zone, ambiguous="latest", nonexistent="latest").cast(TIME)


def from_times(given: pa.ChunkedArray, column: ColumnSpec) -> pa.ChunkedArray:
    """Timestamps of any resolution; from instants to clocks and back where a zone is named."""
    target = arrow_type(column)
    has_zone = given.type.tz is not None
    if column.type == DATE:
        return nulls(len(given), target) if has_zone else midnights(given)
    if column.type == TIMESTAMP and has_zone:
        return given.cast(TIME, safe=False)
    if column.type == TIMESTAMP:
        return placed(given.cast(LOCAL_TIME, safe=False), column.zone)
    if not has_zone:
        return given.cast(LOCAL_TIME, safe=False)
    if column.zone is None:
        return nulls(len(given), target)
    return pc.local_timestamp(given.cast(pa.timestamp("us", column.zone), safe=False))


def midnights(given: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps as days; null where there is a time of day."""
    days = given.cast(pa.date32(), safe=False)
    whole = pc.equal(days.cast(given.type), given)
    return pc.if_else(whole, days, pa.scalar(None, pa.date32()))


def since_1970(given: pa.ChunkedArray, kind: str | None, format_: str) -> pa.ChunkedArray:
    """Seconds or milliseconds since 1970 as instants."""
    if kind not in (TEXT, INTEGER):
        return nulls(len(given), TIME)
    if kind == TEXT:
        given = pc.utf8_trim_whitespace(given.cast(pa.string()))
    numbers = cast_where_possible(given, pa.int64())
    unit = "s" if format_ == "unix" else "ms"
    return cast_where_possible(numbers.cast(pa.timestamp(unit, "UTC")), TIME)


def cast_where_possible(values: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """Each value as a type, null where it has none; the bad ones are found by halving."""
    try:
        return pa.chunked_array([], type_) if len(values) == 0 else values.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) == 1:
            return nulls(1, type_)
    middle = len(values) // 2
    left = cast_where_possible(values.slice(0, middle), type_)
    right = cast_where_possible(values.slice(middle), type_)
    return pa.chunked_array([*left.chunks, *right.chunks], type_)


def nulls(count: int, type_: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(count, type_)], type_)


def mask(values: pa.ChunkedArray) -> Mask:
    """Which rows: null is no."""
    return np.asarray(values.fill_null(False).to_numpy(), dtype=bool)
