"""A dataset's columns: their types, and the rules of which each type can have some.

What a value of each type is read from, and what is refused, is in :mod:`data.values` and in
``docs/datasets.md``.
"""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from contracts.document import Document, suggest

TEXT, INTEGER, NUMBER, BOOLEAN = "text", "integer", "number", "boolean"
DATE, TIMESTAMP, LOCAL_TIMESTAMP = "date", "timestamp", "local_timestamp"
TYPES: Mapping[str, str] = {
    TEXT: "characters",
    INTEGER: "whole numbers of 64 bits",
    NUMBER: "floating-point numbers of 64 bits",
    BOOLEAN: "true or false",
    DATE: "days",
    TIMESTAMP: "instants, kept in UTC to the microsecond",
    LOCAL_TIMESTAMP: "a wall clock's readings, for the parts of a day that people live by",
}
"""What a column may be, beside ``decimal(PRECISION, SCALE)``."""
DECIMAL = re.compile(r"^decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)$")
LONGEST_DECIMAL = 38
NUMERIC = (INTEGER, NUMBER)
TIMES = (DATE, TIMESTAMP, LOCAL_TIMESTAMP)

UNIX_FORMATS = ("unix", "unix_ms")
"""Instants as seconds or milliseconds since 1970."""
DIRECTIVES: Mapping[str, str] = {
    **{name: name for name in "YymdjHIMSpbBaA"},
    "F": "Ymd",
    "T": "HMS",
    "R": "HM",
    "h": "b",
    "%": "",
}
"""What may stand in a format behind a ``%``, and which parts of a time each gives (as C's strptime
has them; two digits of a year are from 1969 to 2068)."""
WITH_ZONE = re.compile(r"(?<!%)(Z|UTC|GMT)\s*$")
INTEGERS = range(-(2**63), 2**63)


def plain(value: object) -> object:
    """The value with tuples for lists.

    What comes out of a validator that ran before a document's own is Python to pydantic and no
    longer JSON, and strict mode takes a list for a tuple from JSON alone.
    """
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return tuple(plain(inner) for inner in value) if isinstance(value, (list, tuple)) else value


def check_type(name: str) -> str:
    """One of :data:`TYPES`, or a decimal whose scale fits its precision."""
    decimal = DECIMAL.match(name)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        if not (1 <= precision <= LONGEST_DECIMAL and scale <= precision):
            raise ValueError(
                f"{name!r} is not possible; write decimal(PRECISION, SCALE) with at most "
                f"{LONGEST_DECIMAL} digits, SCALE of them after the point"
            )
    elif name not in TYPES:
        raise ValueError(f"{name!r} is not a type; {suggest(name, [*TYPES, 'decimal(12, 2)'])}")
    return name


@cache
def zones() -> frozenset[str]:
    """The time zones of this machine; looking for them reads a folder of some hundred files."""
    return frozenset(zoneinfo.available_timezones())


def check_zone(name: str) -> str:
    if name not in zones():
        raise ValueError(
            f"{name!r} is not a time zone; "
            + (closest_zone(name) or "write an IANA name such as Europe/Berlin")
        )
    return name


def closest_zone(name: str) -> str:
    """The zone that was probably meant, as a question; empty where none is near."""
    advice = suggest(name, sorted(zones()))
    return advice if advice.startswith("did you mean") else ""


def check_column_name(name: str) -> str:
    if not re.fullmatch(r"[^\W\d]\w*", name):
        raise ValueError(
            f"{name!r} is not a column's name; write letters, digits and _, "
            "and the file's own spelling as `header`"
        )
    return name


def parse_bound(value: object) -> object:
    """An end of a range: a number, a day, or null where there is none."""
    if value is None or (isinstance(value, (date, int, float)) and not isinstance(value, bool)):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} is not an end of a range; write null where there is none")
        if isinstance(value, int) and value not in INTEGERS:
            raise ValueError("a whole number has at most 64 bits; write null where there is none")
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(
            f"{value!r} is not an end of a range; write a number, a day such as 2013-09-01, or null"
        ) from None


Bound = Annotated[int | float | date | None, BeforeValidator(parse_bound)]
ColumnType = Annotated[
    str,
    AfterValidator(check_type),
    WithJsonSchema(
        {"anyOf": [{"enum": list(TYPES)}, {"type": "string", "pattern": DECIMAL.pattern}]}
    ),
]
ColumnName = Annotated[str, AfterValidator(check_column_name)]
TimeZone = Annotated[str, AfterValidator(check_zone)]


class ColumnSpec(Document):
    """What one column must be."""

    type: ColumnType
    """What its values are: text, integer, number, boolean, date, timestamp, local_timestamp, or
    decimal(PRECISION, SCALE)."""
    description: str = ""
    """What it means."""
    unit: str = ""
    """What a number counts, such as ``minutes`` or ``EUR``."""
    nullable: bool = True
    """Whether a value may be missing; in a table's key and time it never may."""
    range: tuple[Bound, Bound] | None = None
    """The least and the greatest value that is believed, ``[0, 250]``; null is no end."""
    values: tuple[str | int, ...] = ()
    """All the values there may be; any when left out."""
    header: str = ""
    """What the files call it; the same when left out."""
    zone: TimeZone | None = None
    """The time zone of clock readings that name none, such as ``Europe/Berlin``."""
    format: str = ""
    """How dates and times are written, such as ``%d.%m.%Y %H:%M``, or ``unix`` or ``unix_ms``; as
    ISO 8601 has it when left out."""

    @model_validator(mode="after")
    def rules_fit_the_type(self) -> Self:
        """A rule that the type cannot have is a mistake in one of them."""
        if self.range is not None:
            self._check_range(*self.range)
        expected = {TEXT: str, INTEGER: int}.get(self.type)
        if self.values and (
            expected is None or any(type(value) is not expected for value in self.values)
        ):
            raise ValueError(f"values: these are not values of the type {self.type}")
        for key in ("zone", "format"):
            if getattr(self, key) and self.type not in TIMES:
                raise ValueError(f"{key}: only dates and times have one, this is {self.type}")
        if self.zone and self.type == DATE:
            raise ValueError("zone: a date has none")
        if self.format in UNIX_FORMATS and self.type != TIMESTAMP:
            raise ValueError(f"format: {self.format} gives instants; the type must be {TIMESTAMP}")
        if any(type(value) is int and value not in INTEGERS for value in self.values):
            raise ValueError("values: an integer has at most 64 bits")
        if self.format and self.format not in UNIX_FORMATS:
            self._check_format()
        return self

    def _check_format(self) -> None:
        """A format must say which moment is meant, all of it, and no zone but the column's."""
        if "%z" in self.format.lower() or (self.zone != "UTC" and WITH_ZONE.search(self.format)):
            raise ValueError("format: offsets and zones are read in ISO 8601 only; leave it out")
        given = re.findall(r"%(.?)", self.format)
        unknown = [name for name in given if name not in DIRECTIVES]
        if unknown:
            raise ValueError(
                f"format: %{unknown[0]} is not known; write "
                + ", ".join(f"%{name}" for name in DIRECTIVES)
            )
        parts = {part for name in given for part in DIRECTIVES[name]}
        dated = parts & {"Y", "y"} and ("j" in parts or ("d" in parts and parts & {"m", "b", "B"}))
        if not dated:
            raise ValueError(f"format: {self.format} names no day; write year, month and day")
        if ("I" in parts) != ("p" in parts):
            raise ValueError("format: hours of twelve (%I) need %p, and only they have it")

    def _check_range(self, low: object, high: object) -> None:
        ends = [end for end in (low, high) if end is not None]
        fits = (
            all(isinstance(end, date) for end in ends)
            if self.type in TIMES
            else self.is_numeric and not any(isinstance(end, date) for end in ends)
        )
        if not fits or not ends:
            raise ValueError(
                f"range: [{low}, {high}] is no range of the type {self.type}; numbers have one of "
                "numbers, dates and times one of days"
            )
        if len(ends) == 2 and ends[0] > ends[1]:  # type: ignore[operator]
            raise ValueError(f"range: {low} must not be above {high}")

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.type in NUMERIC or self.decimal is not None

    @property
    def decimal(self) -> tuple[int, int] | None:
        """A decimal's precision and scale."""
        match = DECIMAL.match(self.type)
        return (int(match[1]), int(match[2])) if match else None


def parse_column(value: object) -> object:
    """``integer`` alone is ``{type: integer}``."""
    return {"type": value} if isinstance(value, str) else plain(value)


Column = Annotated[
    ColumnSpec, BeforeValidator(parse_column, json_schema_input_type=ColumnSpec | str)
]
