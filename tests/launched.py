"""What the launchers of a training's steps leave in the artifact store, made up: small documents of
the right kinds, and each step's log."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3

from components import entry
from components.documents import (
    BestFeature,
    Evaluation,
    GateResult,
    Part,
    Preprocessing,
    Ranked,
    Registration,
    Selection,
    Training,
    Trial,
    Tuning,
)
from contracts.artifact import Interval, Tensor, TrainingData
from contracts.document import Document
from pipelines.results import PLACES
from tests.pipelines_server import Run

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def evaluation(*, accepted: bool = True) -> Evaluation:
    """A model that is judged by one gate."""
    limit = 0.68 if accepted else 0.99
    return Evaluation(
        rows=1000,
        days=5,
        start=DAY,
        end=DAY,
        main_metric="roc_auc",
        metrics={"roc_auc": Interval(value=0.71, low=0.69, high=0.73)},
        prior={"roc_auc": 0.5},
        onnx_parity=1e-7,
        best_feature=BestFeature(
            name="hour", metric="roc_auc", score=Interval(value=0.6), gain=Interval(value=0.1)
        ),
        gates=(
            GateResult(
                name="roc_auc",
                gate=f">= {limit}",
                value=0.71,
                limit=limit,
                margin=0.71 - limit,
                passed=accepted,
            ),
        ),
    )


def documents(model: str, version: str, *, accepted: bool = True) -> tuple[Document, ...]:
    """One of each kind."""
    part = Part(rows=10, unlabelled=0, start=DAY, end=DAY, label_mean=0.2)
    return (
        Preprocessing(
            parts={"train": part, "validate": part, "test": part},
            outside=0,
            features=(),
            columns=1,
        ),
        Selection(method="all", ranking=(Ranked(name="hour", score=None, kept=True),)),
        Tuning(
            metric="roc_auc",
            sampler="random",
            trials=(Trial(number=0, parameters={}, score=0.7, seconds=1.0),),
            best={},
        ),
        Training(
            parameters={},
            inputs=(Tensor(name="hour", datatype="FP32", shape=(-1, 1)),),
            outputs=(Tensor(name="label", datatype="INT64", shape=(-1,)),),
            features=("hour",),
            trained_on=TrainingData(dataset="toys", start=DAY, end=DAY, rows=1, fingerprint="f"),
            digest="d",
            onnx_bytes=1,
            fit_seconds=1.0,
        ),
        evaluation(accepted=accepted),
        Registration(name=model, version=version, uri=f"s3://models/{model}/{version}", run_id="r"),
    )


@dataclass
class Launchers:
    """Writes what a step's launcher would, as a run goes.

    Args:
        accepted: whether the model passes its gate.
        errors: what a failed step says in its log.
        logs: whether the launchers keep logs.
    """

    accepted: bool = True
    errors: dict[str, Any] = field(default_factory=dict)
    logs: bool = True

    def __call__(self, run: Run, step: str, went_well: bool) -> None:
        given = json.loads(run.parameters["model"])
        if went_well:
            for document in documents(given["name"], "1", accepted=self.accepted):
                writer, name = PLACES[type(document)]
                if writer == step:
                    put(run, step, name, document.model_dump_json(by_alias=True))
        if self.logs:
            put(run, step, "executor-logs-0", self.log(step, went_well))

    def log(self, step: str, went_well: bool) -> str:
        """As kfp's executor and `components.entry` write it."""
        lines = ["[KFP Executor 2026-01-01 INFO]: hello", f"working on {step}"]
        if not went_well:
            lines.append(f"{entry.MARK}{json.dumps({'step': step, 'event': 'started'})}")
            error = self.errors.get(step)
            said = {"step": step, "event": "failed", **entry.describe(error)} if error else None
            lines.append(f"{entry.MARK}{json.dumps(said)}" if said else "ValueError: the moon")
        return "\n".join(lines)


def put(run: Run, step: str, name: str, text: str, folder: str = "") -> str:
    """An object, where the launcher of a run's step puts it; the folder of that try comes back."""
    bucket, _, root = run.folder.removeprefix("s3://").partition("/")
    folder = folder or str(uuid.uuid4())
    key = f"{root}/{step}/{folder}/{name}"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
    return folder
