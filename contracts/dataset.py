"""``datasets/<name>/dataset.yaml``: what a dataset's tables are, and where they come from.

A schema beside the data turns "the model got worse" into "row 1009 of readings: speed is 1048.36,
above 250". The load reads the files by it, the validation step refuses rows by it, a label's
expression is checked against it, and a person reads it to learn what a column means. Everything
that can be known to be wrong without data is refused here, before anything starts.
"""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from contracts.document import Document, Share, format_duration, parse_duration, suggest
from contracts.errors import DataError, DocumentError

DATASET_FILE = "dataset.yaml"
SCHEMA_VERSION = 1
"""The newest form of the document that is read here."""

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

FORMATS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
"""A file's format, by how its name ends."""
COMPRESSIONS = (".gz", ".bz2", ".zst")
CSV_KEYS = ("delimiter", "quote", "encoding", "nulls", "decimal_point", "skip_rows")


def plain(value: object) -> object:
    """The value with tuples for lists.

    What comes out of a validator that ran before a document's own is Python to pydantic and no
    longer JSON, and strict mode takes a list for a tuple from JSON alone.
    """
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return tuple(plain(inner) for inner in value) if isinstance(value, (list, tuple)) else value


def check_version(version: int) -> int:
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{version} is not known; this Millwright reads version {SCHEMA_VERSION}: "
            "upgrade it, or write that"
        )
    return version


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


def check_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError(
            f"{name!r} is not a time zone; "
            + (closest_zone(name) or "write an IANA name such as Europe/Berlin")
        )
    return name


def closest_zone(name: str) -> str:
    """The zone that was probably meant, as a question; empty where none is near."""
    advice = suggest(name, sorted(zoneinfo.available_timezones()))
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
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(
            f"{value!r} is not an end of a range; write a number, a day such as 2013-09-01, or null"
        ) from None


def parse_history(value: object) -> object:
    seconds = parse_duration(value) if not isinstance(value, timedelta) else value.total_seconds()
    return timedelta(seconds=float(str(seconds)))


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
TableName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
DatasetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
History = Annotated[
    timedelta,
    BeforeValidator(parse_history),
    PlainSerializer(lambda span: format_duration(span.total_seconds()), return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$"},
                {"type": "number", "minimum": 0},
            ]
        }
    ),
]


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
        if "%z" in self.format.lower():
            raise ValueError("format: offsets and zones are read in ISO 8601 only; leave it out")
        return self

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


class FilesSpec(Document):
    """The files that a table is read from."""

    path: str | tuple[str, ...]
    """Paths, also with ``*``: relative to the dataset's folder, absolute, or ``s3://…``. All of
    them together are the table."""
    format: Literal["csv", "json", "parquet"] | None = None
    """``json`` is one object a line, or one list of objects; by the file's ending when left out."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """What stands between two values of a CSV file; a ``.tsv`` file has tabs."""
    quote: str = Field(default='"', min_length=1, max_length=1)
    """What stands around a value of a CSV file that holds a delimiter or a line's end."""
    encoding: str = "utf-8"
    """How a CSV file's characters are written."""
    nulls: tuple[str, ...] = ("",)
    """What a CSV file has for a missing value, where it is not in quotes."""
    decimal_point: Literal[".", ","] = "."
    """What stands before a number's fraction in a CSV file."""
    skip_rows: int = Field(default=0, ge=0)
    """Lines of a CSV file before its header."""

    @model_validator(mode="after")
    def keys_fit_the_format(self) -> Self:
        """Every path has a format, all the same; what only CSV has is given for CSV only."""
        formats = {path: self.format or format_of(path) for path in self.paths}
        for path, name in formats.items():
            if name is None:
                raise ValueError(
                    f"path: {path!r} ends in none of {', '.join(FORMATS)}; write its format"
                )
        if len(set(formats.values())) != 1:
            raise ValueError("path: files of one table have one format")
        given = [key for key in CSV_KEYS if key in self.model_fields_set]
        if given and self.format_name != "csv":
            raise ValueError(f"{given[0]}: only CSV has it, and this is {self.format_name}")
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ValueError(f"encoding: {self.encoding!r} is not known") from None
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths, one or several."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def format_name(self) -> str:
        """``csv``, ``json`` or ``parquet``."""
        return self.format or format_of(self.paths[0]) or ""


def format_of(path: str) -> str | None:
    """A file's format by its ending; None where that says nothing."""
    name = PurePosixPath(path)
    if name.suffix.lower() in COMPRESSIONS:
        name = name.with_suffix("")
    return FORMATS.get(name.suffix.lower())


def parse_files(value: object) -> object:
    """A path, or a list of them, alone is ``{path: …}``."""
    return {"path": plain(value)} if isinstance(value, (str, list, tuple)) else plain(value)


Files = Annotated[
    FilesSpec,
    BeforeValidator(parse_files, json_schema_input_type=FilesSpec | str | tuple[str, ...]),
]


def parse_names(value: object) -> object:
    """A name alone is a list of one."""
    return (value,) if isinstance(value, str) else plain(value)


Names = Annotated[
    tuple[str, ...],
    BeforeValidator(parse_names, json_schema_input_type=str | tuple[str, ...]),
]


class TableSpec(Document):
    """What one table must be."""

    description: str = ""
    """What one row is."""
    key: Names = Field(min_length=1)
    """The columns that together name a row."""
    time: str | None = None
    """The column with the instant at which a row's event happened; the table is stored by its
    months."""
    columns: dict[ColumnName, Column] = Field(min_length=1)
    """The columns, by name; others that the files have are not read."""
    files: Files | None = None
    """The files that it is read from; left out where the dataset's loader gives it."""

    @model_validator(mode="before")
    @classmethod
    def names_are_never_missing(cls, value: object) -> object:
        """What names a row or dates it may not be null, whether or not a person says so."""
        if not isinstance(value, Mapping) or not isinstance(value.get("columns"), Mapping):
            return plain(value)
        key = parse_names(value.get("key"))
        needed = (*(key if isinstance(key, tuple) else ()), value.get("time"))
        columns = {name: parse_column(column) for name, column in value["columns"].items()}
        for name in needed:
            if isinstance(name, str) and isinstance(column := columns.get(name), Mapping):
                columns[name] = {"nullable": False, **column}
        return plain({**value, "columns": columns})

    @model_validator(mode="after")
    def names_exist(self) -> Self:
        """Key and time are columns, of the kind that they must be."""
        for name in (*self.key, *([self.time] if self.time else [])):
            place = "time" if name == self.time and name not in self.key else "key"
            if name not in self.columns:
                raise ValueError(
                    f"{place}: there is no column {name!r}; {suggest(name, list(self.columns))}"
                )
            if self.columns[name].nullable:
                raise ValueError(f"columns.{name}.nullable: the {place} can never be missing")
        if len(set(self.key)) != len(self.key):
            raise ValueError("key: a column stands in it twice")
        if self.time and (kind := self.columns[self.time].type) != TIMESTAMP:
            raise ValueError(f"time: {self.time} is {kind}; it must be {TIMESTAMP}, an instant")
        headers = [column.header or name for name, column in self.columns.items()]
        repeated = next((name for name in headers if headers.count(name) > 1), None)
        if repeated:
            raise ValueError(f"columns: two of them are read from {repeated!r}")
        return self


class DatasetSpec(Document):
    """``dataset.yaml``: tables that belong together."""

    schema_version: Annotated[int, AfterValidator(check_version)] = SCHEMA_VERSION
    """The version of this document's form."""
    name: DatasetName
    """The dataset's name; also its folder, here and in the lake."""
    description: str = ""
    """What the data is, and whose."""
    tables: dict[TableName, TableSpec] = Field(min_length=1)
    """The tables, by name."""
    source: str = ""
    """The table whose rows are predicted; the only one when left out."""
    history: History = timedelta(0)
    """How far before a model's first day its features may look."""
    quarantine: Share = 0.01
    """The largest share of a table's rows that may be set aside as wrong; above it the data as a
    whole is not believed."""
    loader: str | None = Field(default=None, pattern=r"^[\w./-]+\.py$")
    """The Python file beside the document whose ``load()`` gives the tables that have no files."""

    @model_validator(mode="before")
    @classmethod
    def only_table_is_the_source(cls, value: object) -> object:
        """With one table there is nothing to say."""
        if isinstance(value, Mapping) and not value.get("source"):
            tables = value.get("tables")
            if isinstance(tables, Mapping) and len(tables) == 1:
                value = {**value, "source": next(iter(tables))}
        return plain(value)

    @model_validator(mode="after")
    def tables_come_from_somewhere(self) -> Self:
        """The source is a table, and every table has files or the loader."""
        if self.source not in self.tables:
            raise ValueError(
                f"source: there is no table {self.source!r}; "
                f"{suggest(self.source, list(self.tables))}"
                if self.source
                else "source: missing; it is required: the table whose rows are predicted"
            )
        for name, table in self.tables.items():
            if table.files is None and self.loader is None:
                raise ValueError(
                    f"tables.{name}.files: missing; write the files that it is read from, or give "
                    "the dataset a loader"
                )
        if self.loader and all(table.files for table in self.tables.values()):
            raise ValueError("loader: every table has files; one of them is not needed")
        return self

    def table(self, name: str) -> TableSpec:
        """The table of that name.

        Raises:
            DataError: there is none.
        """
        if name not in self.tables:
            raise DataError(
                f"there is no table {name!r}",
                where=f"dataset {self.name}",
                fix=suggest(name, list(self.tables)),
            )
        return self.tables[name]

    @property
    def loaded(self) -> tuple[str, ...]:
        """The tables that the loader gives."""
        return tuple(name for name, table in self.tables.items() if table.files is None)

    @classmethod
    def find(cls, datasets: Path, name: str) -> Self:
        """The dataset of that name in the folder of datasets.

        Raises:
            DataError: there is none (with the name that was probably meant).
            DocumentError: its document is wrong.
        """
        path = datasets / name / DATASET_FILE
        if not path.is_file():
            names = names_in(datasets)
            raise DataError(
                f"there is no dataset {name!r}",
                where=datasets.name if datasets.is_dir() else str(datasets),
                fix=suggest(name, names)
                if names
                else f"make a folder {name!r} there, with a {DATASET_FILE}",
            )
        spec = cls.load(path)
        if spec.name != name:
            raise DocumentError(
                f"name: is {spec.name!r}, but the folder is {name!r}",
                where=str(path),
                fix="make them the same",
            )
        if spec.loader and not (path.parent / spec.loader).is_file():
            raise DocumentError(
                f"loader: there is no file {spec.loader!r} beside it", where=str(path)
            )
        return spec


def names_in(datasets: Path) -> list[str]:
    """The names of the datasets in a folder."""
    return sorted(path.parent.name for path in datasets.glob(f"*/{DATASET_FILE}"))
