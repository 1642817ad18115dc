"""Real flights into the lake, out of it again, checked, and made into features."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.engineer.step import engineer
from components.ingest.step import ingest
from components.validate.step import validate
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from data.datasets import LoadReport, load_dataset
from data.lake import Lake
from tests.content import DATASETS, flights

MODELS = Path(__file__).parents[3] / "models"
ROWS = {"flights": 336_776, "weather": 26_115, "planes": 3_322, "airports": 1_458, "airlines": 16}
FEBRUARY = {
    "start": "2013-02-01",
    "train": {"until": "2013-02-15"},
    "validate": {"until": "2013-02-22"},
    "test": {"until": "2013-03-01"},
}


@pytest.fixture(scope="module")
def loaded(lake: Lake) -> tuple[LoadReport, list[tuple[str, int, int]]]:
    progress: list[tuple[str, int, int]] = []
    report = load_dataset(DATASETS, "flights", lake, lambda *step: progress.append(step))
    return report, progress


@pytest.fixture(scope="module")
def outputs(lake: Lake) -> PlatformOutputs:
    """Only the lake is used here."""
    return PlatformOutputs.model_construct(lake=lake.outputs)


@pytest.fixture(scope="module")
def february() -> ModelSpec:
    document = ModelSpec.find(MODELS, "flight-delay").model_dump(by_alias=True, mode="json")
    return ModelSpec.parse({**document, "split": FEBRUARY})


def test_every_row_is_in_the_lake(
    lake: Lake, loaded: tuple[LoadReport, list[tuple[str, int, int]]]
) -> None:
    report, progress = loaded
    assert report.rows == ROWS
    assert {found.table: found.rows for found in lake.tables("flights")} == ROWS
    flights = lake.read("flights", "flights")
    assert flights.num_rows == 336_776
    assert flights.schema.field("scheduled_departure").type == pa.timestamp("us", "UTC")
    assert flights["landed"].null_count == 9_430
    assert progress[-1] == ("airlines", 16, 16)
    months = [rows for table, rows, _ in progress if table == "flights"]
    assert months == sorted(months)
    assert months[-1] == 336_776


def test_from_the_lake_to_features(
    loaded: tuple[LoadReport, list[tuple[str, int, int]]],
    outputs: PlatformOutputs,
    february: ModelSpec,
    tmp_path: Path,
) -> None:
    ingested = ingest(february, flights(), outputs, tmp_path / "raw")
    assert (ingested.since, ingested.until) == (date(2013, 1, 1), date(2013, 3, 1))
    assert {table.name: table.fingerprint for table in ingested.tables} == loaded[0].fingerprints
    times = pq.read_table(tmp_path / "raw" / "flights.parquet")["scheduled_departure"]
    assert pc.max(times).as_py() < datetime(2013, 3, 1, tzinfo=UTC)

    report = validate(tmp_path / "raw", flights(), tmp_path / "valid")
    assert report.summary() == (
        "weather: 1 of 4,221 rows refused: wind_speed must be between 0 and 250 "
        "(such as 1048.36058)"
    )

    table = engineer(
        tmp_path / "valid",
        february,
        flights(),
        MODELS / "flight-delay" / "features.py",
        tmp_path / "features.parquet",
    )
    rows = pq.read_table(tmp_path / "features.parquet")
    assert table.rows == rows.num_rows
    assert set(rows.column_names) == {
        "key",
        "scheduled_departure",
        "late",
        *(feature.name for feature in table.features),
    }
    first = pc.min(rows["scheduled_departure"]).as_py()
    assert datetime(2013, 2, 1, tzinfo=UTC) <= first < datetime(2013, 2, 2, tzinfo=UTC)
    # January was read as history: the first day's rates are known.
    assert rows["carrier_late_rate_28d"].null_count == 0
    assert rows["late"].null_count > 0
    assert timedelta(days=28) <= flights().history
