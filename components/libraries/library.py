"""The record that a library is, and the ways of scikit-learn that most libraries share."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from components.documents import Scalar
from contracts.artifact import Tensor
from contracts.model import Task

if TYPE_CHECKING:
    from onnx import ModelProto

Matrix = npt.NDArray[np.float32]
"""Rows by columns, as preprocessing gives them: no value is missing."""
Floats = npt.NDArray[np.float64]
Parameters = Mapping[str, Scalar]
Made = TypeVar("Made")

COLUMNS = "__columns"
"""The input of an exported estimator: a matrix of 32-bit numbers, rows by columns."""
OUTPUTS: dict[Task, tuple[Tensor, ...]] = {
    "classification": (
        Tensor(name="label", datatype="INT64", shape=(-1,)),
        Tensor(name="probabilities", datatype="FP32", shape=(-1, 2)),
    ),
    "regression": (Tensor(name="prediction", datatype="FP32", shape=(-1, 1)),),
}
"""The outputs of an exported estimator, and so of the model."""


@dataclass(frozen=True)
class Rows:
    """What an estimator learns from or is compared on."""

    columns: Matrix
    label: Floats
    """0 or 1 for classification."""
    forms: dict[Hashable, object] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """The rows in a library's own form, made at the first call with that key: all trials of a
        search share it."""
        if key not in self.forms:
            self.forms[key] = make()
        return cast("Made", self.forms[key])


@dataclass(frozen=True)
class Algorithm:
    """One estimator of a library."""

    task: Task
    path: str
    """Its class, dotted, imported when it is made."""

    @property
    def name(self) -> str:
        """As `model.yaml` names it."""
        return self.path.rpartition(".")[2]

    def load(self) -> Any:
        """The class."""
        module, _, name = self.path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def algorithms(task: Task, *paths: str) -> dict[str, Algorithm]:
    """Estimators of one task by their names."""
    listed = (Algorithm(task, path) for path in paths)
    return {algorithm.name: algorithm for algorithm in listed}


def make(algorithm: Algorithm, parameters: Parameters) -> Any:
    """An estimator, unfitted: its class called with the parameters."""
    return algorithm.load()(**parameters)


def signature_names(algorithm: Algorithm, parameters: Parameters) -> Collection[str]:
    """The parameters that an estimator's class, and those it builds on, name."""
    names: set[str] = set()
    for owner in algorithm.load().__mro__:
        initializer = vars(owner).get("__init__")
        if inspect.isfunction(initializer):
            names |= set(inspect.signature(initializer).parameters)
    return names - {"self", "kwargs", "args"}


def fit(estimator: Any, train: Rows, validate: Rows | None) -> Any:
    """``estimator.fit``, as scikit-learn has it."""
    return estimator.fit(train.columns, train.label)


def predict(estimator: Any, columns: Matrix, task: Task) -> Floats:
    """``predict_proba`` or ``predict``, as scikit-learn has them."""
    if task == "classification":
        return np.asarray(estimator.predict_proba(columns), np.float64)
    return np.asarray(estimator.predict(columns), np.float64).reshape(len(columns), -1)


def importance(estimator: Any) -> Floats | None:
    """``feature_importances_``, or the sizes of the coefficients."""
    for name in ("feature_importances_", "coef_"):
        values = getattr(estimator, name, None)
        if values is not None:
            sizes: Floats = np.abs(np.atleast_2d(np.asarray(values, np.float64))).sum(0)
            return sizes
    return None


@dataclass(frozen=True, kw_only=True)
class Library:
    """One learning library; functions that are left out do as scikit-learn does.

    A fitted estimator is whatever ``fit`` gives: the others take it. It must survive ``pickle``,
    because evaluation asks it for comparison with its export.
    """

    name: str
    """As `model.yaml` names it."""
    estimators: Mapping[str, Algorithm]
    """By name."""
    packages: tuple[str, ...]
    """What it imports."""
    install: str
    """How to install them."""

    export: Callable[[Any, int, Task], ModelProto]
    """(fitted, columns, task) -> a graph from ``COLUMNS`` to the task's outputs."""
    parameters: Callable[[Algorithm, Parameters], Collection[str]] = signature_names
    """The names of all parameters that an estimator takes beside these."""
    make: Callable[[Algorithm, Parameters], Any] = make
    """An estimator, unfitted."""
    fit: Callable[[Any, Rows, Rows | None], Any] = fit
    """(estimator, training rows, validation rows) -> fitted. The validation rows are given where
    ``validates`` says so."""
    predict: Callable[[Any, Matrix, Task], Floats] = predict
    """What the library itself predicts: probabilities of each class, or the number; rows by k."""
    importance: Callable[[Any], Floats | None] = importance
    """How much the fitted estimator uses each column; none where the library cannot say."""
    validates: Callable[[Parameters], bool] = lambda parameters: False
    """Whether an estimator with these parameters looks at the validation rows while it learns."""
    brief: Parameters = field(default_factory=lambda: {"n_estimators": 5})
    """Parameters that make learning brief, for the rehearsal before a run."""
    seed: str = "random_state"
    """The parameter that makes the same data give the same model."""

    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed here."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)
