"""Whether an exported model is the model: it is asked beside the one it was made from.

What serves is the export; what was tuned, and what its metrics are believed of, is the native
model. A converter that leaves out a link function or a weight makes another model that still
answers, so that nothing but a comparison finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.libraries.library import Floats
from contracts.artifact import Tensor

BATCH = 8192
TOLERATED = 1e-4
"""How far an exported model may be from the native one, as a share of the largest prediction; what
32-bit arithmetic costs is some hundred times less."""


class Exported:
    """An ONNX model that takes a frame of raw features.

    Args:
        model: the file's path, or its bytes.
        inputs: the tensors that it reads.
    """

    def __init__(self, model: Path | bytes, inputs: Sequence[Tensor]) -> None:
        import onnxruntime

        self.inputs = inputs
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.output = self.session.get_outputs()[-1].name

    def predict(self, rows: pd.DataFrame) -> Floats:
        """The probabilities of each class, or the number: rows by k."""
        batches = [
            self.session.run([self.output], self.feed(rows.iloc[start : start + BATCH]))[0]
            for start in range(0, len(rows), BATCH)
        ]
        return np.concatenate(batches).astype(np.float64)

    def feed(self, rows: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
        """One tensor of shape (rows, 1) a feature."""
        return {
            tensor.name: rows[tensor.name]
            .to_numpy(np.float32 if tensor.datatype == "FP32" else object)
            .reshape(-1, 1)
            for tensor in self.inputs
        }


def difference(native: Floats, exported: Floats) -> float:
    """The largest difference between two models' predictions of the same rows; infinite where one
    has no number, or another number of columns."""
    if native.shape != exported.shape:
        return np.inf
    apart = np.abs(native - exported)
    return float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0))


def tolerated(native: Floats) -> float:
    """The largest difference that makes no other model, by the size of the predictions."""
    sizes = np.abs(native[np.isfinite(native)])
    return TOLERATED * float(sizes.max(initial=0.0))
