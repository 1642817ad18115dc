"""The preprocessing inside the model: what it learns, and the same arithmetic when exported.

The transformer is part of the exported model, so a client sends raw features and no server
reimplements a mean. Two traps decide its form. Rare categories are grouped by listing the ones to
keep (scikit-learn's own grouping exports to a graph that fails at run time). And scaling is done
in 32-bit arithmetic in the very order of ONNX's Scaler: a tree's threshold is one of the training
values, so that a last-bit difference would send every row with that value down the other branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from components import parts
from components.documents import Learned
from contracts.model import CategoricalPreprocessing, NumericPreprocessing, Preprocess

Matrix = npt.NDArray[np.float32]


class ExactScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre and scale, to the last bit as the exported model does.

    Args:
        method: "standard" (mean and standard deviation), or "robust" (median and the range
            between the quartiles).
    """

    def __init__(self, method: str = "standard") -> None:
        self.method = method

    def fit(self, rows: Matrix, label: object = None) -> Self:
        """Learn centre and scale of each column; a constant column is only centred."""
        numbers = np.asarray(rows, np.float64)
        if self.method == "standard":
            center, spread = numbers.mean(0), numbers.std(0)
        else:
            low, center, high = np.percentile(numbers, [25, 50, 75], axis=0)
            spread = high - low
        self.center_ = center.astype(np.float32)
        self.factor_ = (1 / np.where(spread > 0, spread, 1)).astype(np.float32)
        self.n_features_in_ = numbers.shape[1]
        return self

    def transform(self, rows: Matrix) -> Matrix:
        """``(x - centre) * factor`` in 32 bits: ONNX's Scaler."""
        result: Matrix = (np.asarray(rows, np.float32) - self.center_) * self.factor_
        return result


def numeric(spec: NumericPreprocessing) -> Pipeline:
    """Impute, then scale."""
    strategy = {"zero": "constant"}.get(spec.impute, spec.impute)
    steps: list[tuple[str, Any]] = [("impute", SimpleImputer(strategy=strategy, fill_value=0.0))]
    if spec.scale != "none":
        steps.append(("scale", ExactScaler(spec.scale)))
    return Pipeline(steps)


def categorical(
    features: Sequence[Learned], spec: CategoricalPreprocessing
) -> OneHotEncoder | OrdinalEncoder:
    """Encode the common categories; every other text is *rare* (all zeros, or -1) or an error."""
    kept = [np.array(feature.categories, dtype=object) for feature in features]
    if spec.encode == "onehot":
        handling = "error" if spec.unknown == "error" else "ignore"
        return OneHotEncoder(
            categories=kept, handle_unknown=handling, sparse_output=False, dtype=np.float32
        )
    if spec.unknown == "error":
        return OrdinalEncoder(categories=kept, handle_unknown="error", dtype=np.float32)
    return OrdinalEncoder(
        categories=kept,
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        dtype=np.float32,
    )


def transformer(features: Sequence[Learned], spec: Preprocess) -> ColumnTransformer:
    """The unfitted transformer of these features, numbers first."""
    numbers = [feature for feature in features if feature.kind == "numeric"]
    texts = [feature for feature in features if feature.kind == "categorical"]
    groups: list[tuple[str, Any, list[str]]] = []
    if numbers:
        groups.append(("numeric", numeric(spec.numeric), [feature.name for feature in numbers]))
    if texts:
        encoder = categorical(texts, spec.categorical)
        groups.append(("categorical", encoder, [feature.name for feature in texts]))
    return ColumnTransformer(groups, sparse_threshold=0)


def column_features(features: Sequence[Learned], spec: Preprocess) -> list[str]:
    """The feature that each column is made of, in the transformer's order."""
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    texts = [feature for feature in features if feature.kind == "categorical"]
    onehot = spec.categorical.encode == "onehot"
    return numbers + [
        feature.name
        for feature in texts
        for _ in range(len(feature.categories or ()) if onehot else 1)
    ]


def describe(
    train: pd.DataFrame, features: Sequence[Learned], spec: Preprocess
) -> tuple[tuple[Learned, ...], int]:
    """Fit on the training rows, and write down what was learned.

    Returns:
        The features with what fills, centres and scales them, and how many columns come out.
    """
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    learned: dict[str, dict[str, float]] = {name: {} for name in numbers}
    if numbers:
        numeric_features = [feature for feature in features if feature.kind == "numeric"]
        pipeline = numeric(spec.numeric).fit(parts.inputs(train, numeric_features))
        scaler = pipeline.named_steps.get("scale")
        for index, name in enumerate(numbers):
            learned[name]["fill"] = float(pipeline.named_steps["impute"].statistics_[index])
            if scaler is not None:
                learned[name]["center"] = float(scaler.center_[index])
                learned[name]["scale"] = float(1 / scaler.factor_[index])
    described = tuple(
        feature.model_copy(update=learned.get(feature.name, {})) for feature in features
    )
    return described, len(column_features(features, spec))
