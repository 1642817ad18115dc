"""What decides which files a table consists of and which are read."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from data.lake import Manifest, StoredFile, between, by_month, file_path, parquet_bytes

TIME = pa.timestamp("us", "UTC")


def manifest(*months: str) -> Manifest:
    files = tuple(StoredFile(path=f"{month}.parquet", month=month, rows=1) for month in months)
    return Manifest(
        dataset="d", table="t", time="at", rows=len(files), fingerprint="x", files=files
    )


@pytest.mark.parametrize(
    ("since", "until", "months"),
    [
        (None, None, ["2012-12", "2013-01", "2013-02"]),
        (date(2013, 1, 31), None, ["2013-01", "2013-02"]),
        (None, date(2013, 1, 31), ["2012-12", "2013-01"]),
        (date(2013, 1, 1), date(2013, 1, 2), ["2013-01"]),
        (date(2014, 1, 1), None, []),
    ],
)
def test_only_files_of_the_months_are_read(
    since: date | None, until: date | None, months: list[str]
) -> None:
    files = manifest("2012-12", "2013-01", "2013-02").within(since, until)
    assert [file.month for file in files] == months


def test_a_table_without_time_is_always_read() -> None:
    assert len(manifest("").within(date(2013, 1, 1), date(2013, 2, 1))) == 1


def test_rows_go_to_their_months_in_utc_and_keep_their_order() -> None:
    instants = [
        datetime(2013, 2, 1, 0, 0, tzinfo=UTC),
        datetime(2013, 1, 31, 23, 59, tzinfo=UTC),
        datetime(2013, 2, 1, 0, 1, tzinfo=UTC),
    ]
    rows = pa.table({"at": pa.array(instants, TIME), "n": [0, 1, 2]})
    found = [(month, part["n"].to_pylist()) for month, part in by_month(rows, "at")]
    assert found == [("2013-01", [1]), ("2013-02", [0, 2])]


def test_a_file_is_named_by_its_content() -> None:
    rows = pa.table({"n": [1, 2]})
    assert parquet_bytes(rows) == parquet_bytes(pa.concat_tables([rows[:1], rows[1:]]))
    assert parquet_bytes(rows) != parquet_bytes(rows[:1])
    assert file_path("2013-01", b"x").startswith("month=2013-01/")
    assert "/" not in file_path("", b"x")


def test_the_end_of_a_period_is_not_in_it() -> None:
    instants = [datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    rows = pa.table({"at": pa.array(instants, TIME)})
    condition = between(rows.schema, "at", date(2013, 1, 2), date(2013, 1, 3))
    assert rows.filter(condition)["at"].to_pylist() == instants[1:2]
    assert between(rows.schema, "at", None, None) is None
    assert between(rows.schema, None, date(2013, 1, 2), None) is None
