"""Values as a column's type: what text, numbers and clock readings mean, and which mean nothing.

Every source goes through here, so that a date is read in one way whether it stood in CSV, in JSON
or in Parquet. A value that cannot be what its column says is null and marked, never guessed: no
digit of a number is lost, no 31st of February is a day in March, no clock reading gets a time zone
that nobody named, and no instant becomes the clock reading of a place that nobody named. The rules
are in ``docs/datasets.md``, for whoever wonders about a row in quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.columns import (
    BOOLEAN,
    DATE,
    INTEGER,
    LOCAL_TIMESTAMP,
    NUMBER,
    TEXT,
    TIMES,
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
    TIMESTAMP: frozenset({TEXT, DATE, TIMESTAMP, LOCAL_TIMESTAMP}),
    LOCAL_TIMESTAMP: frozenset({TEXT, DATE, TIMESTAMP, LOCAL_TIMESTAMP}),
}
"""What a type is read from; anything else in its column is a mistake. A floating-point number is no
text: an identity that went through one has lost its spelling."""

EXACT_BELOW = {16: 2.0**11, 32: 2.0**24, 64: 2.0**53}
"""By the bits of a floating-point number: up to here each whole number has one of its own. Beyond,
an identity that went through one may have become its neighbour."""
OFFSET = r":\d{2}(:\d{2}(\.\d+)?)?\s*(Z|z|[+-]\d{2}(:?\d{2})?)$"
"""The end of an instant in ISO 8601 that says its offset from UTC."""
BEYOND_MICROSECONDS = (r"(\.\d{6})\d+", r"\1")
WHOLE = r"^[+-]?\d+(\.0*)?$"
"""A whole number as programs write it: ``+5``, ``5.0``."""
FRACTION = (r"\.0*$", "")
INFINITE = r"(?i)^[+-]?inf(inity)?$"
MIDNIGHT = (r"[T ]00:00(:00(\.0+)?)?$", "")
PADDING = (r"\b0(\d)", r"\1")
"""One zero, of a day or an hour; two digits of a year are not the first century."""


def typed_values(
    given: pa.ChunkedArray, column: ColumnSpec, *, decimal_point: str = "."
) -> tuple[pa.ChunkedArray, Mask]:
    """A column's values as its type, null where that is impossible, and the rows where it is.

    Not-a-number is how some programs write a missing value, and is one.

    Args:
        given: what a source has, of any type.
        column: what the values must be.
        decimal_point: what stands before the fraction of a number that is written as text.
    """
    target = arrow_type(column)
    values, broken = unpacked(given)
    kind = kind_of(values.type)
    wanted = DECIMAL_KIND if column.decimal else column.type
    if kind == NUMBER:
        values = without_nan(values)
    if kind == TEXT and wanted != TEXT:
        values = pc.utf8_trim_whitespace(values)
    if kind == TEXT and column.is_numeric and decimal_point != ".":
        # A point beside a comma parts thousands, which is nobody's to guess.
        broken = pc.or_(broken, pc.match_substring(values, ".").fill_null(False))
        values = pc.replace_substring(only(values, pc.invert(broken)), decimal_point, ".")
    if kind is None or (values.type != target and not is_taken(kind, column)):
        typed = nulls(len(values), target)
    elif values.type == target:
        typed = values
    elif column.format in UNIX_FORMATS and kind in (TEXT, INTEGER, NUMBER):
        typed = since_1970(values, kind, column.format)
    elif wanted in (TIMESTAMP, LOCAL_TIMESTAMP, DATE):
        typed = as_time(values, kind, column)
    elif wanted == NUMBER and kind != NUMBER:
        typed = exact_numbers(values)
    elif wanted == INTEGER:
        typed = whole_numbers(values, kind)
    elif wanted in (BOOLEAN, DECIMAL_KIND) and kind != wanted:
        # Through text: Arrow takes any number but 0 for true, and rounds to a decimal.
        text = exact_floats(values) if kind == NUMBER else values
        typed = cast_where_possible(text.cast(pa.string()), target)
    else:
        typed = cast_where_possible(values, target)
    if column.type in TIMES:
        typed = within_calendar(typed)
    lost = mask(pc.or_(pc.and_(typed.is_null(), values.is_valid()), broken))
    return without_nan(typed) if wanted == NUMBER else typed, lost


def is_taken(kind: str, column: ColumnSpec) -> bool:
    """Whether the column's type is read from values of that kind."""
    wanted = DECIMAL_KIND if column.decimal else column.type
    unix = column.format in UNIX_FORMATS and kind in (INTEGER, NUMBER)
    return unix or kind in TAKEN[wanted]


def unpacked(given: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Values without Arrow's ways to hold them (dictionaries, bytes of every width), and which of
    them cannot be had: bytes that are no characters."""
    if pa.types.is_run_end_encoded(given.type):
        given = pa.chunked_array([pc.run_end_decode(chunk) for chunk in given.chunks])
    if pa.types.is_dictionary(given.type):
        given = given.cast(given.type.value_type)
    if pa.types.is_null(given.type):
        given = given.cast(pa.string())
    if kind_of(given.type) != TEXT:
        return given, pa.chunked_array([pa.repeat(False, len(given))])
    # As bytes, and back: a file's text need not be text.
    text = cast_where_possible(given.cast(pa.large_binary()), pa.large_string()).cast(pa.string())
    return text, pc.and_(text.is_null(), given.is_valid())


def kind_of(type_: pa.DataType) -> str | None:
    """Which of the documents' types Arrow's is nearest to; None where none is."""
    types = pa.types
    tests = (
        (TEXT, types.is_string(type_) or types.is_large_string(type_)),
        (TEXT, types.is_binary(type_) or types.is_string_view(type_)),
        (TEXT, types.is_large_binary(type_) or types.is_binary_view(type_)),
        (TEXT, types.is_fixed_size_binary(type_) or types.is_null(type_)),
        (INTEGER, types.is_integer(type_)),
        (NUMBER, types.is_floating(type_)),
        (DECIMAL_KIND, types.is_decimal(type_)),
        (BOOLEAN, types.is_boolean(type_)),
        (DATE, types.is_date(type_)),
        (TIMESTAMP, types.is_timestamp(type_) and type_.tz is not None),
        (LOCAL_TIMESTAMP, types.is_timestamp(type_)),
    )
    return next((kind for kind, holds in tests if holds), None)


# Numbers


def without_nan(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null for not-a-number."""
    return only(numbers, pc.invert(pc.is_nan(numbers)))


def exact_floats(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """The floating-point numbers whose whole part can be no neighbour's."""
    limit = EXACT_BELOW[numbers.type.bit_width]
    return only(numbers, pc.less_equal(pc.abs(numbers.cast(pa.float64())), limit))


def exact_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floating-point numbers of 64 bits, each the nearest to what is written; null for a whole
    number that none is, and for one that is too large."""
    numbers = cast_where_possible(values, pa.float64(), safe=False)
    large = np.asarray(pc.abs(numbers).fill_null(0.0).to_numpy()) >= EXACT_BELOW[64]
    rows = np.flatnonzero(large)
    if not len(rows):
        return numbers
    texts = values.take(pa.array(rows)).cast(pa.string())
    infinite = mask(pc.is_inf(numbers.take(pa.array(rows))))
    spelled = mask(pc.match_substring_regex(texts, INFINITE))
    whole = mask(pc.match_substring_regex(texts, WHOLE))
    inexact = infinite & ~spelled
    for place in np.flatnonzero(whole & ~infinite).tolist():
        written = int(texts[place].as_py().partition(".")[0])
        inexact[place] = written != int(numbers[int(rows[place])].as_py())
    kept = np.ones(len(numbers), dtype=bool)
    kept[rows[inexact]] = False
    return only(numbers, pa.array(kept))


def whole_numbers(values: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Integers of 64 bits; null where there is a fraction, or where digits may be lost."""
    if kind == NUMBER:
        values = exact_floats(values).cast(pa.float64())
    if kind == TEXT:
        # Arrow reads 0x10 as 16.
        values = only(values, pc.match_substring_regex(values, WHOLE))
        values = pc.utf8_ltrim(pc.replace_substring_regex(values, *FRACTION), characters="+")
    return cast_where_possible(values, pa.int64())


# Times


def as_time(values: pa.ChunkedArray, kind: str, column: ColumnSpec) -> pa.ChunkedArray:
    """Days, clock readings and instants, from one another where a zone is named.

    A day is the midnight that begins it, and a midnight without a zone its day. What is finer than
    a microsecond is cut off.
    """
    if column.type == DATE and kind == DATE:
        return cast_where_possible(values, pa.date32())
    if column.type == DATE and kind == TEXT and not column.format:
        return cast_where_possible(pc.replace_substring_regex(values, *MIDNIGHT), pa.date32())
    none = nulls(len(values), LOCAL_TIME)
    instants, readings = none.cast(TIME), none
    if kind == TEXT:
        instants, readings = written_times(values, column)
    elif kind == TIMESTAMP:
        instants = to_microseconds(values).cast(TIME)
    elif kind == DATE:
        readings = cast_where_possible(values, LOCAL_TIME)
    else:
        readings = to_microseconds(values)
    if column.type == DATE:
        return midnights(readings)
    if column.type == TIMESTAMP:
        return pc.coalesce(instants, placed(readings, column.zone))
    return pc.coalesce(readings, readings_of(instants, column.zone))


def written_times(
    text: pa.ChunkedArray, column: ColumnSpec
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Instants (ISO 8601 with its offset from UTC) and clock readings; each null for the other."""
    unknown = pa.scalar(None, pa.string())
    if column.format:
        return nulls(len(text), TIME), formatted(text, column.format)
    with_offset = pc.match_substring_regex(text, OFFSET)
    text = pc.replace_substring_regex(text, *BEYOND_MICROSECONDS)
    return (
        cast_where_possible(pc.if_else(with_offset, text, unknown), TIME),
        cast_where_possible(pc.if_else(with_offset, unknown, text), LOCAL_TIME),
    )


def formatted(text: pa.ChunkedArray, format_: str) -> pa.ChunkedArray:
    """Dates and times without a zone, in a format."""
    parsed = pc.strptime(text, format=format_, unit="s", error_is_null=True)
    # What is parsed must read as it was written: strptime takes a 31st of February for the 2nd of
    # March.
    again = pc.strftime(parsed, format=format_)
    return only(parsed, pc.equal(unpadded(again), unpadded(text))).cast(LOCAL_TIME)


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
    return pc.assume_timezone(
        within_calendar(readings), zone, ambiguous="latest", nonexistent="latest"
    ).cast(TIME)


def readings_of(instants: pa.ChunkedArray, zone: str | None) -> pa.ChunkedArray:
    """What the clocks of a zone show at instants; null where no zone is known."""
    if zone is None:
        return nulls(len(instants), LOCAL_TIME)
    return pc.local_timestamp(within_calendar(instants).cast(pa.timestamp("us", zone)))


def to_microseconds(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps of any resolution, those of a zone in UTC; finer ones are cut off, also before
    1970, and those that no microseconds reach are null."""
    bare = times.cast(pa.timestamp(times.type.unit))
    if times.type.unit == "ns":
        return pc.floor_temporal(bare, unit="microsecond").cast(LOCAL_TIME)
    return cast_where_possible(bare, LOCAL_TIME)


def within_calendar(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Days and times of the years 1 to 9999; null for others, which few programs can hold."""
    first, end = (pa.scalar(day, pa.int32()).cast(pa.date32()) for day in (-719162, 2932897))
    if pa.types.is_timestamp(times.type):
        first, end = (day.cast(LOCAL_TIME).cast(times.type) for day in (first, end))
    return only(times, pc.and_(pc.greater_equal(times, first), pc.less(times, end)))


def midnights(readings: pa.ChunkedArray) -> pa.ChunkedArray:
    """Clock readings as days; null where there is a time of day."""
    days = within_calendar(readings).cast(pa.date32(), safe=False)
    return only(days, pc.equal(days.cast(LOCAL_TIME), readings))


def since_1970(given: pa.ChunkedArray, kind: str, format_: str) -> pa.ChunkedArray:
    """Whole seconds or milliseconds since 1970 as instants."""
    numbers = whole_numbers(given, kind)
    unit = "s" if format_ == "unix" else "ms"
    return cast_where_possible(numbers.cast(pa.timestamp(unit, "UTC")), TIME)


# Arrow


def only(values: pa.ChunkedArray, condition: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values where a condition holds, null elsewhere."""
    return pc.if_else(condition, values, pa.scalar(None, values.type))


def cast_where_possible(
    values: pa.ChunkedArray, type_: pa.DataType, *, safe: bool = True
) -> pa.ChunkedArray:
    """Each value as a type, null where it has none; the bad ones are found by halving."""
    try:
        return pa.chunked_array([], type_) if len(values) == 0 else values.cast(type_, safe=safe)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) == 1:
            return nulls(1, type_)
    middle = len(values) // 2
    left = cast_where_possible(values.slice(0, middle), type_, safe=safe)
    right = cast_where_possible(values.slice(middle), type_, safe=safe)
    return pa.chunked_array([*left.chunks, *right.chunks], type_)


def nulls(count: int, type_: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(count, type_)], type_)


def mask(values: pa.ChunkedArray) -> Mask:
    """Which rows: null is no."""
    return np.array(values.fill_null(False).to_numpy(), dtype=bool)
