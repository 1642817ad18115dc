"""Files of any kind become the document's tables; what is wrong with one is a sentence, and what is
wrong with a row sets it aside with its reason."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
import textwrap
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from contracts.dataset import DatasetSpec
from contracts.errors import DataError
from data.reading import ReadTable, read_tables

UTC = dt.UTC
NO_OFFSET = (
    "value must be timestamp (ISO 8601: 2024-02-29T12:30:00Z) with its offset from UTC "
    "(or name the column's zone)"
)
WITH_OFFSET = (
    "value must be local_timestamp (ISO 8601: 2024-02-29T12:30:00) without an offset from "
    "UTC (or name the column's zone)"
)
INTEGER = "value must be integer (digits with a sign, at most 64 bits)"
DATE = "value must be date (ISO 8601: 2024-02-29)"
Read = Callable[..., ReadTable]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a file as a table of orders; ``columns`` are beside its key ``id``."""

    def run(
        content: str | bytes | pa.Table | None,
        columns: dict[str, Any] | None = None,
        name: str = "orders.csv",
        **files: Any,
    ) -> ReadTable:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        elif content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        dataset = DatasetSpec.parse(
            {
                "name": "shop",
                "tables": {
                    "orders": {
                        "key": "id",
                        "columns": {"id": "integer", **(columns or {})},
                        "files": {"path": name, **files},
                    }
                },
            }
        )
        return next(iter(read_tables(tmp_path, dataset)))

    return run


def values(table: ReadTable, column: str) -> list[Any]:
    return list(table.rows[column].to_pylist())


def text_of(type_: Any, *cells: str) -> tuple[str, dict[str, Any]]:
    """A CSV file with these cells in its second column."""
    rows = "".join(f"{number},{cell}\n" for number, cell in enumerate(cells))
    return f"id,value\n{rows}", {"value": type_}


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("text", '"a, ""b"""', 'a, "b"'),
        ("text", '"two\nlines"', "two\nlines"),
        ("text", '""', ""),
        ("text", "", None),
        ("text", " Größe ", " Größe "),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("integer", "+5", 5),
        ("integer", " -5.0 ", -5),
        ("integer", "", None),
        ("number", "1e3", 1000.0),
        ("number", "nan", None),
        ("decimal(12, 2)", "1234567890.12", Decimal("1234567890.12")),
        ("decimal(12, 2)", "19.9", Decimal("19.90")),
        ("boolean", "TRUE", True),
        ("boolean", "0", False),
        ("date", "2024-02-29", dt.date(2024, 2, 29)),
        ("date", "2024-02-29 00:00:00", dt.date(2024, 2, 29)),
        ("timestamp", "2024-02-29T12:00:00Z", dt.datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("timestamp", "2024-02-29 12:00+02:00", dt.datetime(2024, 2, 29, 10, tzinfo=UTC)),
        (
            "timestamp",
            "2024-02-29T12:00:00.123456789Z",
            dt.datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC),
        ),
        ("local_timestamp", "2024-02-29 12:00:00", dt.datetime(2024, 2, 29, 12)),
        (
            {"type": "timestamp", "zone": "Europe/Berlin"},
            "2024-07-01 12:00",
            dt.datetime(2024, 7, 1, 10, tzinfo=UTC),
        ),
        # The clocks show it twice; the later is taken.
        (
            {"type": "timestamp", "zone": "Europe/Berlin"},
            "2024-10-27 02:30",
            dt.datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
        ),
        # The clocks skip it.
        (
            {"type": "timestamp", "zone": "Europe/Berlin"},
            "2024-03-31 02:30",
            dt.datetime(2024, 3, 31, 1, tzinfo=UTC),
        ),
        (
            {"type": "timestamp", "zone": "Europe/Berlin", "format": "%d.%m.%Y %H:%M"},
            "1.7.2024 09:05",
            dt.datetime(2024, 7, 1, 7, 5, tzinfo=UTC),
        ),
        (
            {"type": "timestamp", "format": "unix"},
            "1700000000",
            dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        ),
        ({"type": "date", "format": "%d/%m/%Y"}, "29/02/2024", dt.date(2024, 2, 29)),
    ],
)
def test_a_cell_is_what_its_column_says(
    read: Read, column: Any, cell: str, expected: object
) -> None:
    table = read(*text_of(column, cell))
    assert (values(table, "value"), table.refused) == ([expected], ())


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("integer", "twelve", f"{INTEGER}, found twelve"),
        ("integer", "1.5", f"{INTEGER}, found 1.5"),
        ("integer", "9223372036854775808", f"{INTEGER}, found 9223372036854775808"),
        ("number", "1,5", "value must be number (12, 1.5, 1e3), found 1,5"),
        (
            "decimal(5, 2)",
            "1.234",
            (
                "value must be decimal(5, 2) (at most 3 digits and 2 decimal places behind a '.'), "
                "found 1.234"
            ),
        ),
        ("boolean", "yes", "value must be boolean (true, false, 1, 0), found yes"),
        ("date", "2020-13-01", f"{DATE}, found 2020-13-01 (there is no such day)"),
        ("date", "2023-02-29", f"{DATE}, found 2023-02-29 (there is no such day)"),
        ("date", "2024-02-29 08:00:00", f"{DATE}, found 2024-02-29 08:00:00"),
        (
            {"type": "date", "format": "%d.%m.%Y"},
            "31.02.2024",
            "value must be date written as %d.%m.%Y, found 31.02.2024 (there is no such day)",
        ),
        (
            {"type": "date", "format": "%d.%m.%Y"},
            "2024-02-31",
            "value must be date written as %d.%m.%Y, found 2024-02-31",
        ),
        (
            {"type": "timestamp", "zone": "Europe/Berlin"},
            "2023-02-29T10:00",
            (
                "value must be timestamp (ISO 8601: 2024-02-29T12:30:00), found "
                "2023-02-29T10:00 (there is no such day)"
            ),
        ),
        (
            {"type": "timestamp", "format": "unix"},
            "2023-02-29",
            "value must be timestamp written as unix, found 2023-02-29",
        ),
        (
            "timestamp",
            "2024-02-29 12:00",
            f"{NO_OFFSET}, found 2024-02-29 12:00",
        ),
        (
            "local_timestamp",
            "2024-02-29T12:00Z",
            f"{WITH_OFFSET}, found 2024-02-29T12:00Z",
        ),
    ],
)
def test_a_cell_that_cannot_be_sets_its_row_aside_with_the_reason(
    read: Read, column: Any, cell: str, reason: str
) -> None:
    content, columns = text_of(column, "", f'"{cell}"', "")
    table = read(content, columns)
    assert values(table, "id") == [0, 2]
    assert [(row.row, row.reasons) for row in table.refused] == [(2, reason)]
    assert json.loads(table.refused[0].content) == {"id": "1", "value": cell}
    example = table.report.broken[0].example
    assert example == f"{reason.partition(', found ')[2]}, row 2 of {table.refused[0].file}"
    assert (table.report.rows, table.report.accepted, table.report.refused) == (3, 2, 1)


def test_rows_with_too_many_or_too_few_values_are_set_aside_and_the_others_keep_their_numbers(
    read: Read,
) -> None:
    table = read("id,value\n1,2\n3\n4,5,6\n7,x\n8,9\n", {"value": "integer"})
    assert values(table, "id") == [1, 8]
    assert sorted((row.row, row.reasons, row.content) for row in table.refused) == [
        (2, "has 1 values, the header has 2", "3"),
        (3, "has 3 values, the header has 2", "4,5,6"),
        (4, f"{INTEGER}, found x", '{"id": "7", "value": "x"}'),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfid,value\n1,a\n2,b\n",
        b"id,value\r\n1,a\r\n2,b\r\n",
        b"id,value\n1,a\r\n2,b",
        b"\nid,value\n\n1,a\n\n2,b\n",
        b"value,more,id\nb,,2\na,,1\n",
        b'"id","value"\n"1","a"\n"2","b"\n',
        b" id ,value\n1,a\n2,b\n",
    ],
    ids=["BOM", "CRLF", "mixed line ends", "empty lines", "unsorted", "quoted", "spaces"],
)
def test_the_same_rows_are_the_same_table_however_they_are_written(
    read: Read, content: bytes
) -> None:
    table = read(content, {"value": "text"})
    assert table.rows.to_pydict() == {"id": [1, 2], "value": ["a", "b"]}
    assert table.refused == ()


@pytest.mark.parametrize(
    ("content", "name", "files"),
    [
        (b"id;value\n1;1,5\n", "orders.csv", {"delimiter": ";", "decimal_point": ","}),
        (b"id\tvalue\n1\t1.5\n", "orders.tsv", {}),
        (b"made by hand\nid,value\n1,1.5\n", "orders.csv", {"skip_rows": 1}),
        ("id,value\n1,1.5\n".encode("utf-16"), "orders.csv", {"encoding": "utf-16"}),
        (gzip.compress(b"id,value\n1,1.5\n", mtime=0), "orders.csv.gz", {}),
        (b'{"id": 1, "value": 1.5}\n', "orders.jsonl", {}),
        (b'[{"id": 1, "value": 1.5, "more": {}}]', "orders.json", {}),
        (b'{"id": "1", "value": "1.5"}\n', "orders.ndjson", {}),
        (pa.table({"id": [1], "value": [1.5]}), "orders.parquet", {}),
        (pa.table({"value": ["1.5"], "id": [1.0]}), "orders.parquet", {}),
    ],
)
def test_any_dialect_and_format_gives_the_same(
    read: Read, content: Any, name: str, files: dict[str, Any]
) -> None:
    table = read(content, {"value": "number"}, name, **files)
    assert table.rows.to_pydict() == {"id": [1], "value": [1.5]}
    assert table.rows.schema.field("id").type == pa.int64()


def test_the_files_own_names_are_headers(read: Read) -> None:
    columns = {"value": {"type": "text", "header": "Order value (EUR)"}}
    assert values(read("id,Order value (EUR)\n1,x\n", columns), "value") == ["x"]


def test_several_files_are_one_table(read: Read, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for part in (2, 1):
        (tmp_path / "parts" / f"{part}.csv").write_text(f"id\n{part}\nx\n")
    table = read(None, name="parts/*.csv")
    assert values(table, "id") == [1, 2]
    assert [(Path(row.file).name, row.row) for row in table.refused] == [("1.csv", 2), ("2.csv", 2)]
    assert [rule.rows for rule in table.report.broken] == [2]


@pytest.mark.parametrize(
    ("content", "name", "what", "fix"),
    [
        (None, "orders.csv", "there is no such file", ""),
        (None, "*.csv", "there is no such file", ""),
        (b"", "orders.csv", "the file is empty", ""),
        (b"", "orders.json", "the file is empty", ""),
        (b"", "orders.parquet", "the file is empty", ""),
        (b"id,value\n", "orders.csv", "the table 'orders' has no rows", ""),
        (b"id,vlaue\n1,2\n", "orders.csv", "no column value", "value: did you mean 'vlaue'?"),
        (b"id;value\n1;2\n", "orders.csv", "no column id, value", "write `delimiter: ';'`"),
        (b"id,value,value\n1,2,3\n", "orders.csv", "value is there 2 times", "a name of its own"),
        (b'id,value\n1,"2\n3,4\n', "orders.csv", 'a quote (") is opened and never closed', ""),
        (b'[{"id": 1,', "orders.json", "cannot be read", ""),
        (b'{"id": 1}\n', "orders.json", "no column value", ""),
        (b"not parquet at all", "orders.parquet", "cannot be read", ""),
        (gzip.compress(b"id,value\n1,2\n", mtime=0)[:-9], "orders.csv.gz", "cannot be read", ""),
    ],
)
def test_what_is_wrong_with_a_file_is_a_sentence_with_its_name(
    read: Read, tmp_path: Path, content: bytes | None, name: str, what: str, fix: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(content, {"value": {"type": "integer", "nullable": False}}, name)
    assert what in caught.value.what
    assert str(tmp_path / name) in caught.value.where
    assert fix in caught.value.fix


def test_a_folder_is_no_file(read: Read, tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    with pytest.raises(DataError, match="is a folder") as caught:
        read(None, name="orders", format="csv")
    assert "orders/*.csv" in caught.value.fix


def test_json_that_is_none_sets_its_line_aside(read: Read) -> None:
    lines = '{"id": 1}\n{"id": 2\n[3]\n{"id": Infinity}\n{"id": [5]}\n{"id": 6, "value": "x"}\n'
    table = read(lines, {"value": "text"}, "orders.jsonl")
    assert values(table, "value") == [None, "x"]
    assert [row.row for row in sorted(table.refused, key=lambda row: row.row)] == [2, 3, 4, 5]
    assert all(row.reasons for row in table.refused)


@pytest.mark.parametrize("listed", [False, True])
def test_an_object_with_a_key_twice_is_set_aside_by_its_name(read: Read, listed: bool) -> None:
    objects = (
        '{"id": 1, "value": "a", "value": "b"}',
        '{"id": 2, "value": "x\\": y"}',
        '{"id": 3, "value": "c", "v\\u0061lue" : "d"}',
        '{"id": 4, "value": "e", "more": {"k": 1, "k": 1}}',
        '{"id": 5, "value": "f", "more": {"k": 1, "value": 2}}',
    )
    content = f"[{', '.join(objects)}]" if listed else "\n".join(objects)
    table = read(content, {"value": "text"}, "orders.json")
    assert values(table, "value") == ['x": y', "f"]
    assert [(row.row, row.reasons) for row in table.refused] == [
        (1, "has the key 'value' twice"),
        (3, "has the key 'value' twice"),
        (4, "has the key 'k' twice"),
    ]
    assert table.refused[0].content == objects[0]


def test_characters_that_are_none_take_only_their_row(read: Read) -> None:
    table = read(b"id,value\n1,\xff\n2,ok\n", {"value": "text"})
    assert values(table, "value") == ["ok"]
    assert table.refused[0].row == 1


def test_parquet_keeps_what_text_would_lose(read: Read) -> None:
    ids = pa.table(
        {
            "id": pa.array([2**60 + 1, 2**60 + 2]),
            "code": pa.array([1.0, 2.0]),
            "at": pa.array([dt.datetime(2024, 7, 1, 12)] * 2, pa.timestamp("ns")),
            "size": pa.array([math.inf, math.nan]),
        }
    )
    columns = {
        "code": "text",
        "at": {"type": "timestamp", "zone": "Europe/Berlin"},
        "size": "number",
    }
    table = read(ids, columns, "orders.parquet")
    # An identity that went through floating point has lost its spelling.
    assert {row.reasons for row in table.refused} == {
        "code must be text (floating point has lost its spelling), found 1.0",
        "code must be text (floating point has lost its spelling), found 2.0",
    }
    good = read(ids, {name: columns[name] for name in ("at", "size")}, "orders.parquet")
    assert values(good, "id") == [2**60 + 1, 2**60 + 2]
    assert values(good, "at") == [dt.datetime(2024, 7, 1, 10, tzinfo=UTC)] * 2
    assert values(good, "size") == [math.inf, None]


# A loader


def loaded(folder: Path, code: str) -> list[ReadTable]:
    (folder / "load.py").write_text(textwrap.dedent(code))
    document = {
        "name": "shop",
        "loader": "load.py",
        "source": "orders",
        "tables": {
            "orders": {"key": "id", "columns": {"id": "integer"}},
            "shops": {"key": "name", "columns": {"name": "text"}},
        },
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(document))
    return list(read_tables(folder, DatasetSpec.load(folder / "dataset.yaml")))


def test_a_loader_gives_tables_of_any_library(tmp_path: Path) -> None:
    tables = loaded(
        tmp_path,
        """
        import pandas, pyarrow
        def load():
            yield "shops", pandas.DataFrame({"name": ["b", "a"], "more": [1, 2]})
            orders = pyarrow.table({"id": ["2", "1"]})
            yield "orders", orders.to_reader()
        """,
    )
    assert {table.name: table.rows.to_pydict() for table in tables} == {
        "orders": {"id": [1, 2]},
        "shops": {"name": ["a", "b"]},
    }


@pytest.mark.parametrize(
    ("code", "what", "where"),
    [
        ("x = 1", "defines no function load()", "load.py"),
        ("def load(): return 3", "load() gives no tables by name", "load.py"),
        ("def load(): return {}", "load() gives no table orders, shops", "load.py"),
        ("\n1 / 0", "ZeroDivisionError: division by zero", "load.py:2"),
        ("def load():\n    raise ValueError('no')", "ValueError: no", "load.py:2"),
        ("def load(:", "SyntaxError", "load.py:1"),
        ("def load(): return {'orders': 3, 'shops': 4}", "", "load.py"),
    ],
)
def test_a_loader_that_fails_is_named_with_its_line(
    tmp_path: Path, code: str, what: str, where: str
) -> None:
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, code)
    assert what in caught.value.what
    assert caught.value.where.endswith(str(tmp_path / where))
