"""What the training steps tell each other: one document a step, kept with the run.

The steps run as separate processes, in a cluster on separate machines. Everything that a later
step or a person may ask ("how many rows had no label?", "what did the fourth trial score?") is in
the document of the step that knew it, so that a run can be explained after it has ended.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from contracts.artifact import Interval, Tensor, TrainingData
from contracts.document import AnyDocument, Document
from contracts.errors import DocumentError, PipelineError
from data.files import write_whole

PartName = Literal["train", "validate", "test"]
PART_NAMES: tuple[PartName, ...] = ("train", "validate", "test")

PREPROCESSING = "preprocessing.json"
TRAINING = "training.json"
NATIVE_FILE = "model.joblib"
"""File names inside the folders that ``preprocess`` and ``train`` write; here, because the steps
that read them should not have to import what writing them takes."""

Scalar = str | int | float | bool | None


def write(document: Document, path: Path) -> None:
    """Write a document as JSON, whole or not at all."""
    write_whole(path, document.model_dump_json(indent=2, by_alias=True))


def read(kind: type[AnyDocument], path: Path) -> AnyDocument:
    """Read a document that a step wrote.

    Raises:
        PipelineError: the step before has not written it.
        DocumentError: it is not this kind of document.
    """
    if not path.is_file():
        raise PipelineError(
            f"there is no {kind.__name__} document",
            where=str(path),
            fix="the step that writes it has not finished: run the pipeline again",
        )
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DocumentError(f"cannot be read: {error}", where=str(path)) from None
    return kind.parse(value, where=str(path))


class Part(Document):
    """One part of the split."""

    rows: int
    """Rows that the model learns from or is judged on."""
    unlabelled: int
    """Rows left out because their outcome is not known."""
    refused: int = 0
    """Rows left out because the model fails on one of their categories (``unknown: error``)."""
    start: datetime
    end: datetime
    """The last row's time."""
    label_mean: float
    """The share of positive rows; for regression the mean."""


class Learned(Document):
    """What preprocessing learned about one feature from the training rows alone."""

    name: str
    kind: Literal["numeric", "categorical"]
    missing: float
    """The share of training rows without a value."""
    minimum: float | None = None
    maximum: float | None = None
    fill: float | None = None
    """What stands in for a missing number."""
    center: float | None = None
    scale: float | None = None
    """A number x becomes (x - center) / scale."""
    quantiles: tuple[float, ...] = ()
    """Of the numbers that there are: 21, at 0, 5, 10, … 100 %."""
    mean: float | None = None
    """Of the numbers that there are."""
    shares: tuple[float, ...] = ()
    """The share of training rows that have each of the categories."""
    categories: tuple[str, ...] | None = None
    """The categories that are common enough; an empty text is a missing value."""
    rare: int = 0
    """How many categories were too rare, and are treated as one."""
    rare_rows: float = 0.0
    """The share of training rows that have one of them."""


class Dropped(Document):
    """A feature that cannot be used, and why."""

    name: str
    reason: str


class Preprocessing(Document):
    """What ``preprocess`` did."""

    parts: dict[PartName, Part]
    outside: int
    """Rows before the split's start or after the end of its test part."""
    features: tuple[Learned, ...]
    dropped: tuple[Dropped, ...] = ()
    slices: tuple[str, ...] = ()
    columns: int
    """How many columns the estimator would see if every feature were kept."""
    warnings: tuple[str, ...] = ()
    """What was left out, filled in or says nothing, a sentence each."""


class Ranked(Document):
    """A feature's score in the ranking."""

    name: str
    score: float | None
    """Mutual information with the label in nats; none where features are not ranked."""
    kept: bool


class Selection(Document):
    """What ``select`` decided, best first."""

    method: str
    ranking: tuple[Ranked, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of the features that the model uses."""
        return tuple(feature.name for feature in self.ranking if feature.kept)


class Trial(Document):
    """One combination of parameters."""

    number: int
    parameters: dict[str, Scalar]
    score: float | None
    """The metric on the validation data; none where the estimator refused the parameters."""
    seconds: float
    error: str = ""


class Tuning(Document):
    """What ``tune`` tried, and the best of it."""

    metric: str
    sampler: str
    trials: tuple[Trial, ...]
    best: dict[str, Scalar]
    """The best trial's parameters; empty when there was nothing to tune."""


class Training(Document):
    """What ``train`` made."""

    parameters: dict[str, Scalar]
    """All that the estimator was given."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[str, ...]
    trained_on: TrainingData
    digest: str
    """SHA-256 of ``model.onnx``."""
    onnx_bytes: int
    fit_seconds: float
    importance: dict[str, float] = Field(default_factory=dict)
    """By feature, how much the estimator uses it by its library's own account, as shares of 1;
    empty where the library has none."""


class GateResult(Document):
    """One gate, judged."""

    name: str
    gate: str
    """As a person wrote it, such as ``>= 0.68``."""
    value: float
    """What was judged: the metric, or for the gain the lower end of its interval."""
    limit: float
    margin: float
    """By how much it passed; below 0, by how much it failed."""
    passed: bool
    advice: str = ""
    """Why it is judged and how to ask otherwise, for a gate that the document does not have."""

    def sentence(self) -> str:
        """As it is said to a person."""
        verdict = "passed" if self.passed else "failed"
        limit = f"{self.gate} ({self.limit:.4g})" if "prior" in self.gate else self.gate
        return (
            f"{self.name} is {self.value:.4g}, must be {limit}: {verdict} by {abs(self.margin):.4g}"
        )


class BestFeature(Document):
    """The best that one feature alone can do, and what the model adds to it."""

    name: str
    metric: str
    score: Interval
    gain: Interval
    """The model's metric minus the feature's, with a paired day-block bootstrap interval."""


class CalibrationBin(Document):
    """Rows with similar predictions: what was predicted, and what came."""

    predicted: float
    observed: float
    rows: int


class CurvePoint(Document):
    """A point of the ROC curve."""

    false_positive_rate: float
    true_positive_rate: float


class SliceScore(Document):
    """The metrics on one part of the test data."""

    column: str
    value: str
    rows: int
    label_mean: float
    predicted_mean: float
    metrics: dict[str, float]


class Importance(Document):
    """How much worse the main metric gets when a feature's values are shuffled."""

    name: str
    drop: float


class Evaluation(Document):
    """What ``evaluate`` measured on the test data."""

    rows: int
    days: int
    """Blocks of the bootstrap."""
    start: datetime
    end: datetime
    main_metric: str
    metrics: dict[str, Interval]
    prior: dict[str, float]
    """The same metrics of always predicting the training data's mean label."""
    onnx_parity: float
    """The largest difference between the exported and the native model's predictions."""
    best_feature: BestFeature
    gates: tuple[GateResult, ...]
    calibration: tuple[CalibrationBin, ...] = ()
    roc: tuple[CurvePoint, ...] = ()
    slices: tuple[SliceScore, ...] = ()
    importance: tuple[Importance, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the model does not see of its data, here and in the steps before, a sentence each."""

    @property
    def accepted(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)


class Registration(Document):
    """What ``register`` registered."""

    name: str
    version: str
    uri: str
    """The artifact's folder."""
    run_id: str
    """The tracking server's run."""
    alias: str = "candidate"
    new: bool = True
    """False where the registry had this very model, with these metrics, as that version already."""
