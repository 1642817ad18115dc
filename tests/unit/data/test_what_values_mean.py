"""No cast changes what a value means: it is converted by a rule, or refused.

``docs/datasets.md`` states the rules; this is each of them, with the neighbours that look alike.
"""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.columns import ColumnSpec
from contracts.dataset import DatasetSpec
from contracts.errors import DocumentError
from data.reading import as_table, read_tables
from data.values import typed_values

UTC = dt.UTC
REFUSED = "refused"
BERLIN = "Europe/Berlin"
NOON = dt.datetime(2024, 7, 1, 12)
EVE = dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)
MIDNIGHT = dt.datetime(2024, 7, 1, tzinfo=UTC)
SECONDS = 1_719_835_200
"""Noon of that day in UTC."""


def meaning(column: Any, values: pa.Array, **options: Any) -> list[Any]:
    """Each value as the column has it, or that it is refused."""
    spec = ColumnSpec.parse(column if isinstance(column, dict) else {"type": column})
    typed, lost = typed_values(pa.chunked_array([values]), spec, **options)
    return [
        REFUSED if refused else value
        for value, refused in zip(typed.to_pylist(), lost.tolist(), strict=True)
    ]


def times(*values: int, unit: str = "us", zone: str | None = None) -> pa.Array:
    return pa.array(values, pa.timestamp(unit, zone))


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("integer", "1e3", REFUSED),
        ("integer", "0x10", REFUSED),
        ("integer", "0b1", REFUSED),
        ("integer", "1_000", REFUSED),
        ("integer", "1,000", REFUSED),
        ("integer", "1 000", REFUSED),
        ("integer", "+-5", REFUSED),
        ("integer", "١٢", REFUSED),
        ("integer", "", REFUSED),
        ("integer", " 7 ", 7),
        ("integer", "007", 7),
        ("number", "1e3", 1000.0),
        ("number", "0x10", REFUSED),
        ("number", "1_000", REFUSED),
        ("number", "1,5", REFUSED),
        ("number", "1.000,5", REFUSED),
        ("number", "1e400", REFUSED),
        ("number", "-1e400", REFUSED),
        ("number", "-Infinity", float("-inf")),
        ("number", "9007199254740993", REFUSED),
        ("number", "9007199254740993.0", REFUSED),
        ("number", "-9007199254740993", REFUSED),
        ("number", "9007199254740994", 9007199254740994.0),
        ("number", "9" * 400, REFUSED),
        ("number", "0.1000000000000000055", 0.1),
        ("decimal(12, 2)", "1e3", Decimal("1000.00")),
        ("decimal(12, 2)", "0.005", REFUSED),
        ("decimal(12, 2)", "1.10000000000000000001", REFUSED),
        ("decimal(12, 2)", "0x10", REFUSED),
        ("decimal(12, 2)", "nan", REFUSED),
        ("boolean", "yes", REFUSED),
        ("boolean", "1.0", REFUSED),
        ("boolean", "2", REFUSED),
        ("boolean", " True ", True),
        ("date", "2024-02-29T00:00:00Z", REFUSED),
        ("date", "0000-01-01", REFUSED),
        ("date", "10000-01-01", REFUSED),
        ("date", "20240229", REFUSED),
        ("local_timestamp", "2024-07-01T12:00+02:00", REFUSED),
        ({"type": "local_timestamp", "zone": BERLIN}, "2024-07-01T10:00Z", NOON),
        ({"type": "local_timestamp", "zone": BERLIN}, "2024-07-01T12:00", NOON),
        ({"type": "local_timestamp", "zone": BERLIN}, "2024-07-01T06:00-04:00", NOON),
        (
            {"type": "timestamp", "zone": BERLIN},
            "2024-07-01",
            dt.datetime(2024, 6, 30, 22, tzinfo=UTC),
        ),
        ({"type": "timestamp", "zone": BERLIN}, "0001-01-01", REFUSED),
        ({"type": "timestamp", "format": "unix"}, "1719835200000", REFUSED),
        ({"type": "timestamp", "format": "unix"}, "1719835200.5", REFUSED),
        ({"type": "timestamp", "format": "unix_ms"}, "1719835200000", NOON.replace(tzinfo=UTC)),
        ({"type": "local_timestamp", "format": "%d.%m.%Y"}, "01.07.24", REFUSED),
        ({"type": "local_timestamp", "format": "%d.%m.%Y"}, "1.7.2024", NOON.replace(hour=0)),
        ({"type": "date", "format": "%d.%m.%Y %H:%M"}, "01.07.2024 12:00", REFUSED),
        ({"type": "date", "format": "%d.%m.%Y %H:%M"}, "01.07.2024 00:00", NOON.date()),
    ],
)
def test_text_is_what_it_says_or_refused(column: Any, cell: str, expected: Any) -> None:
    assert meaning(column, pa.array([cell])) == [expected]
    # However Arrow holds it, and whatever stands beside it.
    for type_ in (pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view()):
        assert meaning(column, pa.array([None, cell]).cast(type_)) == [None, expected]
    assert meaning(column, pa.array([cell, cell]).dictionary_encode()) == [expected, expected]


@pytest.mark.parametrize(
    ("cell", "expected"), [("1,5", 1.5), ("1.000", REFUSED), ("1.000,5", REFUSED), ("1000", 1000.0)]
)
def test_a_point_beside_a_decimal_comma_is_refused(cell: str, expected: Any) -> None:
    """1.000 is a thousand to who writes 1,5."""
    assert meaning("number", pa.array([cell]), decimal_point=",") == [expected]


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("text", pa.array([1.0]), [REFUSED]),
        ("text", pa.array([7, None]), ["7", None]),
        ("text", pa.array([True]), ["true"]),
        ("text", pa.array([Decimal("1.10")]), ["1.10"]),
        ("text", times(0), [REFUSED]),
        ("text", pa.array([["a"]]), [REFUSED]),
        ("text", pa.array([b"\xff", b"ok"]), [REFUSED, "ok"]),
        ("integer", pa.array([b"\xff", b"1"]), [REFUSED, 1]),
        ("integer", pa.array([2.0**53, 2.0**53 + 2, 1.5]), [2**53, REFUSED, REFUSED]),
        ("integer", pa.array([2.0**24, 2.0**24 + 2], pa.float32()), [2**24, REFUSED]),
        ("integer", pa.array([1.0, float("nan"), float("inf")]), [1, None, REFUSED]),
        ("integer", pa.array([2**63], pa.uint64()), [REFUSED]),
        ("integer", pa.array([Decimal("1.0"), Decimal("1.5")]), [1, REFUSED]),
        ("integer", pa.array([True]), [REFUSED]),
        ("integer", pa.nulls(1), [None]),
        ("number", pa.array([2**53 + 1, 2**60]), [REFUSED, 2.0**60]),
        ("number", pa.array([2**63], pa.uint64()), [2.0**63]),
        ("number", pa.array([Decimal(2**53 + 1)]), [REFUSED]),
        ("number", pa.array([Decimal("0.1")]), [0.1]),
        ("number", pa.array([float("nan")]), [None]),
        ("number", pa.array([False]), [REFUSED]),
        ("number", pa.array([dt.timedelta(1)]), [REFUSED]),
        (
            "decimal(20, 2)",
            pa.array([0.1, 0.3000001, 2.0**60]),
            [Decimal("0.10"), REFUSED, REFUSED],
        ),
        ("decimal(20, 2)", pa.array([Decimal("0.105")]), [REFUSED]),
        ("decimal(4, 2)", pa.array([100, 99]), [REFUSED, Decimal("99.00")]),
        ("boolean", pa.array([0, 1, 2]), [False, True, REFUSED]),
        ("boolean", pa.array([1.0]), [REFUSED]),
        ("date", times(SECONDS * 10**6, 0), [REFUSED, dt.date(1970, 1, 1)]),
        ("date", times(0, zone="UTC"), [REFUSED]),
        ("date", pa.array([1, 0]).cast(pa.date64()), [REFUSED, dt.date(1970, 1, 1)]),
        ("timestamp", times(SECONDS, unit="s"), [REFUSED]),
        ("timestamp", times(SECONDS, unit="s", zone=BERLIN), [NOON.replace(tzinfo=UTC)]),
        ("timestamp", times(2**62, 10**15, unit="s", zone="UTC"), [REFUSED, REFUSED]),
        ("timestamp", times(10**18, zone="UTC"), [REFUSED]),
        ("timestamp", pa.array([dt.date(2024, 7, 1)]), [REFUSED]),
        ("local_timestamp", times(SECONDS, unit="s", zone="UTC"), [REFUSED]),
        ("local_timestamp", times(SECONDS, unit="s"), [NOON]),
        ("local_timestamp", times(10**18), [REFUSED]),
        ("local_timestamp", pa.array([dt.date(2024, 7, 1)]), [NOON.replace(hour=0)]),
        (
            {"type": "local_timestamp", "zone": BERLIN},
            times(SECONDS, unit="s", zone="America/New_York"),
            [NOON.replace(hour=14)],
        ),
        ({"type": "timestamp", "format": "unix"}, pa.array([10**12, 0.5]), [REFUSED, REFUSED]),
        (
            "timestamp",
            times(-1, unit="ns", zone="UTC"),
            [EVE],
        ),
        ("local_timestamp", times(1_999, unit="ns"), [dt.datetime(1970, 1, 1, 0, 0, 0, 1)]),
    ],
)
def test_a_typed_value_is_converted_by_a_rule_or_refused(
    column: Any, values: pa.Array, expected: list[Any]
) -> None:
    assert meaning(column, values) == expected
    if not pa.types.is_nested(values.type):
        assert meaning(column, pc.run_end_encode(values)) == expected


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.decimals(allow_nan=False, places=3)
)


@given(NUMBERS, st.sampled_from(["integer", "number", "decimal(38, 3)"]))
def test_a_number_that_is_kept_is_the_number_that_was_written(number: Any, type_: str) -> None:
    [value] = meaning(type_, pa.array([str(number)]))
    if value == REFUSED or abs(value) == float("inf"):
        return
    written = Fraction(str(number))
    assert Fraction(value) == written or (
        # A fraction or an exponent says that the number is the nearest one.
        type_ == "number" and set(str(number)) & set(".eE") and value == float(written)
    )


AWARE = dt.datetime(2024, 7, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))


@pytest.mark.parametrize("values", list(itertools.permutations([NOON, AWARE, NOON.date(), None])))
@pytest.mark.parametrize("frame", [True, False], ids=["pandas", "lists"])
def test_times_of_several_kinds_in_one_column_keep_what_they_say(
    values: tuple[Any, ...], frame: bool
) -> None:
    """Arrow takes all for what the first is: an instant behind a clock reading becomes UTC."""
    rows = {"t": list(values)}
    table = as_table(pd.DataFrame({"t": pd.Series(rows["t"], dtype=object)}) if frame else rows)
    given = table["t"].combine_chunks()
    midnight = NOON.replace(hour=0)
    expected = {
        "local_timestamp": {NOON: NOON, AWARE: REFUSED, NOON.date(): midnight, None: None},
        "timestamp": {
            NOON: REFUSED,
            AWARE: AWARE.astimezone(UTC),
            NOON.date(): REFUSED,
            None: None,
        },
        "date": {NOON: REFUSED, AWARE: REFUSED, NOON.date(): NOON.date(), None: None},
    }
    for column, means in expected.items():
        assert meaning(column, given) == [means[value] for value in values]


def test_old_times_of_spark_do_not_wrap_around(tmp_path: Any) -> None:
    far = dt.datetime(9999, 12, 31)
    table = pa.table({"id": [1], "at": pa.array([far], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "t.parquet", use_deprecated_int96_timestamps=True)
    columns = {"id": "integer", "at": "local_timestamp"}
    tables = {"t": {"key": "id", "columns": columns, "files": "t.parquet"}}
    [read] = read_tables(tmp_path, DatasetSpec.parse({"name": "old", "tables": tables}))
    assert read.rows["at"].to_pylist() == [far]


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ({"format": "%H:%M"}, "format: %H:%M names no day; write year, month and day"),
        ({"format": "%d.%m."}, "names no day"),
        ({"format": "%Y-%m-%d %I:%M"}, "format: hours of twelve (%I) need %p"),
        ({"format": "%Y-%m-%d %H:%M %p"}, "format: hours of twelve (%I) need %p"),
        ({"format": "%Y-%m-%d %H:%M:%S.%f"}, "format: %f is not known; write %Y, "),
        ({"format": "%Y-%m-%d %"}, "format: % is not known"),
        ({"format": "%Y-%m-%dT%H:%M:%SZ"}, "offsets and zones are read in ISO 8601 only"),
        ({"format": "%Y-%m-%d UTC", "zone": BERLIN}, "offsets and zones are read in ISO 8601"),
        ({"type": "integer", "values": [2**63]}, "values: an integer has at most 64 bits"),
        ({"type": "number", "range": [0, 10**400]}, "a whole number has at most 64 bits"),
    ],
)
def test_a_column_whose_values_could_mean_two_things_is_refused(
    column: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        ColumnSpec.parse({"type": "local_timestamp", **column})
    assert sentence in str(caught.value)
