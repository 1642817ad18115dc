"""A model as its library fitted it: kept with the run to be compared with what was exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from components.documents import Scalar
from components.libraries import registry
from components.libraries.library import Floats, Library, Matrix, Parameters
from contracts.document import suggest
from contracts.errors import DocumentError
from contracts.model import Estimator, Task

SEED = 0


@dataclass(frozen=True)
class NativeModel:
    """Preprocessing and estimator, both fitted."""

    library: str
    task: Task
    transformer: Any
    estimator: Any

    def predict(self, rows: pd.DataFrame) -> Floats:
        """The probabilities of each class, or the number: rows by k."""
        columns = matrix(self.transformer.transform(rows))
        return registry.find(self.library).predict(self.estimator, columns, self.task)


def matrix(columns: Any) -> Matrix:
    """What preprocessing gave, as estimators take it."""
    return np.ascontiguousarray(columns, np.float32)


def parameters(library: Library, spec: Estimator, tuned: Parameters) -> dict[str, Scalar]:
    """All that the estimator is given: the document's parameters, the tuned ones over them, and a
    seed where it takes one, so that the same data gives the same model."""
    given = {**spec.params, **tuned}
    if library.seed in library.parameters(library.estimators[spec.class_], given):
        given = {library.seed: SEED, **given}
    return given


def make(library: Library, spec: Estimator, given: Parameters) -> Any:
    """The estimator, unfitted.

    Raises:
        DocumentError: it does not take one of the parameters.
    """
    algorithm = library.estimators[spec.class_]
    known = sorted(library.parameters(algorithm, given))
    for name in given:
        if name not in known:
            raise DocumentError(
                f"{spec.class_} takes no parameter {name!r}",
                where="estimator.params",
                fix=suggest(name, known),
            )
    return library.make(algorithm, given)
