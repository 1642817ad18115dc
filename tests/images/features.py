"""A small feature table and its model, for steps that run in an image."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from components.documents import write
from contracts.features import Feature, FeatureTable
from contracts.model import ModelSpec

ROWS = 2000


def write_features(folder: Path) -> ModelSpec:
    """Write the artifacts ``features`` and ``table``; gives the model that they are for."""
    generator = np.random.default_rng(0)
    seconds = np.sort(generator.integers(0, 119 * 86400, ROWS))
    frame = pd.DataFrame(
        {
            "key": [f"row-{place}" for place in range(ROWS)],
            "time": pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(seconds, unit="s"),
            "number": generator.normal(size=ROWS),
            "kind": generator.choice(["a", "b", "c"], ROWS),
        }
    )
    odds = frame["number"] + (frame["kind"] == "b")
    frame["label"] = (generator.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(float)
    frame.to_parquet(folder / "features")
    numeric, categorical = (
        Feature(name="number", kind="numeric"),
        Feature(name="kind", kind="categorical"),
    )
    table = FeatureTable(
        key="key",
        time="time",
        label="label",
        features=(numeric, categorical),
        slices=("kind",),
        rows=ROWS,
    )
    write(table, folder / "table")
    return ModelSpec.parse(
        {
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
                "test": {"until": date(2013, 4, 30)},
            },
            "preprocess": {"categorical": {"rare_below": 20}},
            "select": {"keep": 2},
            "estimator": {
                "library": "xgboost",
                "class": "XGBClassifier",
                "params": {"n_estimators": 10, "max_depth": 3, "n_jobs": 1},
            },
            "gates": {"roc_auc": ">= 0.6", "log_loss": "< prior", "onnx_parity": "<= 1e-5"},
            "rollout": {"guards": {"errors": {}}},
        }
    )
