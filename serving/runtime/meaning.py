"""What a model's outputs mean: scores, predictions, and which of them were wrong.

What a prediction *is* (a class above a threshold, or a number) is decided here once, from the
artifact's interpretation alone, because the answer's label, the feedback and the histogram of
predictions must all speak of the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from contracts.artifact import Artifact
from serving.runtime.binary import Array
from serving.runtime.refusal import Refusal, shown

_PROBABILITY_BOUNDS = tuple(tenth / 10 for tenth in range(1, 11))
_NUMBER_BOUNDS = (-1e6, -1e4, -100.0, -10.0, -1.0, 0.0, 1.0, 10.0, 100.0, 1e4, 1e6)


class Meaning:
    """The meaning of one artifact's outputs.

    Args:
        artifact: its document.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._interpretation = artifact.interpretation
        self._classification = artifact.task == "classification"
        self._score = artifact.score
        self._label = artifact.label
        self._binary = self._classification and bool(self._score and self._score.shape[-1] == 2)
        self._classes = artifact.interpretation.classes or ((0, 1) if self._binary else ())
        column = artifact.interpretation.positive_column % 2
        self.column = column
        """Of two classes' probabilities, the one that is the score."""
        if self._binary:
            self._positive, self._negative = self._classes[column], self._classes[1 - column]
        self.bounds = self._bounds()

    def of(self, results: Mapping[str, Array]) -> tuple[Sequence[float], Sequence[Any]]:
        """The score, and the predicted class or number, of each row."""
        scores = results[self._score.name] if self._score else None
        if not self._classification:
            numbers = [] if scores is None else scores.ravel().tolist()
            return numbers, numbers
        if scores is not None and self._binary:
            values = scores[:, self.column].tolist()
            threshold, yes, no = self._interpretation.threshold, self._positive, self._negative
            return values, [yes if score >= threshold else no for score in values]
        return ([] if scores is None else scores.max(axis=-1).tolist()), self._labels(
            results, scores
        )

    def relabel(self, results: dict[str, Array], predicted: Sequence[Any]) -> None:
        """Of two classes, let the answer's label be what was predicted: the exported model knows
        no threshold."""
        if not self._binary or self._label is None:
            return
        if (self._label.datatype == "BYTES") is isinstance(self._positive, str):
            label = results[self._label.name]
            results[self._label.name] = np.array(predicted, label.dtype)

    def is_wrong(self, predicted: object, outcome: object) -> bool:
        """Whether the outcome shows that the prediction was wrong.

        Raises:
            Refusal: the outcome is not of the kind that the model predicts.
        """
        if not self._classification:
            return self._is_far(predicted, outcome)
        if isinstance(outcome, str) != isinstance(predicted, str) or not isinstance(
            outcome, (bool, int, float, str)
        ):
            kind = "a label's text" if isinstance(predicted, str) else "true, false or a class"
            raise Refusal(400, f"outcome {shown(outcome)} is not a class; expected {kind}")
        return predicted != outcome

    def _is_far(self, predicted: object, outcome: object) -> bool:
        """Whether a number is farther from what came true than is tolerated."""
        tolerance = self._interpretation.tolerance
        if tolerance is None:
            raise Refusal(
                400,
                "this regression model's artifact has no tolerance; feedback needs it to say which "
                "predictions were wrong",
                fix="write feedback: {tolerance: …} in model.yaml, and train a new version",
            )
        if isinstance(outcome, bool) or not isinstance(outcome, (int, float)):
            raise Refusal(400, f"outcome {shown(outcome)} is not a number")
        assert isinstance(predicted, (int, float))
        return abs(predicted - outcome) > tolerance.allowed(outcome)

    def _labels(self, results: Mapping[str, Array], scores: Array | None) -> Sequence[Any]:
        """The class of each row, as the model says it or by its largest probability."""
        if self._label is not None:
            labels: list[Any] = results[self._label.name].tolist()
            return labels
        columns: list[int] = [] if scores is None else scores.argmax(axis=-1).ravel().tolist()
        return [self._classes[column] for column in columns] if self._classes else columns

    def _bounds(self) -> tuple[float, ...]:
        """The histogram's edges: tenths of a probability, or of the range seen in training."""
        if self._classification:
            return _PROBABILITY_BOUNDS
        tensor = self._score
        if tensor and tensor.minimum is not None and tensor.maximum is not None:
            low, width = tensor.minimum, tensor.maximum - tensor.minimum
            return tuple(low + width * tenth / 10 for tenth in range(11))
        return _NUMBER_BOUNDS
