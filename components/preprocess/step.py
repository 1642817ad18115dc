"""Split by time, and learn from the training rows alone how each feature is made ready.

Two mistakes are easy here and expensive later: learning a mean or a category from rows of the
future, and losing rows without saying so. So the parts are cut first, everything is learned on
the first one, and every row that is not in a part is counted.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components import parts, transform
from components.documents import (
    PART_NAMES,
    PREPROCESSING,
    Dropped,
    Learned,
    Part,
    PartName,
    Preprocessing,
    write,
)
from components.entry import warn
from components.preprocess import losses
from contracts.errors import DataError
from contracts.features import Feature, FeatureTable
from contracts.model import ModelSpec, Preprocess, Split, Task
from data.files import write_parquet


def preprocess(
    source: Path, table: FeatureTable, spec: ModelSpec, destination: Path
) -> Preprocessing:
    """Write the parts of the split, and what was learned from the training part.

    Args:
        source: the Parquet file of the feature table.
        table: what its columns are.
        spec: the split and the preprocessing.
        destination: a folder; gets ``train.parquet``, ``validate.parquet``, ``test.parquet`` and
            ``preprocessing.json``.

    Raises:
        DataError: a part has no rows with a known label, or a label that cannot be learned.
    """
    frame = read(source, table)
    infinite = losses.without_infinite(frame, table.features)
    where = assign(frame[parts.TIME], spec.split)
    destination.mkdir(parents=True, exist_ok=True)
    written: dict[PartName, Part] = {}
    labelled: dict[PartName, pd.DataFrame] = {}
    for index, name in enumerate(PART_NAMES):
        rows = frame[where == index]
        known = rows[rows[parts.LABEL].notna()]
        labelled[name] = known[accepted(known, labelled.get("train"), table, spec.preprocess)]
        written[name] = describe(name, rows, known, labelled[name], spec)
        save(labelled[name], parts.part_path(destination, name))
    learned, dropped = learn(labelled["train"], table.features, spec.preprocess)
    if not learned:
        raise DataError("no feature can be used", where=str(source), fix=dropped[0].reason)
    fitted, columns = transform.describe(labelled["train"], learned, spec.preprocess)
    report = Preprocessing(
        parts=written,
        outside=int((where < 0).sum()),
        features=fitted,
        dropped=dropped,
        slices=table.slices,
        columns=columns,
    )
    report = report.model_copy(update={"warnings": losses.told(report, labelled, infinite)})
    warn("preprocess", report.warnings)
    write(report, destination / PREPROCESSING)
    return report


def read(source: Path, table: FeatureTable) -> pd.DataFrame:
    """The feature table with our names for key, time and label, in order of time, then key."""
    wanted = [feature.name for feature in table.features]
    columns = [table.key, table.time, table.label, *wanted, *table.slices]
    rows = parts.read_columns(source, columns)
    ordered = pa.table({"time": rows[table.time], "key": rows[table.key].cast(pa.string())})
    order = pc.sort_indices(ordered, [("time", "ascending"), ("key", "ascending")])
    frame = rows.take(order).to_pandas()
    frame[parts.KEY] = frame[table.key].astype(str)
    frame[parts.TIME] = pd.to_datetime(frame[table.time], utc=True)
    frame[parts.LABEL] = frame[table.label].astype(np.float64)
    own = [parts.KEY, parts.TIME, parts.LABEL, *wanted, *table.slices]
    return frame[list(dict.fromkeys(own))]


def assign(time: pd.Series, split: Split) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The part of each row: 0 train, 1 validate, 2 test, -1 none of them."""
    ends = [split.train.until, split.validate_.until, split.test.until]
    bounds = pd.DatetimeIndex([midnight(day) for day in ends])
    index = np.searchsorted(bounds.asi8, pd.DatetimeIndex(time).as_unit(bounds.unit).asi8, "right")
    index = np.where(index >= len(ends), -1, index)
    if split.start is not None:
        index = np.where(time < midnight(split.start), -1, index)
    return index.astype(np.int64)


def midnight(day: date) -> datetime:
    """A day's start in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def accepted(
    rows: pd.DataFrame, train: pd.DataFrame | None, table: FeatureTable, spec: Preprocess
) -> pd.Series:
    """Which rows the model takes: all, unless unknown categories are errors.

    Args:
        rows: rows of one part.
        train: the training rows that it takes; None when ``rows`` are those.
        table: which columns are categories.
        spec: what an unknown category is.
    """
    takes = pd.Series(True, index=rows.index)
    if spec.categorical.unknown == "error":
        for feature in table.features:
            if feature.kind == "categorical":
                values = rows[feature.name]
                takes &= values.notna() if train is None else values.isin(train[feature.name])
    return takes


def describe(
    name: PartName, rows: pd.DataFrame, known: pd.DataFrame, labelled: pd.DataFrame, spec: ModelSpec
) -> Part:
    """Count a part's rows, and refuse one that nothing can be learned from or judged on."""
    key = {"train": "split.train", "validate": "split.validate", "test": "split.test"}[name]
    if labelled.empty:
        raise DataError(
            f"the {name} part has no rows with a known label ({len(rows)} without)",
            where=key,
            fix="load the data of that time, or move the split's dates",
        )
    check_label(labelled[parts.LABEL], spec.task, key)
    return Part(
        rows=len(labelled),
        unlabelled=len(rows) - len(known),
        refused=len(known) - len(labelled),
        start=labelled[parts.TIME].iloc[0].to_pydatetime(),
        end=labelled[parts.TIME].iloc[-1].to_pydatetime(),
        label_mean=float(labelled[parts.LABEL].mean()),
    )


def check_label(values: pd.Series, task: Task, where: str) -> None:
    """A label is a finite number; a classification's is 0 or 1, and both occur."""
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise DataError(
            f"the label is infinite in {infinite} rows",
            where=where,
            fix="correct source.label.expression: null is an outcome that is not known",
        )
    levels = sorted(values.unique()[:5])
    if task == "classification" and levels != [0.0, 1.0]:
        raise DataError(
            f"the label has the values {[float(level) for level in levels]}; "
            "a classification needs 0 and 1",
            where=where,
            fix="correct source.label.expression, or move the split's dates",
        )


def save(rows: pd.DataFrame, path: Path) -> None:
    """One part as Parquet."""
    write_parquet(pa.Table.from_pandas(rows, preserve_index=False), path)


def learn(
    train: pd.DataFrame, features: tuple[Feature, ...], spec: Preprocess
) -> tuple[tuple[Learned, ...], tuple[Dropped, ...]]:
    """What the training rows say about each feature, and which features say nothing."""
    results = [learn_one(feature, train[feature.name], spec) for feature in features]
    return (
        tuple(result for result in results if isinstance(result, Learned)),
        tuple(result for result in results if isinstance(result, Dropped)),
    )


def learn_one(feature: Feature, values: pd.Series, spec: Preprocess) -> Learned | Dropped:
    """One feature's range or categories, or why it cannot be used."""
    known = values.dropna()
    if known.empty:
        return Dropped(name=feature.name, reason="no training row has a value")
    missing = float(values.isna().mean())
    if feature.kind == "numeric":
        low, high = float(known.min()), float(known.max())
        finite = known[np.isfinite(known)]
        quantiles = np.quantile(finite, np.linspace(0, 1, 21)).tolist() if len(finite) else []
        return Learned(
            name=feature.name,
            kind="numeric",
            missing=missing,
            minimum=low,
            maximum=high,
            quantiles=tuple(quantiles),
            mean=float(finite.mean()) if len(finite) else None,
        )
    counts = values.astype(object).where(values.notna(), "").value_counts()
    least = spec.categorical.common_from(len(values))
    common = sorted(str(name) for name in counts.index[counts >= least])
    if not common:
        reason = f"no category has {least} training rows, the most frequent has {counts.iloc[0]}"
        return Dropped(name=feature.name, reason=f"{reason} (preprocess.categorical.rare_below)")
    return Learned(
        name=feature.name,
        kind="categorical",
        missing=missing,
        categories=tuple(common),
        shares=tuple(float(counts[name] / len(values)) for name in common),
        rare=len(counts) - len(common),
        rare_rows=float(counts[counts < least].sum() / len(values)),
    )
