"""What is known of a flight at its scheduled departure.

Ibis expressions only, and only those that mean the same on DuckDB and on Spark. Everything here is
known when the prediction is asked for: the schedule, the plane, the hour's weather, and the
outcomes of flights that had landed by then (their landing in UTC is not after this departure).
"""

from __future__ import annotations

from datetime import timedelta

import ibis

from contracts.features import Feature
from data.windows import share, trailing_totals

HISTORY = timedelta(days=28)
"""How far before a row its features look."""

SLICES = ("carrier", "origin")
"""What evaluation looks at in parts."""

LATE_AFTER = 15
"""Minutes; a flight that arrives later than this counts as late in the rates."""

WEEKS = {"7d": timedelta(days=7), "28d": timedelta(days=28)}
HOURS = {"3h": timedelta(hours=3)}
WEATHER = {
    "temp": "temperature at the origin, degrees Fahrenheit",
    "dewp": "dew point, degrees Fahrenheit",
    "humid": "relative humidity, percent",
    "wind_dir": "where the wind comes from, degrees",
    "wind_speed": "wind, miles per hour",
    "wind_gust": "gusts, miles per hour",
    "precip": "precipitation in the hour, inches",
    "pressure": "sea-level pressure, millibars",
    "visib": "visibility, miles",
}
RATES = (
    (("carrier",), "carrier", WEEKS),
    (("origin", "dest"), "route", WEEKS),
    (("origin",), "origin", HOURS),
)
"""Whose late rates, what they are called, and over which windows."""


def numeric(name: str, description: str) -> Feature:
    return Feature(name=name, kind="numeric", description=description)


def categorical(name: str, description: str) -> Feature:
    return Feature(name=name, kind="categorical", description=description)


FEATURES = (
    numeric("hour", "hour of the scheduled departure, local"),
    numeric("minute_of_day", "minutes from midnight to the scheduled departure, local"),
    numeric("day_of_week", "0 is Monday"),
    numeric("day_of_year", "1 is the first of January"),
    numeric("scheduled_minutes", "minutes from scheduled departure to scheduled arrival"),
    numeric("distance", "miles"),
    categorical("carrier", "the airline's code"),
    categorical("origin", "the airport it leaves"),
    categorical("dest", "the airport it goes to"),
    *(numeric(name, description) for name, description in WEATHER.items()),
    numeric("plane_age", "years since the plane was built; null where the plane is unknown"),
    numeric("plane_seats", "seats; null where the plane is unknown"),
    numeric("plane_engines", "engines; null where the plane is unknown"),
    categorical("plane_type", "kind of aircraft"),
    categorical("plane_manufacturer", "who built it"),
    *(
        numeric(
            f"{name}_late_rate_{window}", f"share late of this {name}'s flights landed in {window}"
        )
        for _, name, windows in RATES
        for window in windows
    ),
)


def features(tables: dict[str, ibis.Table]) -> ibis.Table:
    """One row for each flight: its ``id`` and the features."""
    flights = tables["flights"]
    flights = flights.mutate(
        weather_hour=hours(flights.scheduled_departure),
        build_horizon=flights.scheduled_departure_local.year(),
    )
    joined = with_rates(with_plane(with_weather(flights, tables["weather"]), tables["planes"]))
    return joined.select("id", *(feature.name for feature in FEATURES))


def hours(instant: ibis.Value) -> ibis.Value:
    """Whole hours since 1970, to join on."""
    return instant.epoch_seconds().cast("int64") // 3600


def with_weather(flights: ibis.Table, weather: ibis.Table) -> ibis.Table:
    """The weather at the origin in the scheduled hour, and what the clock says."""
    observed = weather.select("origin", *WEATHER, weather_hour=hours(weather.time_hour))
    joined = flights.left_join(observed, ["origin", "weather_hour"])
    clock = joined.scheduled_departure_local
    return joined.mutate(
        hour=clock.hour(),
        minute_of_day=clock.hour() * 60 + clock.minute(),
        day_of_week=clock.day_of_week.index(),
        day_of_year=clock.day_of_year(),
        scheduled_minutes=(
            joined.scheduled_arrival.epoch_seconds() - joined.scheduled_departure.epoch_seconds()
        )
        / 60.0,
    )


def with_plane(flights: ibis.Table, planes: ibis.Table) -> ibis.Table:
    """What is known of the plane."""
    known = planes.select(
        "tailnum",
        built=planes.year,
        plane_seats=planes.seats,
        plane_engines=planes.engines,
        plane_type=planes.type,
        plane_manufacturer=planes.manufacturer,
    )
    joined = flights.left_join(known, "tailnum")
    return joined.mutate(plane_age=joined.build_horizon - joined.built)


def with_rates(flights: ibis.Table) -> ibis.Table:
    """How late the carrier's, the route's and the origin's flights were, where they had landed."""
    outcomes = flights.select(
        "carrier",
        "origin",
        "dest",
        "landed",
        ended=flights.arr_delay.notnull().cast("int64"),
        late=(flights.arr_delay > LATE_AFTER).fill_null(False).cast("int64"),
    )
    for by, name, windows in RATES:
        totals = trailing_totals(
            flights,
            outcomes,
            by=by,
            at="scheduled_departure",
            happened="landed",
            measures=("late", "ended"),
            windows=windows,
        )
        rates = totals.select(
            *by,
            "scheduled_departure",
            **{
                f"{name}_late_rate_{window}": share(
                    totals[f"late_{window}"], totals[f"ended_{window}"]
                )
                for window in windows
            },
        )
        flights = flights.left_join(rates, [*by, "scheduled_departure"])
        flights = flights.drop(*(column for column in flights.columns if column.endswith("_right")))
    return flights
