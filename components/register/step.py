"""Register a version, if every gate passed.

This is the one door between training and serving. A failed gate leaves nothing behind: no version,
no object in the lake. A kill leaves a version number that nobody is shown, and running the step
again with the same key and the same model completes it. A model that is registered already, with
the same signature, data and metrics, is no new version: the one that it is is named.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from components.documents import TRAINING, Evaluation, Registration, Training, read, write
from contracts.artifact import MODEL_FILE, Artifact, Interpretation, Interval, Tensor
from contracts.errors import RejectedError
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from data.model_registry import (
    CANDIDATE,
    DIGEST_TAG,
    KEY_TAG,
    STABLE,
    Entry,
    ModelRegistry,
    read_artifact,
)


def register(
    model: Path,
    evaluation: Path,
    spec: ModelSpec,
    outputs: PlatformOutputs,
    destination: Path,
    *,
    tracking_uri: str,
    key: str,
    code_version: str,
    now: datetime,
) -> Registration:
    """Make a version in the registry and its artifact in the lake; alias ``candidate``.

    Args:
        model: the folder that ``train`` wrote.
        evaluation: the document that ``evaluate`` wrote.
        spec: the model.
        outputs: where the artifacts' bucket is.
        destination: the file to write the document to.
        tracking_uri: MLflow's.
        key: the pipeline run; the same key and the same model give the same version.
        code_version: the commit of the code.
        now: the time of registering.

    Raises:
        RejectedError: a gate failed.
        DataError: the registry or the lake refuses.
    """
    judged = read(Evaluation, evaluation)
    refuse_failed(judged, spec.name)
    training = read(Training, model / TRAINING)
    registry = ModelRegistry(tracking_uri)
    location = f"s3://{outputs.lake.artifacts}/models/{spec.name}"
    # A run that is repeated may have trained another model: that is another version.
    key = f"{key}-{training.digest[:12]}"
    entry = same(registry, spec, training, judged)
    if entry is None or entry.tags.get(KEY_TAG) == key:
        entry = registry.open(spec.name, key=key, location=location)
        put(registry, entry, model, describe(entry, spec, training, judged, code_version, now))
    make_candidate(registry, entry)
    registration = Registration(
        name=spec.name,
        version=entry.version,
        uri=entry.uri,
        run_id=entry.run_id,
        alias=CANDIDATE,
        new=entry.tags.get(KEY_TAG) == key,
    )
    write(registration, destination)
    return registration


def put(registry: ModelRegistry, entry: Entry, model: Path, artifact: Artifact) -> None:
    """Record and publish a version."""
    registry.record(
        entry,
        metrics={name: metric.value for name, metric in artifact.metrics.items()},
        parameters=artifact.parameters,
        tags={
            "fingerprint": artifact.trained_on.fingerprint,
            "code_version": artifact.code_version,
        },
    )
    registry.publish(entry, artifact, (model / MODEL_FILE).read_bytes())


def same(
    registry: ModelRegistry, spec: ModelSpec, training: Training, evaluation: Evaluation
) -> Entry | None:
    """The latest version that differs from this one in nothing but when and by which run and
    commit it was made."""
    for entry in reversed(registry.versions(spec.name)):
        if entry.tags[DIGEST_TAG] == training.digest:
            there = read_artifact(entry.uri, missing_ok=True)
            if there is None:
                continue
            made = describe(entry, spec, training, evaluation, there.code_version, there.created)
            if made == there:
                return entry
    return None


def refuse_failed(evaluation: Evaluation, name: str) -> None:
    """A model that failed a gate goes no further.

    Raises:
        RejectedError: which gates, and by how much.
    """
    failed = [gate for gate in evaluation.gates if not gate.passed]
    if failed:
        count = "a gate" if len(failed) == 1 else f"{len(failed)} gates"
        advice = dict.fromkeys(gate.advice for gate in failed if gate.advice)
        raise RejectedError(
            f"{count} failed: " + "; ".join(gate.sentence() for gate in failed),
            where=f"model {name}",
            fix="; ".join(
                ["nothing was registered; the evaluation says where the model is weak", *advice]
            ),
        )


def describe(
    entry: Entry,
    spec: ModelSpec,
    training: Training,
    evaluation: Evaluation,
    code_version: str,
    now: datetime,
) -> Artifact:
    """The artifact's document."""
    derived = {
        "gain_over_best_feature": evaluation.best_feature.gain,
        "onnx_parity": Interval(value=evaluation.onnx_parity),
    }
    return Artifact(
        name=spec.name,
        version=entry.version,
        task=spec.task,
        digest=training.digest,
        inputs=signature(spec, training),
        outputs=training.outputs,
        interpretation=interpretation(spec),
        created=now,
        code_version=code_version,
        trained_on=training.trained_on,
        metrics=evaluation.metrics | derived,
        features=tuple(feature.name for feature in evaluation.importance),
        run_id=entry.run_id,
        parameters=training.parameters,
    )


def signature(spec: ModelSpec, training: Training) -> tuple[Tensor, ...]:
    """The inputs; what the model reads must be there where nothing is to be made up."""
    if spec.missing == "impute":
        return training.inputs
    return tuple(
        tensor.model_copy(update={"optional": not tensor.used}) for tensor in training.inputs
    )


def interpretation(spec: ModelSpec) -> Interpretation:
    """What the outputs of such a model mean."""
    if spec.task == "regression":
        return Interpretation(tolerance=spec.feedback.tolerance)
    given = spec.feedback.threshold
    threshold = {} if given is None else {"threshold": given}
    return Interpretation(classes=(0, 1), positive=1, **threshold)


def make_candidate(registry: ModelRegistry, entry: Entry) -> None:
    """Point ``candidate`` at the version, unless running again would turn the clock back: a newer
    version is the candidate, or this one has become stable since."""
    current = registry.alias(entry.name, CANDIDATE)
    newer = current is not None and int(current) > int(entry.version)
    if not newer and registry.alias(entry.name, STABLE) != entry.version:
        registry.set_alias(entry.name, CANDIDATE, entry.version)
