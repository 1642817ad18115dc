"""``models/<name>/model.yaml``: what a model is, how it is trained, gated, served and rolled out.

One document a model, because a reviewer should see in one place what a version had to pass before
it could meet a user. Everything that can be known to be wrong without data is refused here,
before anything starts.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from contracts.artifact import ModelName, Tolerance
from contracts.backends import SELDON, known_backend
from contracts.document import Document, Duration, format_duration, suggest
from contracts.errors import DocumentError, UsageError
from contracts.rollout import RolloutSpec
from contracts.yaml_files import YamlFile

Task = Literal["classification", "regression"]

CLASSIFICATION_METRICS = (
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "accuracy",
    "calibration_error",
)
REGRESSION_METRICS = ("rmse", "mae", "r2")
METRICS: dict[Task, tuple[str, ...]] = {
    "classification": CLASSIFICATION_METRICS,
    "regression": REGRESSION_METRICS,
}
DERIVED_METRICS = ("gain_over_best_feature", "onnx_parity")
"""Metrics of the comparison with the best single feature and of the exported model."""

GATE = re.compile(r"^\s*(<=|>=|<|>)\s*(prior|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*$")


class Label(Document):
    """What is to be predicted, as an expression over the dataset's columns."""

    name: str
    """The label's column."""
    expression: str
    """An expression over the raw columns, such as ``arr_delay > 15``; null where it is unknown."""


class Source(Document):
    """Which rows the model learns from."""

    dataset: str
    """The dataset's name in the lake."""
    time: str
    """The column with the time at which the prediction is asked for."""
    entities: tuple[str, ...] = Field(min_length=1)
    """The columns that name what a row is about."""
    label: Label


def parse_day(value: object) -> object:
    """A day as YAML gives it (a date) or as text, YYYY-MM-DD."""
    if isinstance(value, datetime):
        raise ValueError(f"{value} is a time; write a day such as 2013-09-01")
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a day; write one such as 2013-09-01") from None


Day = Annotated[
    date,
    BeforeValidator(parse_day),
    PlainSerializer(lambda day: day.isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "format": "date"}),
]


class Period(Document):
    """One part of the data, by time."""

    until: Day
    """The first day that is no longer part of it."""


class Split(Document):
    """Training, validation and test data follow each other in time; they are never drawn at
    random."""

    start: Day | None = None
    """The first day of the training data; all there is when left out."""
    train: Period
    """The data the model learns from."""
    validate_: Period = Field(alias="validate")
    """The data that tuning compares on."""
    test: Period
    """The data that the gates judge on; nothing else looks at it."""

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """Each part must end after the one before it."""
        days = [
            ("start", self.start),
            ("train.until", self.train.until),
            ("validate.until", self.validate_.until),
            ("test.until", self.test.until),
        ]
        known = [(name, day) for name, day in days if day is not None]
        for (earlier, first), (later, second) in itertools.pairwise(known):
            if second <= first:
                raise ValueError(f"{later} ({second}) must be after {earlier} ({first})")
        return self


def a_hundredth(rows: int, least: int, most: int) -> int:
    """Of so many rows, within bounds: what is few grows with the data."""
    return min(most, max(least, rows // 100))


class NumericPreprocessing(Document):
    """How numbers are made ready."""

    impute: Literal["median", "mean", "zero"] = "median"
    """What stands in for a missing value."""
    scale: Literal["standard", "robust", "none"] = "standard"
    """How values are scaled; trees need none."""


class CategoricalPreprocessing(Document):
    """How text is made ready."""

    encode: Literal["onehot", "ordinal"] = "onehot"
    """How categories become numbers."""
    rare_below: int | None = Field(default=None, ge=0)
    """Categories seen fewer times than this in training are one category, *rare*. Left out: a
    hundredth of the training rows, at least 5 and at most 200."""
    unknown: Literal["rare", "error"] = "rare"
    """What a category is that training never saw: *rare*, or an error. With *error* the model also
    fails on a missing category, and rows with either are left out of what it learns from and is
    judged on; they are counted."""

    @model_validator(mode="after")
    def rare_is_known(self) -> Self:
        """Where unknown categories are errors there is no *rare* to put the rare ones in."""
        if self.unknown == "error" and self.rare_below:
            raise ValueError(
                "unknown: error needs rare_below: 0, or a rare category would be an error too"
            )
        return self

    def common_from(self, rows: int) -> int:
        """How many of so many training rows must have a category for it not to be rare."""
        if self.rare_below is not None:
            return max(1, self.rare_below)
        return 1 if self.unknown == "error" else a_hundredth(rows, 5, 200)


class Preprocess(Document):
    """What is done to features before the estimator; part of the exported model."""

    numeric: NumericPreprocessing = NumericPreprocessing()
    categorical: CategoricalPreprocessing = CategoricalPreprocessing()


class Select(Document):
    """Which features are kept."""

    method: Literal["mutual_information", "none"] = "mutual_information"
    """How features are ranked."""
    keep: int = Field(default=24, ge=1)
    """How many are kept, at most."""


Parameter = str | int | float | bool | None


class Estimator(Document):
    """The learning algorithm. Which there are is known to the libraries, and checked before a
    model is trained (`components.libraries`)."""

    library: str
    """The library that has it."""
    class_: str = Field(alias="class")
    """Its class in that library."""
    params: dict[str, Parameter] = Field(default_factory=dict)
    """Its parameters, by the library's own names."""


MOST = sys.float_info.max


class Range(Document):
    """A range of a parameter to search."""

    low: int | float
    high: int | float
    log: bool = False
    """Search on a logarithmic scale."""
    step: int | float | None = Field(default=None, gt=0)
    """The distance between neighbouring values; 1 for integers when left out."""

    @property
    def whole(self) -> bool:
        """Whether integers are meant: everything in it is written as one."""
        ends = (self.low, self.high, 1 if self.step is None else self.step)
        return all(isinstance(end, int) for end in ends)

    @model_validator(mode="after")
    def ordered(self) -> Self:
        """The range must be one, of finite numbers, and positive where it is logarithmic."""
        for name, end in (("low", self.low), ("high", self.high), ("step", self.step)):
            if end is not None and not -MOST <= end <= MOST:
                raise ValueError(f"{name} must be a finite number of 64 bits")
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low:g}) must be above 0 on a logarithmic scale")
        if self.log and self.step is not None:
            raise ValueError("a logarithmic range has no step")
        return self


class Choice(Document):
    """Values of a parameter to choose from."""

    choices: tuple[Parameter, ...] = Field(min_length=1)


def parse_space(value: object) -> object:
    """``[3, 8]`` is the integers from 3 to 8 when both are written as integers, otherwise a range
    of numbers."""
    if isinstance(value, (list, tuple)):
        if len(value) != 2 or not all(isinstance(end, (int, float)) for end in value):
            raise ValueError(f"{value!r} is not a range; write [low, high], or {{choices: [...]}}")
        return {"low": value[0], "high": value[1]}
    if isinstance(value, dict) and "choices" in value:
        return Choice.model_validate(value)
    return value


Space = Annotated[
    Range | Choice,
    BeforeValidator(parse_space, json_schema_input_type=Range | Choice | tuple[float, float]),
]


class Tune(Document):
    """The search for the estimator's parameters, judged on the validation data."""

    sampler: Literal["grid", "random", "tpe"] = "tpe"
    """How the next trial is chosen."""
    trials: int = Field(default=8, ge=1, le=1000)
    """How many combinations are tried, at most."""
    metric: str
    """The metric that is made best."""
    space: dict[str, Space] = Field(min_length=1)
    """What is searched: a range or choices for each parameter."""
    timeout: Duration | None = None
    """No trial starts after this long."""
    rows: int | None = Field(default=None, ge=100)
    """Trials learn from the latest this many training rows; all of them when left out. The model
    itself always learns from all."""
    seed: int = 0

    @model_validator(mode="after")
    def grid_is_finite(self) -> Self:
        """A grid needs a step or choices for each parameter."""
        if self.sampler == "grid":
            for name, space in self.space.items():
                if isinstance(space, Range) and space.step is None and not space.whole:
                    raise ValueError(
                        f"space.{name}: a grid needs a step or choices, or another sampler"
                    )
        return self


class Gate(Document):
    """What a metric must be for the model to be registered."""

    operator: Literal["<", "<=", ">", ">="]
    limit: Annotated[float, Field(allow_inf_nan=False)] | Literal["prior"]
    """A number, or the metric of always predicting the label's share in the training data."""

    def text(self) -> str:
        """As a person writes it."""
        return f"{self.operator} {self.limit if self.limit == 'prior' else format(self.limit, 'g')}"


def parse_gate(value: object) -> object:
    """``">= 0.68"`` or ``"< prior"``."""
    if isinstance(value, (Gate, dict)):
        return value
    written = GATE.match(str(value))
    if not written:
        raise ValueError(
            f'{value!r} is not a gate; write a comparison such as ">= 0.68" or "< prior"'
        )
    limit: float | str = written[2] if written[2] == "prior" else float(written[2])
    return {"operator": written[1], "limit": limit}


GateText = Annotated[
    Gate,
    BeforeValidator(parse_gate),
    PlainSerializer(lambda gate: gate.text(), return_type=str),
    WithJsonSchema({"type": "string", "pattern": GATE.pattern}),
]


class FeedbackSpec(Document):
    """When an outcome that comes back shows a prediction to have been right."""

    tolerance: Tolerance | None = None
    """For regression: how far the prediction may be off, as a number in the label's unit (15) or a
    share of what came true (10%)."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """For classification: the probability from which on a row is predicted to be positive; 0.5
    when left out."""


def whole_milliseconds(seconds: float) -> float:
    """Seconds that the server's timers can keep, which know whole milliseconds."""
    if seconds > 1 or not math.isclose(seconds * 1000, round(seconds * 1000), abs_tol=1e-9):
        raise ValueError(
            f"{format_duration(seconds)} is not a wait; write whole milliseconds, 1s at most"
        )
    return seconds


class Batch(Document):
    """Requests wait for others, and share one call of the model with them. Where its operators do
    not compute each row by itself (linear models, networks), the last bits of an answer then depend
    on how many rows shared the call."""

    max: int = Field(default=64, ge=1, le=4096)
    """Rows in one call at most; a request with more has a call of its own."""
    wait: Annotated[Duration, AfterValidator(whole_milliseconds)] = 0.002
    """How long a request waits for others, at most; ``0ms`` puts together those that are there at
    the same time."""


class ServingSpec(Document):
    """How one version of the model is served."""

    backend: Annotated[str, AfterValidator(known_backend)] = SELDON.name
    """The serving system of the cluster. A laptop always does as Seldon does."""
    replicas: int = Field(default=1, ge=1, le=100)
    """Model servers for each version."""
    cpu: str = Field(default="500m", pattern=r"^\d+(\.\d+)?m?$")
    """CPU request of one server, in Kubernetes' spelling."""
    memory: str = Field(default="512Mi", pattern=r"^\d+(\.\d+)?(Ki|Mi|Gi|K|M|G)?$")
    """Memory limit of one server, in Kubernetes' spelling."""
    latency_budget: Duration = 0.05
    """A response slower than this is late for its caller."""
    batch: Batch | None = None
    """Requests wait for others and share calls of the model. Left out: none waits; those that are
    there at the same time share a call where that changes no bit. `millwright serve tune` measures
    whether it pays."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes of one server: they share its port, its counts and its memory of predictions. Each
    uses one processor for the model."""
    threads: int = Field(default=1, ge=1, le=64)
    """Threads of one call of the model; more pay for large models alone."""


class ServedModel(Document):
    """``model.yaml`` of a model that is trained elsewhere: how it is served and rolled out. Its
    versions come from `millwright register`."""

    name: ModelName
    """The model's name; also its folder, its route and its registry entry."""
    task: Task
    description: str = ""
    """What is asked of the model, and when."""
    feedback: FeedbackSpec = FeedbackSpec()
    serving: ServingSpec = ServingSpec()
    rollout: RolloutSpec

    @property
    def unit(self) -> str:
        """What a predicted number is counted in."""
        return "the label's unit"

    @model_validator(mode="after")
    def feedback_can_judge(self) -> Self:
        """Feedback is about what the task predicts, and the guard that reads it needs it said."""
        if self.task == "classification":
            if self.feedback.tolerance is not None:
                raise ValueError(
                    "feedback.tolerance: a class is right or wrong; a classification has "
                    "feedback.threshold"
                )
            return self
        unit = f"in {self.unit}, or a share such as {{tolerance: 10%}}"
        if self.feedback.threshold is not None:
            raise ValueError(
                "feedback.threshold: a regression predicts numbers; say when one is right with "
                f"feedback: {{tolerance: 15}}, {unit}"
            )
        if "wrong" in self.rollout.guards.compared() and self.feedback.tolerance is None:
            raise ValueError(
                "rollout.guards.wrong: nothing says when a predicted number is wrong; write "
                f"feedback: {{tolerance: 15}}, {unit}"
            )
        return self


TRAINING_KEYS = frozenset({"source", "split", "estimator"})
"""A document with none of them is of a model that is trained elsewhere."""


class ModelSpec(ServedModel):
    """``model.yaml``."""

    source: Source
    split: Split
    features: str = Field(default="features.py", pattern=r"^[\w./-]+\.py$")
    """The file with the feature definitions, beside the document."""
    preprocess: Preprocess = Preprocess()
    select: Select = Select()
    estimator: Estimator
    tune: Tune | None = None
    """Left out: the estimator's parameters are used as they are."""
    gates: dict[str, GateText] | None = None
    """What the test data must show before a version is registered. Left out: that the model is
    better than always predicting the training data's mean; ``{}`` asks nothing."""
    missing: Literal["impute", "refuse"] = "impute"
    """What becomes of a request in which a value that the model reads is missing: the model makes
    one up and the answer names the input, or the server refuses it. Part of a version: it holds
    from the next one that is registered."""

    @property
    def unit(self) -> str:
        """What a predicted number is counted in."""
        return f"the unit of {self.source.label.name}"

    @model_validator(mode="after")
    def names_exist(self) -> Self:
        """Metrics must be known for the task."""
        known = METRICS[self.task] + DERIVED_METRICS
        for name in self.gates or ():
            if name not in known:
                raise ValueError(
                    f"gates.{name}: not a metric of {self.task}; {suggest(name, known)}"
                )
        if self.tune and self.tune.metric not in METRICS[self.task]:
            raise ValueError(
                f"tune.metric: {self.tune.metric!r} is not a metric of {self.task}; "
                f"{suggest(self.tune.metric, METRICS[self.task])}"
            )
        return self

    def with_split(
        self,
        *,
        start: date | None = None,
        train_until: date | None = None,
        validate_until: date | None = None,
        test_until: date | None = None,
    ) -> Self:
        """The same model on other days; what is None stays as it is.

        Raises:
            DocumentError: the days are not in order.
        """
        split = Split.parse(
            {
                "start": start or self.split.start,
                "train": {"until": train_until or self.split.train.until},
                "validate": {"until": validate_until or self.split.validate_.until},
                "test": {"until": test_until or self.split.test.until},
            },
            where=f"model {self.name}: split",
        )
        return self.model_copy(update={"split": split})

    @classmethod
    def find(cls, models: Path, name: str) -> Self:
        """The model of that name in the folder of models, which is trained here.

        Raises:
            UsageError: there is none (with the name that was probably meant), or it is trained
                elsewhere.
            DocumentError: it is not valid.
        """
        spec = find_model(models, name)
        if not isinstance(spec, cls):
            raise trained_elsewhere(models / name / "model.yaml", name)
        return spec


def load_model(path: Path) -> ServedModel:
    """A model's document: a `ModelSpec`, unless the model is trained elsewhere.

    Raises:
        DocumentError: it is not valid.
    """
    value = YamlFile.read(path).value
    elsewhere = isinstance(value, dict) and bool(value) and not TRAINING_KEYS & value.keys()
    return (ServedModel if elsewhere else ModelSpec).load(path)


def find_model(models: Path, name: str) -> ServedModel:
    """The model of that name in the folder of models, wherever it is trained.

    Raises:
        UsageError: there is none (with the name that was probably meant).
        DocumentError: it is not valid.
    """
    path = models / name / "model.yaml"
    if not path.is_file():
        raise unknown_model(models, name)
    spec = load_model(path)
    if spec.name != name:
        raise DocumentError(
            f"name: is {spec.name!r}, but the folder is {name!r}",
            where=str(path),
            fix="make them the same",
        )
    if isinstance(spec, ModelSpec) and not (path.parent / spec.features).is_file():
        raise DocumentError(
            f"features: there is no file {spec.features!r} beside it", where=str(path)
        )
    return spec


def trained_elsewhere(path: Path, name: str) -> UsageError:
    """A model cannot be trained here, because its document does not say how."""
    return UsageError(
        f"{name} is not trained here: its document has no source, split and estimator",
        where=str(path),
        fix=f"`millwright register {name}` adds a version of it.",
    )


def unknown_model(models: Path, name: str) -> UsageError:
    """There is no model of that name, and perhaps one that was meant."""
    names = sorted(path.parent.name for path in models.glob("*/model.yaml"))
    return UsageError(f"there is no model {name!r}", where=str(models), fix=suggest(name, names))
