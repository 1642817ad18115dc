"""Whatever a file or a loader holds, a person gets a table, rows in quarantine, or our error."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.columns import TYPES
from contracts.dataset import DatasetSpec
from contracts.errors import DataError
from data.reading import ReadTable, read_tables
from data.rules import broken_rules

COLUMNS = {"id": "text"} | {f"c_{name}": name for name in [*TYPES, "decimal(9, 3)"]}
NAMES = [name.partition("(")[0] for name in COLUMNS]
COLUMNS = dict(zip(NAMES, COLUMNS.values(), strict=True))


def read(folder: Path, name: str, **document: Any) -> ReadTable | None:
    """Reads a file as a table with a column of each type; None where our error says why not."""
    table = {"key": "id", "columns": COLUMNS, "files": {"path": name, **document}}
    spec = DatasetSpec.parse({"name": "any", "quarantine": "100%", "tables": {"t": table}})
    try:
        [made] = read_tables(folder, spec)
    except DataError as refused:
        return None if refused.what and refused.where else pytest.fail(repr(refused))
    # What is kept, the next step asks the same of.
    broken_rules(made.rows, spec.table("t"))
    assert all(row.reasons and row.content is not None for row in made.refused)
    assert made.report.rows == made.rows.num_rows + len(made.refused)
    json.dumps([row.content for row in made.refused])
    return made


HEADER = ",".join(NAMES).encode()
ROW = b"1" + b",1" * (len(NAMES) - 1)
CSV = {
    "nothing": b"",
    "a null byte": HEADER + b"\n" + ROW.replace(b"1", b"\0") + b"\n",
    "null bytes alone": b"\0" * 100,
    "UTF-16": (HEADER + b"\n" + ROW).decode().encode("utf-16"),
    "Latin-1": HEADER + b"\n" + ROW.replace(b"1", b"\xe9"),
    "carriage returns": HEADER + b"\r" + ROW + b"\r",
    "quotes": HEADER + b"\n" + b'"' * 9999,
    "a quote in the middle": HEADER + b"\n" + ROW.replace(b"1", b'1"2') + b"\n" + ROW,
    "a header alone": HEADER,
    "a long header": b"x" * 70_000 + b"," + HEADER + b"\n1," + ROW,
    "a long value": HEADER + b"\n" + ROW.replace(b"1", b"9" * 100_000),
    "a header twice": HEADER + b"," + HEADER + b"\n" + ROW + b"," + ROW,
    "a row of more bytes than are read at once": HEADER + b"\n" + b"1" * (17 << 20) + ROW[1:],
}
JSON = {
    "nothing": b" \n ",
    "null": b"null",
    "a brace": b"{",
    "half a list": b'[{"id": 1}, ',
    "lists": b"[[], [1], {}]",
    "deep": b'{"id": ' + b"[" * 100_000,
    "a deep list": b"[" * 100_000,
    "a long number": b'{"id": ' + b"9" * 5000 + b"}",
    "a large number": b'{"id": "1", "c_number": 1e999, "c_integer": 1e999}',
    "bytes": b'{"id": "\xff"}',
    "a lone surrogate": b'{"id": "\\ud800", "c_text": "\\udfff"}',
    "an empty key": b'{"": 1, "id": "x"}',
    "every kind": b"".join(
        json.dumps(dict.fromkeys(NAMES, value)).encode() + b"\n"
        for value in (None, True, -1, 2**70, 1.5, "x", [], {}, [[1]], {"a": {}}, "", "2020-13-01")
    ),
}


@pytest.mark.parametrize("content", CSV.values(), ids=CSV)
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.csv.zst", "t.csv.bz2"])
def test_any_csv(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    read(tmp_path, name)
    if name == "t.csv":
        for encoding in ("ascii", "utf-16", "cp037"):
            read(tmp_path, name, encoding=encoding, decimal_point=",")
        (tmp_path / "t.csv.gz").write_bytes(gzip.compress(content, 1)[:-4])
        read(tmp_path, "t.csv.gz")


@pytest.mark.parametrize("content", JSON.values(), ids=JSON)
def test_any_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.json").write_bytes(content)
    read(tmp_path, "t.json")


def parquet(rows: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(rows, file, **options)
    return file.getvalue()


ARRAYS: dict[str, pa.Array] = {
    "bytes that are no text": pa.array([b"\xff", b"1"]),
    "text that is none": pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"1"]).buffers()),
    "a year of five digits": pa.array([10**18, -(10**18)], pa.timestamp("us")),
    "a zone that is none": pa.array([1, 2], pa.timestamp("us", "Nowhere/Land")),
    "a year of five digits in a zone": pa.array([10**18, 0], pa.timestamp("us", "Asia/Tokyo")),
    "nanoseconds": pa.array([1, -1], pa.timestamp("ns", "UTC")),
    "days beyond": pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32()),
    "durations": pa.array([1, 2], pa.duration("s")),
    "times of day": pa.array([1, 2], pa.time64("us")),
    "lists": pa.array([[1], None]),
    "structs": pa.array([{"a": 1}, None]),
    "maps": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "small floats": pa.array([1.5, float("nan")], pa.float16()),
    "infinite": pa.array([float("inf"), float("-inf")]),
    "decimals": pa.array([10**37, -1], pa.decimal128(38, 0)),
    "wide decimals": pa.array([10**60, -1], pa.decimal256(70, 5)),
    "unsigned": pa.array([2**64 - 1, 0], pa.uint64()),
    "nothing": pa.nulls(2),
    "dictionary": pa.array(["a", None]).dictionary_encode(),
    "dictionary of instants": pa.array([1, 2], pa.timestamp("ms", "UTC")).dictionary_encode(),
    "booleans": pa.array([True, None]),
    "views": pa.array(["a", None], pa.string_view()),
    "identities": pa.array([b"0" * 16] * 2, pa.binary(16)),
}


@pytest.mark.parametrize("values", ARRAYS.values(), ids=ARRAYS)
def test_any_typed_column(tmp_path: Path, values: pa.Array) -> None:
    rows = pa.table({"id": pa.array(["x", "y"])} | dict.fromkeys(NAMES[1:], values))
    with pa.ipc.new_file(tmp_path / "t.arrow", rows.schema) as file:
        file.write_table(rows)
    code = f"return {{'t': pyarrow.ipc.open_file({str(tmp_path / 't.arrow')!r}).read_all()}}"
    (tmp_path / "load.py").write_text(f"import pyarrow\n\n\ndef load():\n    {code}\n")
    table = {"key": "id", "columns": COLUMNS}
    document = {"name": "any", "loader": "load.py", "quarantine": "100%", "tables": {"t": table}}
    [made] = read_tables(tmp_path, DatasetSpec.parse(document))
    assert made.report.rows == 2
    try:
        content = parquet(rows)
    except pa.ArrowException:
        return  # Parquet cannot hold it.
    (tmp_path / "t.parquet").write_bytes(content)
    read(tmp_path, "t.parquet")


def test_any_parquet(tmp_path: Path) -> None:
    """A good file, cut off anywhere or with any of its bytes changed."""
    good = parquet(pa.table({name: ["1", "2"] for name in NAMES}))
    chance = random.Random(0)
    for _ in range(60):
        content = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / "t.parquet").write_bytes(content[: chance.choice([None, None, -1, 9, 200])])
        read(tmp_path, "t.parquet")


LOADERS = {
    "a number": "return {'t': 3}",
    "nothing": "return None",
    "rows": "return {'t': [{'id': 1}]}",
    "mixed values": "import pandas; return {'t': pandas.DataFrame({'id': [1, 'a', b'b', None]})}",
    "a recursion": "return load()",
    "an exit": "raise SystemExit(3)",
    "an exit of the process's own": "import sys; sys.exit('bye')",
    "a generator that fails": "yield 't', 1 / 0",
    "a key that is no text": "return {None: 1, 3: 2}",
    "an error without a text": "raise ValueError",
    "an error of bytes": "raise ValueError(b'\\xff')",
    "an assertion": "assert False",
    "a wrong document": "from contracts.features import Feature; Feature(name=3)",
    "too much": "return {'t': 'x' * 10 ** 15}",
}


@pytest.mark.parametrize("code", LOADERS.values(), ids=LOADERS)
def test_any_loader(tmp_path: Path, code: str) -> None:
    (tmp_path / "load.py").write_text(f"def load():\n    {code}\n")
    tables = {"t": {"key": "id", "columns": {"id": "text"}}}
    document = {"name": "any", "loader": "load.py", "tables": tables}
    with pytest.raises(DataError) as caught:
        list(read_tables(tmp_path, DatasetSpec.parse(document)))
    assert str(tmp_path / "load.py") in caught.value.where
    assert "pydantic" not in caught.value.what
