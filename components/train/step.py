"""Fit the estimator with the chosen parameters, and export all of it, preprocessing included.

The native model is kept beside the exported one for one purpose: ``evaluate`` compares the two on
real rows. It never leaves the run's folder.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from components import native, parts, transform
from components.documents import (
    NATIVE_FILE,
    PREPROCESSING,
    TRAINING,
    Learned,
    Preprocessing,
    Training,
    Tuning,
    read,
    write,
)
from components.libraries import registry
from components.libraries.check import first_line
from components.libraries.library import OUTPUTS, Floats, Rows
from components.native import NativeModel
from components.train.export import export, signature
from components.tune.step import selected
from contracts.artifact import MODEL_FILE, Tensor, TrainingData
from contracts.errors import PipelineError
from contracts.model import ModelSpec
from data.files import whole, write_whole


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
    library = registry.find(spec.estimator.library)
    given = native.parameters(library, spec.estimator, read(Tuning, tuning).best)
    estimator = native.make(library, spec.estimator, given)
    names = [feature.name for feature in features]
    frame = parts.load(data, "train", [parts.KEY, parts.TIME, parts.LABEL, *names])
    transformer = transform.transformer(features, spec.preprocess)
    started = time.perf_counter()
    columns = native.matrix(transformer.fit_transform(parts.inputs(frame, features)))
    rows = Rows(columns, parts.label(frame))
    validate = validation(data, features, transformer) if library.validates(given) else None
    try:
        fitted = library.fit(estimator, rows, validate)
    except Exception as error:  # any library's any refusal becomes a sentence
        raise PipelineError(
            f"{spec.estimator.class_} cannot learn from these rows: {first_line(error)}",
            where="estimator.params",
        ) from error
    fit_seconds = time.perf_counter() - started
    model = NativeModel(library.name, spec.task, transformer, fitted)
    inputs = signature(features)
    onnx = exported(model, inputs, columns.shape[1], spec.estimator.class_)
    known = read(Preprocessing, data / PREPROCESSING)
    unused = [feature for feature in known.features if feature.name not in names]
    destination.mkdir(parents=True, exist_ok=True)
    write_whole(destination / MODEL_FILE, onnx)
    with whole(destination / NATIVE_FILE) as temporary:
        joblib.dump(model, temporary)
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
        importance=importance(
            library.importance(fitted), transform.column_features(features, spec.preprocess)
        ),
    )
    write(report, destination / TRAINING)
    return report


def validation(data: Path, features: Sequence[Learned], transformer: Any) -> Rows:
    """The validation part as the estimator sees it."""
    frame = parts.load(data, "validate", [parts.LABEL, *(feature.name for feature in features)])
    columns = native.matrix(transformer.transform(parts.inputs(frame, features)))
    return Rows(columns, parts.label(frame))


def exported(model: NativeModel, inputs: Sequence[Tensor], columns: int, name: str) -> bytes:
    """The model as ONNX.

    Raises:
        PipelineError: its library cannot export it.
    """
    try:
        return export(model, inputs, columns)
    except ValueError as error:
        raise PipelineError(
            f"{name} cannot be exported: {error}", where="estimator.params"
        ) from error


def importance(columns: Floats | None, features: Sequence[str]) -> dict[str, float]:
    """Each feature's share of what the estimator uses, most first."""
    if columns is None or len(columns) != len(features) or not columns.sum() > 0:
        return {}
    sums: dict[str, float] = dict.fromkeys(features, 0.0)
    for name, share in zip(features, columns / columns.sum(), strict=True):
        sums[name] += float(share)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


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
