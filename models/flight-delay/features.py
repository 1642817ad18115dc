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

MOST_DELAY = 180
"""Minutes; a longer delay counts as this in the averages, so that one flight is not all of them."""

HOURS = {"1h": timedelta(hours=1), "3h": timedelta(hours=3)}
WEEKS = {"7d": timedelta(days=7), "28d": timedelta(days=28)}
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
GROUPS = (
    (("carrier",), "carrier", {"3h": HOURS["3h"], **WEEKS}),
    (("origin", "dest"), "route", WEEKS),
    (("origin",), "origin", HOURS),
)
"""Whose outcomes are counted, what they are called, and over which windows."""


OUTCOME_COLUMNS = ("carrier", "origin", "dest", "landed")
"""What an outcome is counted by, and when it became known."""


def numeric(name: str, description: str) -> Feature:
    return Feature(name=name, kind="numeric", description=description)


def categorical(name: str, description: str) -> Feature:
    return Feature(name=name, kind="categorical", description=description)


FEATURES = (
    numeric("hour", "hour of the scheduled departure, local"),
    numeric("minute_of_day", "minutes from midnight to the scheduled departure, local"),
    numeric("day_of_week", "0 is Monday"),
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
        numeric(f"{name}_late_rate_{window}", f"share late of the {name}'s flights of {window}")
        for _, name, windows in GROUPS
        for window in windows
    ),
    *(
        numeric(f"{name}_mean_delay_{window}", f"mean delay of the {name}'s flights of {window}")
        for _, name, windows in GROUPS
        for window in windows
        if window in HOURS
    ),
)


def features(tables: dict[str, ibis.Table]) -> ibis.Table:
    """One row for each flight: its ``id`` and the features."""
    flights = with_clock(tables["flights"])
    flights = with_weather(flights, tables["weather"])
    flights = with_plane(flights, tables["planes"])
    flights = with_rates(flights, tables["flights"])
    return flights.select("id", *(feature.name for feature in FEATURES))


def with_clock(flights: ibis.Table) -> ibis.Table:
    """What the schedule says."""
    clock = flights.scheduled_departure_local
    leaves, arrives = flights.scheduled_departure, flights.scheduled_arrival
    return flights.mutate(
        hour=clock.hour(),
        minute_of_day=clock.hour() * 60 + clock.minute(),
        day_of_week=clock.day_of_week.index(),
        scheduled_minutes=(arrives.epoch_seconds() - leaves.epoch_seconds()) / 60.0,
    )


def hours(instant: ibis.Value) -> ibis.Value:
    """Whole hours since 1970, to join on."""
    return instant.epoch_seconds().cast("int64") // 3600


def with_weather(flights: ibis.Table, weather: ibis.Table) -> ibis.Table:
    """The weather at the origin in the scheduled hour."""
    asked = flights.mutate(weather_hour=hours(flights.scheduled_departure))
    observed = weather.select("origin", *WEATHER, weather_hour=hours(weather.time_hour))
    return asked.left_join(observed, ["origin", "weather_hour"]).select(*flights.columns, *WEATHER)


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
    return joined.mutate(plane_age=joined.scheduled_departure_local.year() - joined.built)


def with_rates(flights: ibis.Table, history: ibis.Table) -> ibis.Table:
    """How late the carrier's, the route's and the origin's flights were, where they had landed."""
    outcomes = history.select(
        *OUTCOME_COLUMNS,
        flights=history.arr_delay.notnull().cast("int64"),
        late=(history.arr_delay > LATE_AFTER).fill_null(False).cast("int64"),
        # The data has whole minutes; rounding only says so to engines that differ on casting.
        delay=history.arr_delay.clip(upper=MOST_DELAY).fill_null(0.0).round().cast("int64"),
    )
    for by, name, windows in GROUPS:
        totals = trailing_totals(
            history,
            outcomes,
            by=by,
            at="scheduled_departure",
            happened="landed",
            measures=("flights", "late", *(["delay"] if HOURS.keys() & windows.keys() else [])),
            windows=windows,
        )
        rates = rates_of(totals, name, windows)
        answers = totals.select(*by, "scheduled_departure", **rates)
        joined = flights.left_join(answers, [*by, "scheduled_departure"])
        flights = joined.select(*flights.columns, *rates)
    return flights


def rates_of(totals: ibis.Table, name: str, windows: dict[str, timedelta]) -> dict[str, ibis.Value]:
    """One group's rates, and over hours its mean delays."""
    rates = {
        f"{name}_late_rate_{window}": share(totals[f"late_{window}"], totals[f"flights_{window}"])
        for window in windows
    }
    delays = {
        f"{name}_mean_delay_{window}": share(totals[f"delay_{window}"], totals[f"flights_{window}"])
        for window in windows
        if window in HOURS
    }
    return rates | delays
