"""The files that a table is read from: CSV, JSON lines and Parquet, here or in S3.

Nothing of a file is lost unsaid. What is wrong with a file as a whole (it is missing, it lacks a
column, it breaks off) is an error that names it. What is wrong with one row (too many values) sets
that row aside, with its number, its content and the reason.
"""

from __future__ import annotations

import csv as text_csv
import fnmatch
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv, fs

from contracts.columns import TEXT
from contracts.dataset import FilesSpec, TableSpec
from contracts.document import suggest
from contracts.errors import DataError
from contracts.json_objects import each_once
from data.objects import filesystem_of, first_line

BOM = b"\xef\xbb\xbf"
HEAD = 1 << 16
"""Bytes in which a CSV file's header must end."""
BLOCK = 1 << 24
"""Bytes that a CSV file is read in at once; no row may be longer."""
KEY_END = re.compile(rb'"\s*:')
"""What stands behind each key of an object, and seldom elsewhere."""
WILDCARDS = "*?["
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class SourceFile:
    """One file, and what a person calls it."""

    filesystem: fs.FileSystem
    path: str
    name: str

    def open(self) -> pa.NativeFile:
        """Its content, decompressed where its name says that it is compressed."""
        return self.filesystem.open_input_stream(self.path, compression="detect")


@dataclass(frozen=True, kw_only=True)
class RefusedRow:
    """A row that is set aside."""

    file: str
    row: int
    """Its number in the file: 1 is the first after a CSV file's header."""
    reasons: str
    content: str
    """What stands in the file, as JSON where it could be taken apart."""


@dataclass(frozen=True, kw_only=True)
class RawRows:
    """What one file holds: the document's columns as the file has them.

    ``numbers`` are the rows' numbers in the file; ``refused`` are what could not be taken for rows.
    """

    rows: pa.Table
    numbers: Sequence[int]
    refused: list[RefusedRow] = field(default_factory=list)


def find_files(files: FilesSpec, folder: Path) -> list[SourceFile]:
    """The files that a document's paths name, in the order of their names.

    Args:
        files: the document's.
        folder: the dataset's own, from which relative paths start.

    Raises:
        DataError: a path names none, or a folder.
    """
    named: list[SourceFile] = []
    for path in files.paths:
        matches = list(in_s3(path) if path.startswith("s3://") else on_disk(path, folder))
        if not matches:
            raise DataError("there is no such file", where=str(place_of(path, folder)))
        named += matches
    return named


def place_of(path: str, folder: Path) -> str:
    """A document's path, from anywhere."""
    return path if path.startswith("s3://") else str(folder / path)


def on_disk(path: str, folder: Path) -> Iterator[SourceFile]:
    """The files of this machine that a path names."""
    literal = (folder / path).absolute()
    if literal.is_dir():
        raise DataError(
            "is a folder", where=str(literal), fix=f"name its files, such as {path}/*.csv"
        )
    # A name may hold a bracket or a star itself.
    root = Path(literal.anchor)
    matches = [literal] if literal.is_file() else root.glob(str(literal.relative_to(root)))
    for match in sorted(matches):
        if match.is_file():
            yield SourceFile(fs.LocalFileSystem(), str(match), str(match))


def in_s3(uri: str) -> Iterator[SourceFile]:
    """The objects that an URI names."""
    with explained(uri):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        filesystem, _ = filesystem_of(f"s3://{bucket}")
        if not any(sign in key for sign in WILDCARDS):
            info = filesystem.get_file_info(f"{bucket}/{key}")
            names = [info.path] if info.type == fs.FileType.File else []
        else:
            fixed = key[: min(key.find(sign) for sign in WILDCARDS if sign in key)]
            base = f"{bucket}/{fixed}".rpartition("/")[0]
            selector = fs.FileSelector(base, recursive=True, allow_not_found=True)
            names = [
                info.path
                for info in filesystem.get_file_info(selector)
                if info.type == fs.FileType.File
                and fnmatch.fnmatchcase(info.path, f"{bucket}/{key}")
            ]
    for name in sorted(names):
        yield SourceFile(filesystem, name, f"s3://{name}")


def read_file(file: SourceFile, files: FilesSpec, table: TableSpec) -> RawRows:
    """One file's rows, with the document's columns under its names.

    Raises:
        DataError: the file cannot be read, is empty, or has not the columns.
    """
    with explained(file.name):
        return READERS[files.format_name](file, files, table)


@contextmanager
def explained(place: str) -> Iterator[None]:
    """What the storage or a reader says, as an error for a person."""
    try:
        yield
    except FileNotFoundError:
        raise DataError("there is no such file", where=place) from None
    except RecursionError:
        raise DataError("is nested too deep to be read", where=place) from None
    except (OSError, pa.ArrowException, UnicodeError, msgspec.MsgspecError) as error:
        raise DataError(f"cannot be read: {first_line(error)}", where=place) from error


# CSV


def read_csv(file: SourceFile, files: FilesSpec, table: TableSpec) -> RawRows:
    """Every value as the characters that stand there; what they mean is decided later."""
    delimiter = "\t" if is_tabbed(file, files) else files.delimiter
    header = read_header(file, files, delimiter)
    columns = columns_in(header, table, place=file.name, hint=delimiter_hint(header, delimiter))
    broken: list[csv.InvalidRow] = []

    def set_aside(row: csv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    with file.open() as stream:
        rows = csv.read_csv(
            stream,
            # One thread: rows that are set aside have their numbers only then.
            read_options=csv.ReadOptions(
                use_threads=False,
                encoding=files.encoding,
                skip_rows=files.skip_rows,
                block_size=BLOCK,
            ),
            parse_options=csv.ParseOptions(
                delimiter=delimiter,
                quote_char=files.quote,
                newlines_in_values=True,
                invalid_row_handler=set_aside,
            ),
            convert_options=csv.ConvertOptions(
                # Bytes: one row that is not UTF-8 must not take the others with it.
                column_types=dict.fromkeys(header, pa.binary()),
                include_columns=list(columns.values()),
                null_values=list(files.nulls),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    check_quotes(rows, broken, file, files)
    rows = rows.select(list(columns.values())).rename_columns(list(columns))
    first = 2 + files.skip_rows
    gone = {row.number - first + 1 for row in broken}
    numbers = [number for number in range(1, rows.num_rows + len(broken) + 1) if number not in gone]
    return RawRows(
        rows=rows,
        numbers=numbers,
        refused=[
            RefusedRow(
                file=file.name,
                row=row.number - first + 1,
                reasons=f"has {row.actual_columns} values, the header has {row.expected_columns}",
                content=row.text,
            )
            for row in broken
        ],
    )


def is_tabbed(file: SourceFile, files: FilesSpec) -> bool:
    """Whether it is a ``.tsv`` for which nobody named another delimiter."""
    return ".tsv" in Path(file.path).suffixes and "delimiter" not in files.model_fields_set


def read_header(file: SourceFile, files: FilesSpec, delimiter: str) -> list[str]:
    """The names in a CSV file's first row.

    Raises:
        DataError: there is none, or a name stands in it twice.
    """
    with file.open() as stream:
        start = stream.read(HEAD)
    text = start.removeprefix(BOM).decode(files.encoding, errors="ignore")
    lines = io.StringIO(text, newline="")
    for _ in range(files.skip_rows):
        lines.readline()
    reader = text_csv.reader(lines, delimiter=delimiter, quotechar=files.quote)
    header = next((row for row in reader if row), [])
    if not header:
        raise DataError("the file is empty", where=file.name)
    return header


def columns_in(
    header: Sequence[str], table: TableSpec, *, place: str, hint: str = ""
) -> dict[str, str]:
    """The document's columns, and what the file calls each.

    Raises:
        DataError: one is not there, or there twice.
    """
    spelled = {name.strip(): name for name in header}
    wanted = {name: column.header or name for name, column in table.columns.items()}
    missing = [name for name in wanted.values() if name not in spelled]
    if missing:
        advice = hint or "; ".join(f"{name}: {suggest(name, list(spelled))}" for name in missing)
        raise DataError(f"there is no column {', '.join(missing)}", where=place, fix=advice)
    counts = Counter(name.strip() for name in header)
    twice = [name for name in wanted.values() if counts[name] > 1]
    if twice:
        raise DataError(
            f"the column {twice[0]} is there {counts[twice[0]]} times",
            where=place,
            fix="give each a name of its own",
        )
    return {name: spelled[own] for name, own in wanted.items()}


def delimiter_hint(header: Sequence[str], delimiter: str) -> str:
    """What to do where a whole header was taken for one name."""
    others = [each for each in DELIMITERS if each != delimiter and each in header[0]]
    if len(header) != 1 or not others:
        return ""
    return f"its header is {header[0]!r}: write `delimiter: {others[0]!r}` in the document"


def check_quotes(
    rows: pa.Table, broken: Sequence[csv.InvalidRow], file: SourceFile, files: FilesSpec
) -> None:
    """A quote that nobody closes swallows the rest of the file into one value.

    Raises:
        DataError: one does.
    """
    last = rows.slice(rows.num_rows - 1).to_pylist() if rows.num_rows else []
    open_at_end = any(
        b"\n" in value.rstrip(b"\r\n") or value.endswith(b"\n")
        for row in last
        for value in row.values()
        if value is not None
    ) and not ends_quoted(file, files)
    odd = next(
        (row for row in broken if row.text.count(files.quote) % 2 and "\n" in row.text), None
    )
    if open_at_end or odd:
        raise DataError(
            f"a quote ({files.quote}) is opened and never closed",
            where=f"{file.name}: row {odd.number if odd else rows.num_rows}",
            fix="close it, or name another `quote` in the document",
        )


def ends_quoted(file: SourceFile, files: FilesSpec) -> bool:
    """Whether the file's last value is closed by a quote, as one of several lines must be."""
    with file.open() as stream:
        end = b""
        while block := stream.read(BLOCK):
            end = (end + block)[-64:]
    lines = end.decode(files.encoding, errors="ignore").rstrip("\r\n")
    return files.quote in lines.rpartition("\n")[2]


# JSON


def read_json(file: SourceFile, files: FilesSpec, table: TableSpec) -> RawRows:
    """Objects, one a line, or one list of them; a key that an object lacks is a missing value."""
    with file.open() as stream:
        content = stream.read().removeprefix(BOM)
    if not content.strip():
        raise DataError("the file is empty", where=file.name)
    records, refused = json_records(content, file.name)
    wanted = {name: column.header or name for name, column in table.columns.items()}
    refused += no_text(
        records, {own: table.columns[name].type for name, own in wanted.items()}, file
    )
    names = {key for record in records.values() for key in record}
    if records:
        columns_in(sorted(names | nullable(table, wanted)), table, place=file.name)
    return RawRows(
        rows=pa.table(
            {
                name: json_values([record.get(own) for record in records.values()])
                for name, own in wanted.items()
            }
        ),
        numbers=list(records),
        refused=refused,
    )


def no_text(
    records: dict[int, dict[str, object]], types: Mapping[str, str], file: SourceFile
) -> list[RefusedRow]:
    """Takes away the objects that have what is no text where text is meant: a number with a
    fraction, whose spelling JSON's readers do not keep, a list, an object."""
    refused = []
    for number, record in list(records.items()):
        wrong = [
            f"{name} must be {TEXT}, found {json.dumps(record.get(name))}"
            for name, type_ in types.items()
            if type_ == TEXT and isinstance(record.get(name), (float, list, dict))
        ]
        if wrong:
            content = json.dumps(records.pop(number), ensure_ascii=False)
            reasons = "; ".join(wrong)
            refused.append(RefusedRow(file=file.name, row=number, reasons=reasons, content=content))
    return refused


def nullable(table: TableSpec, wanted: Mapping[str, str]) -> set[str]:
    """The keys that every object may lack."""
    return {own for name, own in wanted.items() if table.columns[name].nullable}


def json_records(
    content: bytes, name: str
) -> tuple[dict[int, dict[str, object]], list[RefusedRow]]:
    """The objects by their numbers, and what is none."""
    values = [line for line in content.split(b"\n") if line.strip()]
    if content.lstrip().startswith(b"["):
        values = [bytes(value) for value in msgspec.json.decode(content, type=list[msgspec.Raw])]
    records: dict[int, dict[str, object]] = {}
    refused: list[RefusedRow] = []
    for number, value in enumerate(values, 1):
        try:
            record = json_record(value)
        except (ValueError, RecursionError) as error:
            text, reason = value.decode(errors="replace").strip(), str(error)
            refused.append(RefusedRow(file=name, row=number, reasons=reason, content=text))
        else:
            records[number] = record
    return records, refused


def json_record(text: bytes) -> dict[str, object]:
    """One object. Of a key that stands in it twice, readers take the last without a word.

    Raises:
        ValueError: it is none, or has a key twice; says so after the row's number.
    """
    try:
        record = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError("is not an object")
    if len(KEY_END.findall(text)) > len(record):  # it holds other objects, texts like keys, or one
        json.loads(text, object_pairs_hook=each_once)
    return record


def json_values(values: list[object]) -> pa.Array:
    """Values of one kind as Arrow has them; of several kinds, or too large, as JSON's text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(
            [
                value if value is None or isinstance(value, str) else json.dumps(value)
                for value in values
            ],
            pa.string(),
        )


# Parquet


def read_parquet(file: SourceFile, files: FilesSpec, table: TableSpec) -> RawRows:
    """The document's columns, and no others."""
    with file.filesystem.open_input_file(file.path) as stream:
        if stream.size() == 0:
            raise DataError("the file is empty", where=file.name)
        # Spark's old times reach years that nanoseconds do not, and would wrap around in them.
        parquet = pq.ParquetFile(stream, coerce_int96_timestamp_unit="us")
        columns = columns_in(parquet.schema_arrow.names, table, place=file.name)
        rows = parquet.read(columns=list(columns.values()))
    rows = rows.select(list(columns.values())).rename_columns(list(columns))
    return RawRows(rows=rows, numbers=range(1, rows.num_rows + 1))


READERS: Mapping[str, Callable[[SourceFile, FilesSpec, TableSpec], RawRows]] = {
    "csv": read_csv,
    "json": read_json,
    "parquet": read_parquet,
}
