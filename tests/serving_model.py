"""A small real model for the tests of serving: numbers and a text, as one input each."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from contracts.artifact import DOCUMENT_FILE, MODEL_FILE, Artifact, Tensor, TrainingData

CARRIERS = ("", "AA", "B6", "UA")

INPUTS = (
    Tensor(name="distance", datatype="FP32", shape=(-1, 1), optional=True),
    Tensor(name="hour", datatype="FP32", shape=(-1, 1)),
    Tensor(name="carrier", datatype="BYTES", shape=(-1, 1), categories=CARRIERS, optional=True),
)
OUTPUTS = (
    Tensor(name="label", datatype="INT64", shape=(-1,)),
    Tensor(name="probabilities", datatype="FP32", shape=(-1, 2)),
)


def make_artifact(
    folder: Path,
    *,
    version: str = "1",
    seed: int = 0,
    late_above: float = 0.8,
    work: int = 0,
    fails: bool = False,
) -> Path:
    """A model trained on noise.

    Args:
        folder: where the artifact is written.
        version: its version.
        seed: another seed is another model.
        late_above: the higher, the fewer flights are late.
        work: so many multiplications of large matrices are done for each request in vain.
        fails: each request fails in the model.
    """
    content = train_model(seed=seed, late_above=late_above)
    if work:
        content = _delayed(content, work)
    return write_artifact(folder, _failing(content) if fails else content, version=version)


def train_model(*, seed: int = 0, late_above: float = 0.8) -> bytes:
    """Train on noise shaped by the hour and the carrier; gives the ONNX model."""
    random = np.random.default_rng(seed)
    rows = 400
    data = pd.DataFrame(
        {
            "distance": random.uniform(100, 2500, rows),
            "hour": random.integers(5, 24, rows).astype(float),
            "carrier": random.choice(CARRIERS, rows),
        }
    )
    noise = random.normal(0, 0.3, rows)
    late = (data.hour / 24 + (data.carrier == "B6") * 0.3 + noise) > late_above
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), ["distance", "hour"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(data, late.astype(int))
    kinds = {"FP32": FloatTensorType, "BYTES": StringTensorType}
    content: bytes = to_onnx(
        model,
        initial_types=[(own.name, kinds[own.datatype]([None, 1])) for own in INPUTS],
        options={"zipmap": False},
        target_opset={"": 18, "ai.onnx.ml": 3},
    ).SerializeToString()
    return content


def classifier(names: list[Any], *, zipmap: bool = False) -> bytes:
    """Of two numbers, as one input: the first class where the first number is small."""
    random = np.random.default_rng(0)
    data = random.normal(size=(200, 2)).astype(np.float32)
    label = np.array(names)[(data[:, 0] > 0).astype(int)]
    model = LogisticRegression(C=100).fit(data, label)
    made = to_onnx(
        model,
        initial_types=[("numbers", FloatTensorType([None, 2]))],
        options={"zipmap": zipmap},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    content: bytes = made.SerializeToString()
    return content


def _delayed(content: bytes, work: int) -> bytes:
    """The same model, slower: what it works out besides adds nothing to the probabilities."""
    size = 256
    model = _with_plain_probabilities(content)
    graph, make = model.graph, onnx.helper.make_node
    identity = np.eye(size, dtype=np.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(identity, "identity"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
    graph.node.append(make("ReduceMean", ["plain"], ["mean"], keepdims=0))
    graph.node.append(make("Mul", ["identity", "mean"], ["step0"]))
    for number in range(work):
        graph.node.append(make("MatMul", [f"step{number}", "identity"], [f"step{number + 1}"]))
    graph.node.append(make("ReduceMean", [f"step{work}"], ["last"], keepdims=0))
    graph.node.append(make("Mul", ["last", "nothing"], ["zero"]))
    graph.node.append(make("Add", ["plain", "zero"], ["probabilities"]))
    return _checked(model)


def _failing(content: bytes) -> bytes:
    """The same model, asking for a column of the probabilities that there is not."""
    model = _with_plain_probabilities(content)
    columns = onnx.numpy_helper.from_array(np.array([0, 7], np.int64), "columns")
    model.graph.initializer.append(columns)
    gather = onnx.helper.make_node("Gather", ["plain", "columns"], ["probabilities"], axis=1)
    model.graph.node.append(gather)
    return _checked(model)


def _with_plain_probabilities(content: bytes) -> onnx.ModelProto:
    """The model with its probabilities under another name, for a node to be added after them."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        node.output[:] = ["plain" if name == "probabilities" else name for name in node.output]
    return model


def _checked(model: onnx.ModelProto) -> bytes:
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_artifact(folder: Path, content: bytes, *, version: str = "1", **changes: object) -> Path:
    """An artifact's folder around a model."""
    now = datetime(2013, 1, 1, tzinfo=UTC)
    document = Artifact.model_validate(
        {
            "name": "flight-delay",
            "version": version,
            "task": "classification",
            "digest": hashlib.sha256(content).hexdigest(),
            "inputs": INPUTS,
            "outputs": OUTPUTS,
            "created": now,
            "code_version": "test",
            "trained_on": TrainingData(
                dataset="noise", start=now, end=now, rows=400, fingerprint="0"
            ),
            "metrics": {},
            "features": ("hour", "carrier", "distance"),
            **changes,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(content)
    (folder / DOCUMENT_FILE).write_text(document.model_dump_json())
    return folder
