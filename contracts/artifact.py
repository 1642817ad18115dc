"""A trained model as it leaves the pipelines: all that serving needs, and nothing else.

An artifact is a folder (a local path or an ``s3://`` prefix) that holds ``model.onnx``, or
``predictor.zip`` (`contracts.predictor`), and ``artifact.json``, this document. The folder is
immutable: its version is part of its name, and the digest of the model is in the document, so that
a server refuses a model that is not the one registered, and runs no code that was not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from contracts.document import SHARE, Document, Upgrade, VersionedDocument, parse_share

MODEL_FILE = "model.onnx"
PREDICTOR_FILE = "predictor.zip"
DOCUMENT_FILE = "artifact.json"

Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BF16",
    "BYTES",
]
"""A tensor's type in the Open Inference Protocol's spelling; BYTES is text."""

FLOATS: tuple[Datatype, ...] = ("FP16", "FP32", "FP64", "BF16")
"""Those of numbers with a fraction, which can also be NaN: missing."""

_MODEL_NAME = r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$"
ModelName = Annotated[str, Field(pattern=_MODEL_NAME)]
"""Lower-case letters, digits and dashes, 2 to 40 long: it becomes a Kubernetes name and a URL's
part."""


def is_model_name(text: str) -> bool:
    """Whether a model can have this name."""
    return re.fullmatch(_MODEL_NAME.strip("^$"), text) is not None


Version = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
"""The model registry's version number, written as text."""


class Distribution(Document):
    """How the values of an input were spread over the training rows: what an explanation compares
    a row with. Of a number the quantiles and the mean, of a text the categories' shares."""

    missing: float = Field(default=0.0, ge=0, le=1)
    """The share of rows without a value."""
    quantiles: tuple[float, ...] = ()
    """Of the values that there are: 21, at 0, 5, 10, … 100 %."""
    mean: float | None = None
    """Of the values that there are."""
    shares: tuple[float, ...] = ()
    """The share of rows that have each of the input's categories, in their order; the rest of them
    have rare ones, or nothing."""


class Tensor(Document):
    """One input or output of the model."""

    name: str
    """The name a request gives it."""
    datatype: Datatype
    shape: tuple[int, ...]
    """Dimensions; -1 is the number of rows, which a request chooses."""
    categories: tuple[str, ...] | None = None
    """For text: the values seen in training; others are taken, and treated as rare."""
    minimum: float | None = None
    maximum: float | None = None
    """The range seen in training; for people and for drift, not a limit."""
    distribution: Distribution | None = None
    """How its values were spread; artifacts of schema 2 do not say."""
    optional: bool = False
    """Whether a request may leave it out or send null (a missing value, which the model imputes).
    """
    used: bool = True
    """Whether the model reads it. A feature that this version did not select is still taken, and
    checked, so that one caller can ask every version."""


class TrainingData(Document):
    """Which data the model learned from."""

    dataset: str
    start: datetime
    end: datetime
    rows: int
    fingerprint: str
    """SHA-256 over the training rows; the same rows give the same text."""


class Interval(Document):
    """A metric with its confidence interval (day-block bootstrap, 95 %)."""

    value: float
    low: float | None = None
    high: float | None = None


Class = int | str
"""A class of a classification, as outcomes name it."""


class ToleranceLimits(Document):
    """How far a predicted number may be from what came true and still count as right: the larger
    of the two limits that are given."""

    absolute: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """In the label's unit."""
    relative: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """As a share of what came true."""

    @model_validator(mode="after")
    def some(self) -> Self:
        """A tolerance has a limit."""
        if self.absolute is None and self.relative is None:
            raise ValueError("write a number in the label's unit, or a share such as 10%")
        return self

    def allowed(self, outcome: float) -> float:
        """The largest difference from this outcome that is right."""
        return max(self.absolute or 0.0, (self.relative or 0.0) * abs(outcome))


def parse_tolerance(value: object) -> object:
    """``15`` is in the label's unit, ``10%`` a share of what came true."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"absolute": value}
    if isinstance(value, str):
        if not re.match(SHARE, value.strip()):
            raise ValueError(
                f"{value!r} is not a tolerance; write a number in the label's unit, or a share of "
                "what came true such as 10%"
            )
        return {"relative": parse_share(value)}
    return value


Tolerance = Annotated[
    ToleranceLimits,
    BeforeValidator(parse_tolerance, json_schema_input_type=ToleranceLimits | float | str),
]
"""Written ``15`` (in the label's unit), ``10%`` (of what came true), or as a mapping of both."""


class Interpretation(Document):
    """What the model's outputs mean, and so which predictions were wrong."""

    classes: tuple[Class, ...] = ()
    """The classes, in the order of the probabilities' columns; empty for regression."""
    positive: Class | None = None
    """Of two classes the one whose probability is the score; the last when left out."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Of two classes the positive one is predicted from this probability on."""
    tolerance: Tolerance | None = None
    """How far a predicted number may be from what came true; none where that cannot be said."""
    missing_text: str = ""
    """What the model takes for a text that is missing."""

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """The positive class is one of the classes, and those are distinct."""
        if len(set(self.classes)) != len(self.classes) or len(self.classes) == 1:
            raise ValueError(f"classes: {list(self.classes)} must be at least two, each once")
        if self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"positive: {self.positive!r} is not one of {list(self.classes)}")
        return self

    @property
    def positive_column(self) -> int:
        """The column of the probabilities that is the score, of two classes."""
        return -1 if self.positive is None else self.classes.index(self.positive)


class PredictorRules(Document):
    """How a person's own code is run."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes, each of which answers one request at a time."""
    timeout: float = Field(default=30.0, gt=0, le=600)
    """Seconds for one request; a worker that takes longer is ended."""
    startup: float = Field(default=120.0, gt=0, le=3600)
    """Seconds to load."""
    memory: int | None = Field(default=None, ge=2**28)
    """Bytes of address space of each worker."""


MEANT_FOR = {"classification": "threshold", "regression": "tolerance"}
"""The parameter of schema 1 that said what a task's predictions mean."""


def interpret_parameters(document: Mapping[str, object]) -> Mapping[str, object]:
    """Schema 1 had the meaning of the outputs among the parameters, and no classes' names."""
    parameters = document.get("parameters")
    given = parameters if isinstance(parameters, Mapping) else {}
    names = ("missing_text", MEANT_FOR.get(str(document.get("task")), ""))
    meaning = {name: given[name] for name in names if given.get(name) is not None}
    return {**document, "interpretation": meaning}


def leave_distributions_out(document: Mapping[str, object]) -> Mapping[str, object]:
    """Schema 2 did not say how inputs were spread, and nothing else has changed."""
    return document


class Artifact(VersionedDocument):
    """``artifact.json``: the model's signature and where it comes from."""

    UPGRADES: ClassVar[tuple[Upgrade, ...]] = (interpret_parameters, leave_distributions_out)

    schema_version: Literal[3] = 3
    name: ModelName
    version: Version
    task: Literal["classification", "regression"]
    format: Literal["onnx", "predictor"] = "onnx"
    """What the model is: ``model.onnx``, or a person's own code, ``predictor.zip``."""
    digest: str
    """SHA-256 of that file, in hex."""
    predictor: PredictorRules = PredictorRules()
    """How a person's own code is run."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    interpretation: Interpretation = Interpretation()
    """What the outputs mean."""
    created: datetime
    code_version: str
    """The git commit of the code that trained it, with ``-dirty`` where the tree was not clean."""
    trained_on: TrainingData
    metrics: dict[str, Interval]
    features: tuple[str, ...]
    """The selected features, in the order of their importance."""
    run_id: str = ""
    """The tracking server's run that made it."""
    parameters: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """What the estimator was given: where the model comes from, not what it means."""

    @model_validator(mode="after")
    def meant_for_its_task(self) -> Self:
        """Numbers have a tolerance and no classes; classes have no tolerance, and are what the
        model's label says."""
        meaning = self.interpretation
        if self.task == "regression":
            if meaning.classes:
                raise ValueError("interpretation.classes: a regression predicts numbers")
            return self
        if meaning.tolerance is not None:
            raise ValueError("interpretation.tolerance: a class is right or wrong, not nearly so")
        width = self.score.shape[1] if self.score else -1
        if self.score and meaning.classes and width not in (-1, len(meaning.classes)):
            raise ValueError(
                f"interpretation.classes: {list(meaning.classes)} are not the columns of "
                f"{self.score.name!r}, which has {width}"
            )
        text = self.label is not None and self.label.datatype == "BYTES"
        if any(isinstance(name, str) is not text for name in meaning.classes) and self.label:
            raise ValueError(
                f"interpretation.classes: {list(meaning.classes)} are not what the output "
                f"{self.label.name!r} ({self.label.datatype}) can say"
            )
        return self

    @property
    def model_file(self) -> str:
        """The name of the file that is the model."""
        return MODEL_FILE if self.format == "onnx" else PREDICTOR_FILE

    @property
    def label(self) -> Tensor | None:
        """Of a classification the output with the predicted class of each row, if it has one."""
        flat = (tensor for tensor in self.outputs if len(tensor.shape) == 1)
        return next(flat, None) if self.task == "classification" else None

    @property
    def score(self) -> Tensor | None:
        """The output with the probabilities of each row's classes, or with the predicted number."""
        floats = (tensor for tensor in self.outputs if tensor.datatype in FLOATS)
        if self.task == "classification":
            floats = (tensor for tensor in floats if len(tensor.shape) == 2)
        return next(floats, None)
