"""Making estimators by name, and asking them for predictions in one form."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.documents import Scalar
from contracts.errors import DocumentError
from contracts.model import Estimator, Task

MODULES = {
    "XGBClassifier": "xgboost",
    "XGBRegressor": "xgboost",
    "LogisticRegression": "sklearn.linear_model",
    "Ridge": "sklearn.linear_model",
    "RandomForestClassifier": "sklearn.ensemble",
    "RandomForestRegressor": "sklearn.ensemble",
    "GradientBoostingClassifier": "sklearn.ensemble",
    "GradientBoostingRegressor": "sklearn.ensemble",
}
SEED = 0


def parameters(spec: Estimator, tuned: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """All that the estimator is given: the document's parameters, the tuned ones over them, and a
    seed so that the same data gives the same model."""
    return {"random_state": SEED, **spec.params, **tuned}


def make(spec: Estimator, given: Mapping[str, Scalar]) -> Any:
    """The estimator, unfitted.

    Raises:
        DocumentError: it does not take one of the parameters.
    """
    kind = getattr(importlib.import_module(MODULES[spec.class_]), spec.class_)
    known = names(kind)
    for name in given:
        if name not in known:
            raise DocumentError(
                f"{spec.class_} takes no parameter {name!r}",
                where="estimator.params",
                fix=f"its parameters are {', '.join(sorted(known))}",
            )
    return kind(**given)


def names(kind: type) -> set[str]:
    """The parameters of an estimator's class and of those it builds on."""
    found: set[str] = set()
    for owner in kind.__mro__:
        initializer = vars(owner).get("__init__")
        if inspect.isfunction(initializer):
            found |= set(inspect.signature(initializer).parameters)
    return found - {"self", "kwargs", "args"}


def predict(model: Any, rows: Any, task: Task) -> npt.NDArray[np.float64]:
    """The probability of the label 1, or the predicted number, of each row."""
    if task == "classification":
        return np.asarray(model.predict_proba(rows)[:, 1], np.float64)
    return np.asarray(model.predict(rows), np.float64).ravel()
