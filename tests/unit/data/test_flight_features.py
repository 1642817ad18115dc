"""The flight-delay features on a month of real flights: right, and blind to the future."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data.engine import connect, register

FILE = Path(__file__).parents[3] / "models" / "flight-delay" / "features.py"
OUTCOMES = ("landed", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")
CUTS = (
    datetime(2013, 1, 8, 12, 30, tzinfo=UTC),
    datetime(2013, 1, 16, 23, 59, tzinfo=UTC),
    datetime(2013, 1, 31, 18, 0, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flight_delay_features", FILE)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def compute(module: ModuleType, tables: dict[str, pa.Table]) -> pa.Table:
    engine = connect(threads=2)
    registered = {name: register(engine, name, table) for name, table in tables.items()}
    return module.features(registered).order_by("id").to_pyarrow()


def as_known_at(tables: dict[str, pa.Table], moment: datetime) -> dict[str, pa.Table]:
    """The tables as they were at a moment: without later schedules, weather and outcomes."""
    now = pa.scalar(moment, pa.timestamp("us", tz="UTC"))
    flights = tables["flights"]
    flights = flights.filter(pc.less(flights["scheduled_departure"], now))
    had_landed = pc.fill_null(pc.less(flights["landed"], now), False)
    for name in OUTCOMES:
        values = flights[name]
        known = pc.if_else(had_landed, values, pa.scalar(None, values.type))
        flights = flights.set_column(flights.schema.get_field_index(name), name, known)
    weather = tables["weather"]
    weather = weather.filter(pc.less(weather["time_hour"], now))
    return {**tables, "flights": flights, "weather": weather}


@pytest.fixture(scope="module")
def computed(module: ModuleType, january: dict[str, pa.Table]) -> pa.Table:
    return compute(module, january)


@pytest.mark.parametrize("moment", CUTS, ids=str)
def test_the_future_changes_nothing(
    module: ModuleType, january: dict[str, pa.Table], computed: pa.Table, moment: datetime
) -> None:
    cut = as_known_at(january, moment)
    before = compute(module, cut)
    assert 0 < before.num_rows < computed.num_rows
    same_rows = computed.filter(pc.is_in(computed["id"], value_set=before["id"]))
    assert before.equals(same_rows.combine_chunks())


def test_a_leak_would_be_seen(
    module: ModuleType,
    january: dict[str, pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outcomes counted from the departure on, the usual mistake, must fail the test above."""
    right = module.trailing_totals

    def leaking(asked: object, events: object, **options: object) -> object:
        return right(asked, events, **(options | {"happened": "scheduled_departure"}))

    monkeypatch.setattr(module, "trailing_totals", leaking)
    monkeypatch.setattr(module, "OUTCOME_COLUMNS", (*module.OUTCOME_COLUMNS, "scheduled_departure"))
    before = compute(module, as_known_at(january, CUTS[0]))
    after = compute(module, january)
    same_rows = after.filter(pc.is_in(after["id"], value_set=before["id"]))
    assert not before.equals(same_rows.combine_chunks())


def test_rates_are_those_counted_by_hand(
    module: ModuleType, january: dict[str, pa.Table], computed: pa.Table
) -> None:
    flights = january["flights"].to_pandas()
    features = computed.to_pandas().set_index("id")
    chosen = flights.sample(40, random_state=3)
    for _, flight in chosen.iterrows():
        for by, name, windows in module.GROUPS:
            same = np.logical_and.reduce([flights[column] == flight[column] for column in by])
            for window, length in windows.items():
                now = flight["scheduled_departure"]
                landed = flights["landed"]
                seen = flights[same & (landed > now - length) & (landed <= now)]
                expected = (seen["arr_delay"] > 15).mean() if len(seen) else np.nan
                found = features.loc[flight["id"], f"{name}_late_rate_{window}"]
                assert found == pytest.approx(expected, nan_ok=True), (flight["id"], name, window)


def test_weather_is_the_scheduled_hours_at_the_origin(
    january: dict[str, pa.Table], computed: pa.Table
) -> None:
    flights = january["flights"].to_pandas().sample(50, random_state=5)
    weather = january["weather"].to_pandas().set_index(["origin", "time_hour"])
    features = computed.to_pandas().set_index("id")
    for _, flight in flights.iterrows():
        place = (flight["origin"], flight["scheduled_departure"].floor("h"))
        expected = weather["temp"].get(place, np.nan)
        assert features.loc[flight["id"], "temp"] == pytest.approx(expected, nan_ok=True)


def test_planes_that_nobody_knows_have_no_age(
    january: dict[str, pa.Table], computed: pa.Table
) -> None:
    flights = january["flights"].to_pandas().set_index("id")
    years = january["planes"].to_pandas().set_index("tailnum")["year"]
    features = computed.to_pandas().set_index("id")
    expected = 2013 - flights["tailnum"].map(years)
    pd.testing.assert_series_equal(
        features["plane_age"].sort_index(), expected.sort_index(), check_names=False
    )
    assert 0.1 < features["plane_age"].isna().mean() < 0.25


def test_every_feature_is_listed_once_and_explained(module: ModuleType, computed: pa.Table) -> None:
    names = [feature.name for feature in module.FEATURES]
    assert computed.column_names == ["id", *names]
    assert len(set(names)) == len(names)
    assert all(feature.description for feature in module.FEATURES)
    longest = max(window for _, _, windows in module.GROUPS for window in windows.values())
    assert longest <= module.HISTORY
    assert timedelta(0) < module.HISTORY
