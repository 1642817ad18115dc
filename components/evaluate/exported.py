"""Predictions of the exported model: what will serve is what is judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd

from contracts.artifact import Tensor

BATCH = 8192


class Exported:
    """An ONNX model that takes a frame of raw features."""

    def __init__(self, path: Path, inputs: Sequence[Tensor]) -> None:
        self.inputs = inputs
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.output = self.session.get_outputs()[-1].name

    def predict(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """The probability of the label 1, or the predicted number, of each row."""
        batches = [
            self.session.run([self.output], self.feed(rows.iloc[start : start + BATCH]))[0]
            for start in range(0, len(rows), BATCH)
        ]
        return np.concatenate(batches)[:, -1].astype(np.float64)

    def feed(self, rows: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
        """One tensor of shape (rows, 1) a feature."""
        return {
            tensor.name: rows[tensor.name]
            .to_numpy(np.float32 if tensor.datatype == "FP32" else object)
            .reshape(-1, 1)
            for tensor in self.inputs
        }
