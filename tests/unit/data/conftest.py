"""One winter month of real flights, as the lake would hold it."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from data.reading import assemble, from_loader
from tests.content import DATASETS, flights, flights_loader

LOADER = flights_loader()


@pytest.fixture(scope="session")
def raw_flights() -> pd.DataFrame:
    """All 336,776 rows as the package has them."""
    frame: pd.DataFrame = LOADER.read_csv("flights.csv.zip")
    return frame


@pytest.fixture(scope="session")
def january(raw_flights: pd.DataFrame) -> dict[str, pa.Table]:
    """The five tables, with the flights of January."""
    airports = LOADER.read_csv("airports.csv")
    month = LOADER.prepare_flights(raw_flights[raw_flights["month"] == 1], airports)
    frames = {"flights": month, "airports": airports}
    frames |= {name: LOADER.read_csv(f"{name}.csv") for name in ("weather", "planes", "airlines")}
    return {
        name: assemble(
            [from_loader(pa.Table.from_pandas(frames[name]), name, table, DATASETS, flights())],
            name,
            table,
        ).rows
        for name, table in flights().tables.items()
    }
