"""What a table's rows must be, and which of them are not.

A rule (a column's type, nulls, range or values, the key's uniqueness) gives the rows that break it
as one mask over all of them, with a sentence for each. The load and the validation step ask the
same rules, so that one cannot believe what the other refuses.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.columns import (
    BOOLEAN,
    DATE,
    INTEGER,
    INTEGERS,
    LOCAL_TIMESTAMP,
    NUMBER,
    TEXT,
    TIMES,
    TIMESTAMP,
    UNIX_FORMATS,
    Bound,
    ColumnSpec,
)
from contracts.dataset import TableSpec
from contracts.document import Document
from data.schema import arrow_type
from data.values import Mask, kind_of, mask, typed_values

ACCEPTED: Mapping[str, str] = {
    TEXT: "text",
    INTEGER: "integer (digits with a sign, at most 64 bits)",
    NUMBER: "number (12, {0}5, 1e3)",
    BOOLEAN: "boolean (true, false, 1, 0)",
    DATE: "date (ISO 8601: 2024-02-29)",
    TIMESTAMP: "timestamp (ISO 8601: 2024-02-29T12:30:00{1})",
    LOCAL_TIMESTAMP: "local_timestamp (ISO 8601: 2024-02-29T12:30:00)",
}
"""The types by the document's names, each with what it is read from; a number's point and a
timestamp's offset are the column's."""
ZONELESS = {
    TIMESTAMP: " with its offset from UTC (or name the column's zone)",
    LOCAL_TIMESTAMP: " without an offset from UTC (or name the column's zone)",
}
"""What is asked of times in a column without a zone."""
NO_DAY = " (there is no such day)"
ISO_DAY = re.compile(r"\s*(\d{4}-\d{2}-\d{2})(?!\d)")


class BrokenRule(Document):
    """How often one rule was broken."""

    column: str
    rule: str
    """``type``, ``null``, ``range``, ``values`` or ``duplicate``."""
    expected: str
    rows: int
    example: str
    """The first value that broke it."""


class TableReport(Document):
    """What became of one table's rows."""

    name: str
    rows: int
    accepted: int
    refused: int
    broken: tuple[BrokenRule, ...] = ()

    def sentences(self) -> list[str]:
        """One for each rule that was broken."""
        return [
            f"{self.name}: {rule.rows:,} of {self.rows:,} rows refused: {rule.column} "
            f"{rule.expected} (such as {rule.example})"
            for rule in self.broken
        ]


@dataclass(frozen=True)
class RuleBreach:
    """The rows that broke one rule."""

    column: str
    rule: str
    expected: str
    rows: Mask
    show: Callable[[int], str]
    """The offending value of a row."""

    def reason(self, row: int) -> str:
        """Why one row is refused."""
        return f"{self.column} {self.expected}, found {self.show(row)}"


def broken_rules(rows: pa.Table, table: TableSpec) -> tuple[pa.Table, list[RuleBreach]]:
    """The rows with the table's types, and where they break a rule; only what is broken."""
    typed, breaches = typed_columns(rows, table)
    for name, column in table.columns.items():
        breaches += broken_values(typed[name], name, column)
    breaches += broken_key(typed, table)
    return typed, [breach for breach in breaches if breach.rows.any()]


def counted(
    breaches: list[RuleBreach], place: Callable[[int], str] = lambda row: ""
) -> tuple[BrokenRule, ...]:
    """How often each rule was broken; ``place`` says where a row's source has it."""
    return tuple(
        BrokenRule(
            column=breach.column,
            rule=breach.rule,
            expected=breach.expected,
            rows=int(breach.rows.sum()),
            example=breach.show(first := int(breach.rows.argmax())) + place(first),
        )
        for breach in breaches
    )


def refused_rows(breaches: list[RuleBreach], count: int) -> Mask:
    """Which of so many rows break at least one rule."""
    refused = np.zeros(count, dtype=bool)
    for breach in breaches:
        refused |= breach.rows
    return refused


def typed_columns(rows: pa.Table, table: TableSpec) -> tuple[pa.Table, list[RuleBreach]]:
    """The rows with the table's types; a value that has no such form is null, and a breach."""
    columns, breaches, fields = [], [], []
    for name, column in table.columns.items():
        given, type_ = rows[name], arrow_type(column)
        point = table.files.decimal_point if table.files else "."
        typed, lost = typed_values(given, column, decimal_point=point)
        columns.append(typed)
        expected = expected_type(column, kind_of(given.type), decimal_point=point)
        shown = times_as_written(given, column) if column.type in TIMES else texts(given)
        breaches.append(RuleBreach(name, "type", expected, lost, shown))
        # Nullability is a rule of its own, with a reason; here every column may hold nulls.
        fields.append(pa.field(name, type_))
    return pa.table(columns, schema=pa.schema(fields)), breaches


def expected_type(column: ColumnSpec, kind: str | None = None, *, decimal_point: str = ".") -> str:
    """A type as the document names it, and what it is read from.

    Args:
        column: the column.
        kind: what its source has.
        decimal_point: the source's.
    """
    if column.decimal:
        precision, scale = column.decimal
        most = f"at most {precision - scale} digits and {scale} decimal places"
        return f"must be {column.type} ({most} behind a {decimal_point!r})"
    if column.format:
        return f"must be {column.type} written as {column.format}"
    if kind == NUMBER and column.type == TEXT:
        return f"must be {TEXT} (floating point has lost its spelling)"
    offset = "Z" if column.zone is None else ""
    accepted = ACCEPTED[column.type].format(f"1{decimal_point}", offset)
    return f"must be {accepted}{'' if column.zone else ZONELESS.get(column.type, '')}"


def times_as_written(values: pa.ChunkedArray, column: ColumnSpec) -> Callable[[int], str]:
    """How a row's day or time is shown to a person, and whether its day is none."""
    show = texts(values)

    def shown(row: int) -> str:
        text = show(row)
        return text + NO_DAY if names_no_day(text, column.format) else text

    return shown


def names_no_day(text: str, format_: str) -> bool:
    """Whether a day is written as it should be and the calendar has none of that name."""
    if format_ in UNIX_FORMATS:
        return False
    day = None if format_ else ISO_DAY.match(text)
    if not format_ and day is None:
        return False
    try:
        datetime.strptime(day[1] if day else text.strip(), format_ or "%Y-%m-%d")
    except ValueError as error:
        # Python's words where the pattern fits: "day is out of range for month".
        return day is not None or "range" in str(error)
    return False


def broken_values(values: pa.ChunkedArray, name: str, column: ColumnSpec) -> Iterator[RuleBreach]:
    """Where one column breaks its own rules."""
    text = texts(values)
    if not column.nullable:
        yield RuleBreach(name, "null", "must not be null", mask(values.is_null()), text)
    if column.range is not None:
        low, high = column.range
        yield RuleBreach(name, "range", expected_range(low, high), outside(values, low, high), text)
    elif column.type == NUMBER:
        yield RuleBreach(name, "range", "must be finite", mask(pc.is_inf(values)), text)
    if column.values:
        known = pc.is_in(values, value_set=pa.array(column.values, values.type))
        wrong = pc.and_(pc.invert(known), values.is_valid())
        expected = f"must be one of {', '.join(str(value) for value in column.values)}"
        yield RuleBreach(name, "values", expected, mask(wrong), text)


def outside(values: pa.ChunkedArray, low: Bound, high: Bound) -> Mask:
    """Values that are not within a range; the infinities are outside every one."""
    if isinstance(low, date) or isinstance(high, date):
        # Days compare with days: the last one of a range is in it to its end.
        days = values.cast(pa.date32(), safe=False)
        early = pc.less(days, date.min if low is None else low)
        late = pc.greater(days, date.max if high is None else high)
        return mask(pc.or_(early, late))
    exact = pa.types.is_integer(values.type) and not any(isinstance(e, float) for e in (low, high))
    if exact:
        low, high = (INTEGERS[0] if low is None else low), (INTEGERS[-1] if high is None else high)
    numbers = values if exact else values.cast(pa.float64(), safe=False)
    least = -sys.float_info.max if low is None else low
    greatest = sys.float_info.max if high is None else high
    inside = pc.and_(pc.greater_equal(numbers, least), pc.less_equal(numbers, greatest))
    return mask(pc.invert(inside))


def expected_range(low: Bound, high: Bound) -> str:
    """A range as a sentence has it."""
    least, greatest = (
        str(end) if isinstance(end, date) else "" if end is None else f"{end:g}"
        for end in (low, high)
    )
    if low is None:
        return f"must be at most {greatest}"
    if high is None:
        return f"must be at least {least}"
    return f"must be between {least} and {greatest}"


def broken_key(rows: pa.Table, table: TableSpec) -> list[RuleBreach]:
    """Rows whose key an earlier row has."""
    keys = rows.select(list(table.key)).to_pandas()
    repeated = keys.duplicated(keep="first").to_numpy()
    name = ", ".join(table.key)

    def show(row: int) -> str:
        return ", ".join(str(value) for value in keys.iloc[row])

    return [RuleBreach(name, "duplicate", "must name one row", repeated, show)]


def texts(values: pa.ChunkedArray) -> Callable[[int], str]:
    """How a row's value is shown to a person."""

    def show(row: int) -> str:
        value = readable(values[row])
        return "nothing" if value is None else str(value)

    return show


def readable(value: pa.Scalar) -> object:
    """A value as a person reads it, also one that Python has no form for: bytes that are no
    characters, a time in the year 30,000."""
    try:
        plain = value.as_py()
    except (ValueError, OverflowError, LookupError):
        if pa.types.is_timestamp(value.type):  # perhaps of a zone that nobody knows: as UTC
            value = value.cast(pa.timestamp(value.type.unit))
        plain = value.cast(pa.binary() if pa.types.is_string(value.type) else pa.string()).as_py()
    return plain.decode(errors="replace") if isinstance(plain, bytes) else plain
