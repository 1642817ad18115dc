"""The datasets that Millwright knows, each with what its columns must be.

A schema beside the code that reads the data turns "the model got worse" into "row 1009 of weather:
wind_speed is 1048.36, above 250". The validation step refuses by it, the label expression is
checked against it, and a person reads it to learn what a column means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from contracts.document import suggest
from contracts.errors import DataError

TIME = pa.timestamp("us", tz="UTC")
"""Every instant: UTC, microseconds (nanosecond Parquet is not read everywhere)."""
LOCAL_TIME = pa.timestamp("us")
"""A wall clock's reading, for the parts of a day that people live by."""
TEXT = pa.string()
WHOLE = pa.int64()
NUMBER = pa.float64()


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column must be.

    ``low`` and ``high`` are the least and greatest value that is believed; ``values``, where given,
    are all there may be.
    """

    name: str
    type: pa.DataType
    description: str
    nullable: bool = True
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """What one table must be; ``key`` names a row, ``time`` is when it happened (UTC)."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str | None = None

    @property
    def arrow(self) -> pa.Schema:
        """The same for Arrow and Parquet."""
        return pa.schema(
            [pa.field(column.name, column.type, column.nullable) for column in self.columns]
        )


@dataclass(frozen=True, kw_only=True)
class DatasetSchema:
    """Tables that belong together.

    ``source`` is the table whose rows are predicted; ``history`` is how far before a model's
    first day its features may look.
    """

    name: str
    description: str
    tables: tuple[TableSchema, ...]
    source: str
    history: timedelta

    def table(self, name: str) -> TableSchema:
        """The table of that name.

        Raises:
            DataError: there is none.
        """
        for table in self.tables:
            if table.name == name:
                return table
        raise DataError(
            f"there is no table {name!r}",
            where=f"dataset {self.name}",
            fix=suggest(name, [table.name for table in self.tables]),
        )


def text(
    name: str, description: str, *, nullable: bool = True, values: tuple[str, ...] = ()
) -> Column:
    return Column(name=name, type=TEXT, description=description, nullable=nullable, values=values)


def number(name: str, description: str, low: float, high: float) -> Column:
    return Column(name=name, type=NUMBER, description=description, low=low, high=high)


def whole(name: str, description: str, low: int, high: int, *, nullable: bool = True) -> Column:
    return Column(
        name=name, type=WHOLE, description=description, nullable=nullable, low=low, high=high
    )


def instant(name: str, description: str, *, nullable: bool = True) -> Column:
    return Column(name=name, type=TIME, description=description, nullable=nullable)


ORIGINS = ("EWR", "JFK", "LGA")

FLIGHTS = TableSchema(
    name="flights",
    description="Every departure from New York City's three airports in 2013, one row each.",
    key=("id",),
    time="scheduled_departure",
    columns=(
        text("id", "carrier-flight-origin-scheduled departure (UTC)", nullable=False),
        instant("scheduled_departure", "when it was to leave the gate", nullable=False),
        Column(
            name="scheduled_departure_local",
            type=LOCAL_TIME,
            description="the same on New York's clocks",
            nullable=False,
        ),
        instant("scheduled_arrival", "when it was to reach the gate", nullable=False),
        instant("landed", "when it reached the gate; null if cancelled or diverted"),
        whole("dep_time", "actual departure, local clock, HHMM", 0, 2400),
        whole("sched_dep_time", "scheduled departure, local clock, HHMM", 0, 2400, nullable=False),
        number("dep_delay", "minutes after the schedule; negative is early", -120, 2880),
        whole("arr_time", "actual arrival, destination's clock, HHMM", 0, 2400),
        whole(
            "sched_arr_time",
            "scheduled arrival, destination's clock, HHMM",
            0,
            2400,
            nullable=False,
        ),
        number("arr_delay", "minutes after the schedule; negative is early", -180, 2880),
        text("carrier", "the airline's two-letter code", nullable=False),
        whole("flight", "the flight's number", 1, 9999, nullable=False),
        text("tailnum", "the plane's registration"),
        text("origin", "the airport it leaves", nullable=False, values=ORIGINS),
        text("dest", "the airport it goes to", nullable=False),
        number("air_time", "minutes in the air", 5, 1200),
        whole("distance", "miles between the airports", 1, 10_000, nullable=False),
    ),
)

WEATHER = TableSchema(
    name="weather",
    description="Hourly weather at the three airports.",
    key=("origin", "time_hour"),
    time="time_hour",
    columns=(
        text("origin", "the airport", nullable=False, values=ORIGINS),
        instant("time_hour", "the hour it was observed for", nullable=False),
        number("temp", "degrees Fahrenheit", -60, 130),
        number("dewp", "dew point, degrees Fahrenheit", -80, 100),
        number("humid", "relative humidity, percent", 0, 100),
        number("wind_dir", "where the wind comes from, degrees", 0, 360),
        number("wind_speed", "miles per hour", 0, 250),
        number("wind_gust", "miles per hour", 0, 250),
        number("precip", "inches in the hour", 0, 15),
        number("pressure", "sea-level pressure, millibars", 870, 1090),
        number("visib", "visibility, miles", 0, 10),
    ),
)

PLANES = TableSchema(
    name="planes",
    description="What is known of the planes, by registration.",
    key=("tailnum",),
    columns=(
        text("tailnum", "the plane's registration", nullable=False),
        whole("year", "the year it was built", 1930, 2013),
        text("type", "fixed wing with one or more engines, or rotorcraft"),
        text("manufacturer", "who built it"),
        text("model", "its model"),
        whole("engines", "how many engines", 0, 8),
        whole("seats", "how many seats", 1, 900),
        number("speed", "cruising speed, miles per hour", 1, 1000),
        text("engine", "the kind of engine"),
    ),
)

AIRPORTS = TableSchema(
    name="airports",
    description="Airports of the United States (four of the destinations are missing from it).",
    key=("faa",),
    columns=(
        text("faa", "the airport's three-letter code", nullable=False),
        text("name", "its name", nullable=False),
        number("lat", "degrees north", -90, 90),
        number("lon", "degrees east", -180, 180),
        number("alt", "feet above the sea", -1500, 15_000),
        number("tz", "hours from UTC in winter", -12, 14),
        text("dst", "whose summer time it keeps", values=("A", "N", "U")),
        text("tzone", "its time zone, an IANA name"),
    ),
)

AIRLINES = TableSchema(
    name="airlines",
    description="The airlines' names.",
    key=("carrier",),
    columns=(
        text("carrier", "the airline's two-letter code", nullable=False),
        text("name", "its name", nullable=False),
    ),
)

DATASETS: Mapping[str, DatasetSchema] = {
    "flights": DatasetSchema(
        name="flights",
        description="Departures from New York City in 2013, with weather and planes (CC0).",
        tables=(FLIGHTS, WEATHER, PLANES, AIRPORTS, AIRLINES),
        source="flights",
        # The longest window of a feature, and the longest that a flight in it may still be away.
        history=timedelta(days=28 + 3),
    ),
}


def find_dataset(name: str) -> DatasetSchema:
    """The dataset of that name.

    Raises:
        DataError: there is none (with the name that was probably meant).
    """
    try:
        return DATASETS[name]
    except KeyError:
        raise DataError(
            f"there is no dataset {name!r}", where="datasets", fix=suggest(name, list(DATASETS))
        ) from None
