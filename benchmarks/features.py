"""Features over all 336,776 flights: our expressions on DuckDB beside pandas, from one run.

    python benchmarks/features.py

Both give the same columns and are compared cell by cell. The peer is pandas as a careful person
writes it: no loops over rows, cumulative sums and ``merge_asof`` for the rates. Each runs in a
process of its own, so that its memory is its own; reading Parquet is included in both.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from contracts.dataset import DatasetSpec
from data.engine import connect, register_folder
from data.reading import read_tables

FILE = Path(__file__).parents[1] / "models" / "flight-delay" / "features.py"
DATASET = Path(__file__).parents[1] / "datasets" / "flights"
REPEATS = 3
TIME = "scheduled_departure"


def feature_file() -> ModuleType:
    """The model's ``features.py``."""
    spec = importlib.util.spec_from_file_location("flight_delay_features", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_ibis(folder: Path) -> pa.Table:
    """Ours."""
    return feature_file().features(register_folder(connect(), folder)).to_pyarrow()


def with_pandas(folder: Path) -> pd.DataFrame:
    """The peer."""
    ours = feature_file()
    flights, weather, planes = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("flights", "weather", "planes")
    )
    clock = flights["scheduled_departure_local"].dt
    rows = flights.assign(
        hour=clock.hour,
        minute_of_day=clock.hour * 60 + clock.minute,
        day_of_week=clock.dayofweek,
        scheduled_minutes=(flights["scheduled_arrival"] - flights[TIME]).dt.total_seconds() / 60,
        time_hour=flights[TIME].dt.floor("h"),
    )
    rows = rows.merge(weather, how="left", on=["origin", "time_hour"])
    register = planes.rename(columns={"year": "built"}).rename(
        columns={name: f"plane_{name}" for name in ("seats", "engines", "type", "manufacturer")}
    )
    rows = rows.merge(register, how="left", on="tailnum")
    rows["plane_age"] = rows["scheduled_departure_local"].dt.year - rows["built"]
    for by, name, windows in ours.GROUPS:
        rows = rows.assign(**pandas_rates(flights, rows, list(by), name, windows, ours))
    return rows[["id", *(feature.name for feature in ours.FEATURES)]]


def pandas_rates(
    flights: pd.DataFrame,
    rows: pd.DataFrame,
    by: list[str],
    name: str,
    windows: dict[str, timedelta],
    ours: ModuleType,
) -> dict[str, np.ndarray]:
    """One group's rates: totals up to now less totals up to each window's beginning."""
    landed = flights.dropna(subset=["landed"]).sort_values("landed")
    events = landed[[*by, "landed"]].assign(
        count=1,
        late=(landed["arr_delay"] > ours.LATE_AFTER).astype(int),
        delay=landed["arr_delay"].clip(upper=ours.MOST_DELAY),
    )
    events[["count", "late", "delay"]] = events.groupby(by)[["count", "late", "delay"]].cumsum()

    def totals(before: timedelta) -> pd.DataFrame:
        asked = rows[by].assign(at=rows[TIME] - before).sort_values("at")
        found = pd.merge_asof(asked, events, left_on="at", right_on="landed", by=by)
        found.index = asked.index
        return found.sort_index()[["count", "late", "delay"]].fillna(0)

    now = totals(timedelta(0))
    rates = {}
    for window, length in windows.items():
        within = now - totals(length)
        count = within["count"].where(within["count"] > 0)
        rates[f"{name}_late_rate_{window}"] = (within["late"] / count).to_numpy()
        rates[f"{name}_mean_delay_{window}"] = (within["delay"] / count).to_numpy()
    return rates


CONTENDERS = {"Millwright (Ibis on DuckDB)": with_ibis, "pandas (merge_asof)": with_pandas}


def run_one(name: str, folder: Path, output: Path) -> None:
    """In a process of its own: the best of some runs, its memory, and its result."""
    seconds, processor = [], []
    for _ in range(REPEATS):
        started, used = time.perf_counter(), time.process_time()
        found = CONTENDERS[name](folder)
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = found if isinstance(found, pa.Table) else pa.Table.from_pandas(found)
    pq.write_table(rows, output)
    said = {"seconds": min(seconds), "processor": min(processor), "gibibytes": peak}
    print(json.dumps(said | {"rows": rows.num_rows}))


def different_cells(ours: pd.DataFrame, peer: pd.DataFrame) -> int:
    """Cells that are not the same (numbers: to one part in a thousand million)."""
    ours, peer = (frame.set_index("id").sort_index() for frame in (ours, peer))
    count = 0
    for column in ours.columns:
        left, right = ours[column], peer[column]
        if pd.api.types.is_numeric_dtype(left):
            same = np.isclose(left.astype(float), right.astype(float), 1e-9, equal_nan=True)
        else:
            same = (left.fillna("") == right.fillna("")).to_numpy()
        count += int((~same).sum())
    return count


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "tables"
        folder.mkdir()
        for table in read_tables(DATASET, DatasetSpec.load(DATASET / "dataset.yaml")):
            pq.write_table(table.rows, folder / f"{table.name}.parquet")
        measured, results = {}, {}
        for number, name in enumerate(CONTENDERS):
            output = Path(scratch) / f"{number}.parquet"
            command = [sys.executable, __file__, name, str(folder), str(output)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured[name] = json.loads(said.splitlines()[-1])
            results[name] = pd.read_parquet(output)
    show(measured, different_cells(*results.values()))


def show(measured: dict[str, dict[str, float]], different: int) -> None:
    """The table."""
    table = Table(title="All features of 336,776 flights, best of three; speed against ours")
    for heading in ("", "seconds", "CPU seconds", "rows a second", "peak GiB", "speed"):
        table.add_column(heading, justify="left" if not heading else "right")
    ours = next(iter(measured.values()))
    for name, found in measured.items():
        table.add_row(
            name,
            f"{found['seconds']:.2f}",
            f"{found['processor']:.2f}",
            f"{found['rows'] / found['seconds']:,.0f}",
            f"{found['gibibytes']:.2f}",
            f"{ours['seconds'] / found['seconds']:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(f"cells that differ: {different:,}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        run_one(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
