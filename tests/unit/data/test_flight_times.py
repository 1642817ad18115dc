"""When flights leave and land, against the standard library's time zones, row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from contracts.errors import DataError
from tests.content import flights_loader

LOADER = flights_loader()
HOME, ZONES_OF_MISSING_AIRPORTS = LOADER.HOME, LOADER.ZONES_OF_MISSING_AIRPORTS
package_file, prepare_flights, read_csv, zones_of = (
    LOADER.package_file,
    LOADER.prepare_flights,
    LOADER.read_csv,
    LOADER.zones_of,
)

NIGHTS = ((3, 9), (3, 10), (11, 2), (11, 3))
"""The days on which New York's clocks change, and those before."""


@pytest.fixture(scope="module")
def sample(raw_flights: pd.DataFrame) -> pd.DataFrame:
    """Every 400th flight, and all of the nights when clocks change."""
    days = list(zip(raw_flights["month"], raw_flights["day"], strict=True))
    at_night = pd.Series([day in NIGHTS for day in days], index=raw_flights.index)
    return raw_flights[at_night | (raw_flights.index % 400 == 0)]


@pytest.fixture(scope="module")
def prepared(sample: pd.DataFrame) -> pd.DataFrame:
    return prepare_flights(sample, read_csv("airports.csv"))


def wall(zone: ZoneInfo, day: datetime, clock: int) -> datetime:
    """A clock reading (HHMM) as an instant; a reading shown twice is the later."""
    reading = day.replace(hour=0, minute=0) + timedelta(minutes=clock // 100 * 60 + clock % 100)
    return reading.replace(tzinfo=zone, fold=1).astimezone(UTC)


def test_departures_are_new_yorks_clock_readings(prepared: pd.DataFrame) -> None:
    for row in prepared.itertuples():
        day = datetime(row.year, row.month, row.day)
        expected = wall(ZoneInfo(HOME), day, row.sched_dep_time)
        assert row.scheduled_departure == expected, row.id
        assert row.scheduled_departure_local == expected.astimezone(ZoneInfo(HOME)).replace(
            tzinfo=None
        )


def test_arrivals_are_the_destinations_next_such_clock_reading(prepared: pd.DataFrame) -> None:
    airports = read_csv("airports.csv")
    zones = dict(zip(airports["faa"], airports["tzone"], strict=True)) | ZONES_OF_MISSING_AIRPORTS
    for row in prepared.itertuples():
        day = datetime(row.year, row.month, row.day)
        readings = (
            wall(ZoneInfo(zones[row.dest]), day + timedelta(days=days), row.sched_arr_time)
            for days in (-1, 0, 1, 2)
        )
        expected = min(reading for reading in readings if reading > row.scheduled_departure)
        assert row.scheduled_arrival == expected, row.id
        if pd.isna(row.arr_delay):
            assert pd.isna(row.landed)
        else:
            assert row.landed == expected + timedelta(minutes=row.arr_delay)


def test_schedules_leave_time_for_the_flight(prepared: pd.DataFrame) -> None:
    """A date wrong by a day, or a zone by some hours, would show at once."""
    planned = (prepared["scheduled_arrival"] - prepared["scheduled_departure"]).dt.total_seconds()
    spare = planned / 60 - prepared["air_time"]
    assert spare.min() > -100
    assert spare.max() < 180


def test_each_flight_has_its_own_id(prepared: pd.DataFrame) -> None:
    assert prepared["id"].is_unique
    assert (
        prepared["id"]
        .str.fullmatch(
            r"[A-Z0-9]{2}-\d+-(EWR|JFK|LGA)-2013-\d\d-\d\dT\d\d:\d\dZ|"
            r"[A-Z0-9]{2}-\d+-(EWR|JFK|LGA)-2014-01-01T\d\d:\d\dZ"
        )
        .all()
    )


def test_a_destination_without_a_time_zone_is_named() -> None:
    with pytest.raises(DataError) as caught:
        zones_of(pd.Series(["IAH", "XXX", "SJU"]), read_csv("airports.csv"))
    assert caught.value.what == "no time zone is known for XXX"
    assert "ZONES_OF_MISSING_AIRPORTS" in caught.value.fix


def test_a_missing_package_file_is_named() -> None:
    with pytest.raises(DataError, match=r"the file 'ships\.csv' of the flights is not installed"):
        package_file("ships.csv")
