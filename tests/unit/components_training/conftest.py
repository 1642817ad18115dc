"""A small feature table with what real ones have: gaps, rare categories, unknown outcomes."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contracts.features import Feature, FeatureTable
from contracts.model import ModelSpec

ROWS = 4000
NUMBERS = ("strong", "weak", "gappy", "noise", "empty")


def model_document(**changes: Any) -> dict[str, Any]:
    """A valid model document, as YAML gives it."""
    return {
        "name": "toy",
        "task": "classification",
        "source": {
            "dataset": "toys",
            "time": "time",
            "entities": ["kind"],
            "label": {"name": "late", "expression": "delay > 15"},
        },
        "split": {
            "train": {"until": date(2013, 3, 1)},
            "validate": {"until": date(2013, 4, 1)},
            "test": {"until": date(2013, 5, 1)},
        },
        "preprocess": {"categorical": {"rare_below": 50}},
        "select": {"keep": 6},
        "estimator": {
            "library": "xgboost",
            "class": "XGBClassifier",
            "params": {"n_estimators": 20, "max_depth": 3, "n_jobs": 1},
        },
        "gates": {"roc_auc": ">= 0.6", "log_loss": "< prior", "onnx_parity": "<= 1e-5"},
        "rollout": {"guards": {"errors": {}}},
    } | changes


@pytest.fixture
def model() -> Callable[..., ModelSpec]:
    """Makes a model spec with changes."""
    return lambda **changes: ModelSpec.parse(model_document(**changes))


@pytest.fixture(scope="session")
def toys(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, FeatureTable, pd.DataFrame]:
    """The path of a feature table from January to May, and what its columns are."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {name: generator.normal(size=ROWS).round(1) for name in ("strong", "weak", "noise")}
    )
    frame["gappy"] = np.where(generator.random(ROWS) < 0.3, np.nan, generator.normal(size=ROWS))
    frame["empty"] = np.nan
    kinds = generator.choice(["a", "b", "c", "rare"], ROWS, p=[0.5, 0.3, 0.195, 0.005])
    unknown = generator.random(ROWS) < 0.05
    frame["kind"] = [None if gap else kind for gap, kind in zip(unknown, kinds, strict=True)]
    odds = frame["strong"] + 0.4 * frame["weak"] + 0.5 * frame["gappy"].fillna(1)
    odds = odds + (frame["kind"] == "b") - 1
    label = (generator.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(float)
    frame["label"] = np.where(generator.random(ROWS) < 0.03, np.nan, label)
    seconds = np.sort(generator.integers(0, 135 * 86400, ROWS))
    frame["time"] = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(seconds, unit="s")
    frame["key"] = [f"toy-{place}" for place in range(ROWS)]
    path = tmp_path_factory.mktemp("toys") / "features.parquet"
    frame.sample(frac=1, random_state=0).to_parquet(path)
    features = [Feature(name=name, kind="numeric") for name in NUMBERS]
    table = FeatureTable(
        key="key",
        time="time",
        label="label",
        features=(*features, Feature(name="kind", kind="categorical")),
        slices=("kind",),
        rows=ROWS,
    )
    return path, table, frame
