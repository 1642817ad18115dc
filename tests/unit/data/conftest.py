"""One winter month of real flights, as the lake would hold it."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from data.datasets import find_dataset
from data.flights import conform, prepare_flights, read_csv


@pytest.fixture(scope="session")
def raw_flights() -> pd.DataFrame:
    """All 336,776 rows as the package has them."""
    return read_csv("flights.csv.zip")


@pytest.fixture(scope="session")
def january(raw_flights: pd.DataFrame) -> dict[str, pa.Table]:
    """The five tables, with the flights of January."""
    airports = read_csv("airports.csv")
    flights = prepare_flights(raw_flights[raw_flights["month"] == 1], airports)
    frames = {"flights": flights, "airports": airports}
    frames |= {name: read_csv(f"{name}.csv") for name in ("weather", "planes", "airlines")}
    return {
        table.name: conform(frames[table.name], table) for table in find_dataset("flights").tables
    }
