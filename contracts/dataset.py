"""``datasets/<name>/dataset.yaml``: what a dataset's tables are, and where they come from.

A schema beside the data turns "the model got worse" into "row 1009 of readings: speed is 1048.36,
above 250". The load reads the files by it, the validation step refuses rows by it, a label's
expression is checked against it, and a person reads it to learn what a column means. Everything
that can be known to be wrong without data is refused here, before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
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

from contracts.columns import TIMESTAMP, Column, ColumnName, parse_column, plain
from contracts.document import Document, Share, format_duration, parse_duration, suggest
from contracts.errors import DataError, DocumentError

DATASET_FILE = "dataset.yaml"
SCHEMA_VERSION = 1
"""The newest form of the document that is read here."""

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


def check_version(version: int) -> int:
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{version} is not known; this Millwright reads version {SCHEMA_VERSION}: "
            "upgrade it, or write that"
        )
    return version


def parse_history(value: object) -> object:
    seconds = parse_duration(value) if not isinstance(value, timedelta) else value.total_seconds()
    return timedelta(seconds=float(str(seconds)))


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
