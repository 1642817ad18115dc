"""Fit the estimator with the chosen parameters, and export all of it, preprocessing included.

The native model is kept beside the exported one for one purpose: ``evaluate`` compares the two on
real rows. It never leaves the run's folder.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from components import estimators, parts, transform
from components.documents import (
    NATIVE_FILE,
    PREPROCESSING,
    TRAINING,
    Preprocessing,
    Training,
    Tuning,
    read,
    write,
)
from components.train.export import OUTPUTS, export, signature
from components.tune.step import selected
from contracts.artifact import MODEL_FILE, TrainingData
from contracts.model import ModelSpec


def train(
    data: Path, selection: Path, tuning: Path, spec: ModelSpec, destination: Path
) -> Training:
    """Fit on the training part and export to ONNX.

    Args:
        data: the folder that ``preprocess`` wrote.
        selection: the document that ``select`` wrote.
        tuning: the document that ``tune`` wrote.
        spec: the estimator and the preprocessing.
        destination: a folder; gets ``model.onnx``, ``model.joblib`` and ``training.json``.
    """
    features = selected(data, selection)
    given = estimators.parameters(spec.estimator, read(Tuning, tuning).best)
    names = [feature.name for feature in features]
    frame = parts.load(data, "train", [parts.KEY, parts.TIME, parts.LABEL, *names])
    model = Pipeline(
        [
            ("preprocess", transform.transformer(features, spec.preprocess)),
            ("estimator", estimators.make(spec.estimator, given)),
        ]
    )
    started = time.perf_counter()
    model.fit(parts.inputs(frame, features), parts.label(frame))
    fit_seconds = time.perf_counter() - started
    inputs = signature(features)
    onnx = export(model, inputs, spec.task)
    known = read(Preprocessing, data / PREPROCESSING)
    unused = [feature for feature in known.features if feature.name not in names]
    destination.mkdir(parents=True, exist_ok=True)
    (destination / MODEL_FILE).write_bytes(onnx)
    joblib.dump(model, destination / NATIVE_FILE)
    part = known.parts["train"]
    report = Training(
        parameters=given,
        inputs=inputs + signature(unused, used=False),
        outputs=OUTPUTS[spec.task],
        features=tuple(names),
        trained_on=TrainingData(
            dataset=spec.source.dataset,
            start=part.start,
            end=part.end,
            rows=part.rows,
            fingerprint=fingerprint(frame),
        ),
        digest=hashlib.sha256(onnx).hexdigest(),
        onnx_bytes=len(onnx),
        fit_seconds=fit_seconds,
    )
    write(report, destination / TRAINING)
    return report


def fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 over the rows, column by column: the same rows in the same order give the same
    text, whatever wrote the file."""
    digest = hashlib.sha256()
    for name in sorted(frame.columns):
        digest.update(name.encode() + b"\0")
        column = frame[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            digest.update(pd.DatetimeIndex(column).as_unit("us").asi8.tobytes())
        elif pd.api.types.is_numeric_dtype(column):
            numbers = column.to_numpy(np.float64, copy=True)
            numbers[np.isnan(numbers)] = np.nan  # one bit pattern for every missing value
            digest.update((numbers + 0.0).tobytes())
        else:
            texts = column.astype(object).where(column.notna(), "\1")
            digest.update("\0".join(texts).encode())
    return digest.hexdigest()
