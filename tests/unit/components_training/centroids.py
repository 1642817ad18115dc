"""Somebody else's library: the nearer of two centroids, in numpy. A module, and a line to add it.

It has nothing of scikit-learn's ways but what it says here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from components.libraries.forest import value_info
from components.libraries.library import (
    COLUMNS,
    OUTPUTS,
    Floats,
    Library,
    Matrix,
    Rows,
    algorithms,
)
from contracts.artifact import Tensor
from contracts.model import Task


class Centroids:
    """Not yet fitted."""

    def __init__(self, *, sharpness: float = 1.0) -> None:
        if sharpness <= 0:
            raise ValueError(f"sharpness is {sharpness}; it must be above 0")
        self.sharpness = sharpness


@dataclass(frozen=True)
class Fitted:
    """The log-odds are linear: twice the difference of the centroids, and its place."""

    weight: Floats
    bias: float


def fit(estimator: Centroids, train: Rows, validate: Rows | None) -> Fitted:
    no, yes = (train.columns[train.label == level].mean(0) for level in (0, 1))
    weight = 2 * estimator.sharpness * (yes - no)
    return Fitted(weight.astype(np.float64), float(-weight @ (yes + no) / 2))


def predict(fitted: Fitted, columns: Matrix, task: Task) -> Floats:
    yes = 1 / (1 + np.exp(-(columns @ fitted.weight + fitted.bias)))
    return np.stack([1 - yes, yes], axis=1)


def export(fitted: Fitted, columns: int, task: Task) -> ModelProto:
    label, probabilities = OUTPUTS[task]
    constants = {
        "weight": fitted.weight[:, None].astype(np.float32),
        "bias": np.array([fitted.bias], np.float32),
        "one": np.array([1], np.float32),
    }
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("MatMul", [COLUMNS, "weight"], "product", {}),
        ("Add", ["product", "bias"], "odds", {}),
        ("Sigmoid", ["odds"], "yes", {}),
        ("Sub", ["one", "yes"], "no", {}),
        ("Concat", ["no", "yes"], probabilities.name, {"axis": 1}),
        ("ArgMax", [probabilities.name], label.name, {"axis": 1, "keepdims": 0}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, given, [made], **more) for kind, given, made, more in steps],
        "centroids",
        [value_info(Tensor(name=COLUMNS, datatype="FP32", shape=(-1, columns)))],
        [value_info(tensor) for tensor in OUTPUTS[task]],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def importance(fitted: Fitted) -> Any:
    return np.abs(fitted.weight)


LIBRARY = Library(
    name="centroids",
    packages=("numpy",),
    install="pip install numpy",
    estimators=algorithms("classification", f"{__name__}.Centroids"),
    fit=fit,
    predict=predict,
    importance=importance,
    export=export,
    brief={},
)
