"""What validation refuses, with the sentence a person reads for each rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.validate.step import TableReport, validate, validate_table
from contracts.dataset import DatasetSpec
from contracts.errors import PipelineError
from data.schema import TIME, arrow_schema

HOUR = datetime(2013, 2, 12, 8, tzinfo=UTC)
DATASET = DatasetSpec.parse(
    {
        "name": "flights",
        "loader": "load.py",
        "history": "1d",
        "tables": {
            "weather": {
                "description": "hourly weather",
                "key": ["origin", "time_hour"],
                "time": "time_hour",
                "columns": {
                    "origin": {"type": "text", "values": ["EWR", "JFK"]},
                    "time_hour": "timestamp",
                    "wind_speed": {"type": "number", "unit": "mph", "range": [0, 250]},
                    "gusts": {"type": "integer", "range": [0, None]},
                },
            }
        },
    }
)
SCHEMA = DATASET.table("weather")
GOOD: dict[str, Any] = {"origin": "EWR", "time_hour": HOUR, "wind_speed": 10.0, "gusts": 3}


def write(folder: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    """Good rows but for what each says."""
    filled = [GOOD | {"time_hour": HOUR + timedelta(hours=n)} | row for n, row in enumerate(rows)]
    loose = pa.schema([pa.field(field.name, field.type) for field in arrow_schema(SCHEMA)])
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(filled, schema or loose), folder / "weather.parquet")
    return folder


def refused(folder: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(folder / "refused" / "weather.parquet").to_pylist())


@pytest.mark.parametrize(
    ("row", "rule", "reason"),
    [
        (
            {"wind_speed": 1048.36058},
            "range",
            "wind_speed must be between 0 and 250, found 1048.36058",
        ),
        ({"wind_speed": -1.0}, "range", "wind_speed must be between 0 and 250, found -1.0"),
        ({"wind_speed": float("inf")}, "range", "wind_speed must be between 0 and 250, found inf"),
        ({"gusts": -3}, "range", "gusts must be at least 0, found -3"),
        ({"origin": None}, "null", "origin must not be null, found nothing"),
        ({"origin": "LAX"}, "values", "origin must be one of EWR, JFK, found LAX"),
        (
            {"time_hour": HOUR},
            "duplicate",
            "origin, time_hour must name one row, found EWR, 2013-02-12 08:00:00+00:00",
        ),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_the_reason(
    tmp_path: Path, row: dict[str, Any], rule: str, reason: str
) -> None:
    source = write(tmp_path / "in", [{}, row, {}])
    report = validate(source, DATASET, tmp_path / "out", limit=0.5).tables[0]
    assert (report.rows, report.accepted, report.refused) == (3, 2, 1)
    assert [(broken.rule, broken.rows) for broken in report.broken] == [(rule, 1)]
    assert [found["reasons"] for found in refused(tmp_path / "out")] == [reason]
    assert pq.read_table(tmp_path / "out" / "weather.parquet").num_rows == 2


def test_missing_values_are_accepted_where_they_may_be(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"wind_speed": None, "gusts": None}])
    report = validate(source, DATASET, tmp_path / "out")
    assert report.tables == (TableReport(name="weather", rows=1, accepted=1, refused=0),)
    assert report.summary() == "no row refused"
    assert not (tmp_path / "out" / "refused").exists()


def test_a_value_of_another_type_is_refused_and_the_others_are_converted(tmp_path: Path) -> None:
    text = pa.schema(
        [
            ("origin", pa.string()),
            ("time_hour", TIME),
            ("wind_speed", pa.string()),
            ("gusts", pa.float64()),
        ]
    )
    rows = [{"wind_speed": "12.5", "gusts": 1.0}, {"wind_speed": "calm", "gusts": 1.5}]
    source = write(tmp_path / "in", rows, text)
    report = validate(source, DATASET, tmp_path / "out", limit=1).tables[0]
    assert [(broken.column, broken.rule) for broken in report.broken] == [
        ("wind_speed", "type"),
        ("gusts", "type"),
    ]
    accepted = pq.read_table(tmp_path / "out" / "weather.parquet").to_pylist()
    assert [(row["wind_speed"], row["gusts"]) for row in accepted] == [(12.5, 1)]
    assert refused(tmp_path / "out")[0]["reasons"] == (
        "wind_speed must be number (12, 1.5, 1e3), found calm; "
        "gusts must be integer (digits with a sign, at most 64 bits), found 1.5"
    )


def test_no_row_is_lost_and_each_rule_is_counted(tmp_path: Path) -> None:
    rows = [{"wind_speed": 999.0, "origin": "LAX"}, {"origin": "LAX"}, {}, {}]
    source = write(tmp_path / "in", rows)
    report = validate(source, DATASET, tmp_path / "out", limit=0.5)
    table = report.tables[0]
    assert {broken.rule: broken.rows for broken in table.broken} == {"values": 2, "range": 1}
    assert table.accepted + table.refused == table.rows == 4
    assert report.summary().splitlines() == [
        "weather: 2 of 4 rows refused: origin must be one of EWR, JFK (such as LAX)",
        "weather: 1 of 4 rows refused: wind_speed must be between 0 and 250 (such as 999.0)",
    ]


def test_too_many_refused_rows_fail_and_can_be_looked_at(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{}, {"wind_speed": 999.0}])
    with pytest.raises(PipelineError) as caught:
        validate(source, DATASET, tmp_path / "out")
    assert caught.value.what.splitlines() == [
        "too many rows are refused: 50.0% of weather; the limit is 1.0%",
        "weather: 1 of 2 rows refused: wind_speed must be between 0 and 250 (such as 999.0)",
    ]
    assert str(tmp_path / "out" / "refused") in caught.value.fix
    assert len(refused(tmp_path / "out")) == 1


def test_a_better_rerun_leaves_no_older_refusals(tmp_path: Path) -> None:
    for rows in ([{}, {"wind_speed": 999.0}], [{}, {}]):
        validate(write(tmp_path / "in", rows), DATASET, tmp_path / "out", limit=0.5)
    assert not list((tmp_path / "out" / "refused").glob("*"))


def test_a_missing_column_is_named_with_the_one_meant(tmp_path: Path) -> None:
    rows = pa.table({"origin": ["EWR"], "time_hour": [HOUR], "windspeed": [1.0], "gusts": [1]})
    (tmp_path / "in").mkdir()
    pq.write_table(rows, tmp_path / "in" / "weather.parquet")
    with pytest.raises(PipelineError) as caught:
        validate(tmp_path / "in", DATASET, tmp_path / "out")
    assert caught.value.what == "the table 'weather' has no column wind_speed"
    assert caught.value.fix == "wind_speed: did you mean 'windspeed'?"


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="the table 'weather' is missing"):
        validate(tmp_path, DATASET, tmp_path / "out")


def test_an_empty_table_is_accepted(tmp_path: Path) -> None:
    empty = arrow_schema(SCHEMA).empty_table()
    assert validate_table(empty, "weather", SCHEMA, tmp_path).refused == 0
