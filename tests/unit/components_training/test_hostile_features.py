"""Feature tables as bad as they come go through the training steps, or stop at our error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.evaluate.step import evaluate
from components.preprocess.step import preprocess
from components.select.step import select
from components.train.step import train
from components.tune.step import tune
from contracts.errors import MillwrightError
from contracts.features import Feature, FeatureTable
from contracts.model import ModelSpec

ROWS = 400
Values = Callable[[np.ndarray[Any, Any]], Any]
NUMBERS: dict[str, Values] = {
    "none at all": lambda place: np.full(len(place), np.nan),
    "infinite": lambda place: np.full(len(place), np.inf),
    "infinite at times": lambda place: np.where(place % 3, place * 1.0, -np.inf),
    "too large for 32 bits": lambda place: place * 1e300,
    "as large as 32 bits hold": lambda place: np.where(place % 2, 3.4e38, -3.4e38),
    "as small as 64 bits hold": lambda place: place * 5e-324,
    "one value": lambda place: np.zeros(len(place)),
    "one value and gaps": lambda place: np.where(place % 2, 1.0, np.nan),
    "only early": lambda place: np.where(place < 200, place * 1.0, np.nan),
    "only late": lambda place: np.where(place > 350, place * 1.0, np.nan),
}
TEXTS: dict[str, Values] = {
    "none at all": lambda place: np.full(len(place), None),
    "one for each row": lambda place: place.astype(str).astype(object),
    "empty": lambda place: np.full(len(place), ""),
    "one": lambda place: np.full(len(place), "x"),
    "other ones later": lambda place: np.where(place < 250, "old", "new").astype(object),
    "odd characters": lambda place: np.array(["\0", "\U0001f4a9", "a" * 9999, " "])[place % 4],
    "numbers and gaps": lambda place: np.where(place % 2, "1e3", None),
}


def run(folder: Path, spec: ModelSpec, columns: dict[str, Any], label: Any = None) -> bool:
    """All steps up to the evaluation; whether they came to their end."""
    place = np.arange(ROWS)
    frame = pd.DataFrame(columns)
    frame["key"] = place.astype(str)
    frame["time"] = pd.date_range(datetime(2013, 2, 1, tzinfo=UTC), periods=ROWS, freq="5h")
    frame["label"] = (place * 7 % 3 == 0).astype(float) if label is None else label
    frame.to_parquet(folder / "features.parquet", coerce_timestamps="us")
    features = tuple(
        Feature(name=name, kind="numeric" if name.startswith("n") else "categorical")
        for name in columns
    )
    table = FeatureTable(key="key", time="time", label="label", features=features, rows=ROWS)
    data, model = folder / "data", folder / "model"
    try:
        preprocess(folder / "features.parquet", table, spec, data)
        select(data, spec, folder / "selection.json")
        tune(data, folder / "selection.json", spec, folder / "tuning.json")
        train(data, folder / "selection.json", folder / "tuning.json", spec, model)
        done = evaluate(data, model, spec, folder / "evaluation.json")
    except MillwrightError as refused:
        return False if refused.what and refused.where else pytest.fail(repr(refused))
    assert done.onnx_parity < 1e-3
    return True


@pytest.mark.parametrize(
    ("scale", "encode"), [("standard", "onehot"), ("robust", "ordinal"), ("none", "ordinal")]
)
def test_any_feature(
    tmp_path: Path, model: Callable[..., ModelSpec], scale: str, encode: str
) -> None:
    place = np.arange(ROWS)
    columns = {f"n{number}": make(place) for number, make in enumerate(NUMBERS.values())}
    columns |= {f"t{number}": make(place) for number, make in enumerate(TEXTS.values())}
    preprocessing = {"numeric": {"scale": scale}, "categorical": {"encode": encode}}
    assert run(tmp_path, model(preprocess=preprocessing, select={"keep": 99}, gates={}), columns)


@pytest.mark.parametrize(
    "columns",
    [
        *({"n": make} for make in NUMBERS.values()),
        *({"t": make} for make in TEXTS.values()),
    ],
    ids=[*NUMBERS, *(f"text: {name}" for name in TEXTS)],
)
def test_any_feature_alone(
    tmp_path: Path, model: Callable[..., ModelSpec], columns: dict[str, Values]
) -> None:
    place = np.arange(ROWS)
    run(tmp_path, model(gates={}), {name: make(place) for name, make in columns.items()})


LABELS: dict[str, Values] = {
    "none": lambda place: np.full(len(place), np.nan),
    "one value": lambda place: np.ones(len(place)),
    "infinite": lambda place: np.where(place == 3, np.inf, place * 1.0),
    "huge": lambda place: place * 1e300,
    "of no part but one": lambda place: np.where(place < 50, place * 1.0, np.nan),
    "negative": lambda place: -1.0 * place,
}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:gamma", "count:poisson"])
def test_any_number_to_be_predicted(
    tmp_path: Path, model: Callable[..., ModelSpec], label: Values, objective: str
) -> None:
    place = np.arange(ROWS)
    estimator = {
        "library": "xgboost",
        "class": "XGBRegressor",
        "params": {"n_estimators": 5, "objective": objective, "n_jobs": 1},
    }
    search = {"metric": "rmse", "trials": 2, "space": {"max_depth": [2, 3]}}
    spec = model(task="regression", estimator=estimator, gates={}, tune=search)
    run(tmp_path, spec, {"n": place % 5 * 1.0, "t": place % 3}, label(place))
