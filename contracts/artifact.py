"""A trained model as it leaves the pipelines: all that serving needs, and nothing else.

An artifact is a folder (a local path or an ``s3://`` prefix) that holds ``model.onnx`` and
``artifact.json``, this document. The folder is immutable: its version is part of its name, and
the digest of the model is in the document, so that a server refuses a model that is not the one
registered.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from contracts.document import Document

MODEL_FILE = "model.onnx"
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
    "BYTES",
]
"""A tensor's type in the Open Inference Protocol's spelling; BYTES is text."""

ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$")]
"""Lower-case letters, digits and dashes, 2 to 40 long: it becomes a Kubernetes name and a URL's
part."""

Version = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
"""The model registry's version number, written as text."""


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


class Artifact(Document):
    """``artifact.json``: the model's signature and where it comes from."""

    name: ModelName
    version: Version
    task: Literal["classification", "regression"]
    format: Literal["onnx"] = "onnx"
    digest: str
    """SHA-256 of ``model.onnx``, in hex."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
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
