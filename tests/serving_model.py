"""A small real model for the tests of serving: numbers and a text, as one input each."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from contracts.artifact import DOCUMENT_FILE, MODEL_FILE, Artifact, Tensor, TrainingData

CARRIERS = ("", "AA", "B6", "UA")

INPUTS = (
    Tensor(name="distance", datatype="FP32", shape=(-1, 1), optional=True),
    Tensor(name="hour", datatype="FP32", shape=(-1, 1)),
    Tensor(name="carrier", datatype="BYTES", shape=(-1, 1), categories=CARRIERS, optional=True),
)
OUTPUTS = (
    Tensor(name="label", datatype="INT64", shape=(-1,)),
    Tensor(name="probabilities", datatype="FP32", shape=(-1, 2)),
)


def make_artifact(folder: Path, *, version: str = "1", seed: int = 0) -> Path:
    """Train on noise shaped by the hour and the carrier; another seed is another model."""
    random = np.random.default_rng(seed)
    rows = 400
    data = pd.DataFrame(
        {
            "distance": random.uniform(100, 2500, rows),
            "hour": random.integers(5, 24, rows).astype(float),
            "carrier": random.choice(CARRIERS, rows),
        }
    )
    late = (data.hour / 24 + (data.carrier == "B6") * 0.3 + random.normal(0, 0.3, rows)) > 0.8
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), ["distance", "hour"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(data, late.astype(int))
    kinds = {"FP32": FloatTensorType, "BYTES": StringTensorType}
    content = to_onnx(
        model,
        initial_types=[(own.name, kinds[own.datatype]([None, 1])) for own in INPUTS],
        options={"zipmap": False},
        target_opset={"": 18, "ai.onnx.ml": 3},
    ).SerializeToString()
    return write_artifact(folder, content, version=version)


def write_artifact(folder: Path, content: bytes, *, version: str = "1", **changes: object) -> Path:
    """An artifact's folder around a model."""
    now = datetime(2013, 1, 1, tzinfo=UTC)
    document = Artifact.model_validate(
        {
            "name": "flight-delay",
            "version": version,
            "task": "classification",
            "digest": hashlib.sha256(content).hexdigest(),
            "inputs": INPUTS,
            "outputs": OUTPUTS,
            "created": now,
            "code_version": "test",
            "trained_on": TrainingData(
                dataset="noise", start=now, end=now, rows=400, fingerprint="0"
            ),
            "metrics": {},
            "features": ("hour", "carrier", "distance"),
            **changes,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(content)
    (folder / DOCUMENT_FILE).write_text(document.model_dump_json())
    return folder
