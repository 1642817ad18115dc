"""Train a model: the nine steps from the lake to a registered version, here or in a cluster.

``run`` runs them on this machine, ``compile`` writes what Kubeflow Pipelines takes, ``submit``
hands it to a server. All three use the same steps and the same wiring.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

from components import entry
from components.documents import (
    PREPROCESSING,
    TRAINING,
    Evaluation,
    GateResult,
    Preprocessing,
    Registration,
    Selection,
    Training,
    Tuning,
    read,
)
from contracts.errors import MillwrightError, PipelineError, RejectedError
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from pipelines import runs

STEPS = (
    "ingest",
    "validate",
    "engineer",
    "preprocess",
    "select",
    "tune",
    "train",
    "evaluate",
    "register",
)
Progress = Callable[[str, str, float], None]
"""(step, "started" | "finished" | "failed" | "kept", seconds): called as it happens."""

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
"""Waiting threads sleep: where cores are shared, XGBoost's spinning ones make a fit of a second
take half a minute."""
RAISED = re.compile(r"^\s*[\w.]+(Error|Exception|Interrupt|Exit|Warning)\b.*")
NOISE = re.compile(r"^\s*$|KFP Executor|^\d\d:\d\d:\d\d\.\d+ - |^-+$")


@dataclass(frozen=True)
class StepTiming:
    """How long a step took; 0 where its outputs were there from before a kill."""

    step: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run made."""

    name: str
    version: str
    uri: str
    """The artifact's folder."""
    run: Path
    """The run's folder."""
    evaluation: Evaluation
    preprocessing: Preprocessing
    selection: Selection
    tuning: Tuning
    training: Training
    steps: tuple[StepTiming, ...]

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """The gates, all passed."""
        return self.evaluation.gates


class RejectedTrainingError(RejectedError):
    """The model was trained, and a gate failed; what was measured is kept.

    ``evaluation`` is the evaluation, ``run`` the run's folder.
    """

    def __init__(self, error: RejectedError, evaluation: Evaluation, run: Path) -> None:
        super().__init__(error.what, where=error.where, fix=error.fix)
        self.evaluation = evaluation
        self.run = run


def arguments(
    model: Path, outputs: PlatformOutputs, tracking_uri: str, split: Mapping[str, date | None]
) -> tuple[ModelSpec, dict[str, str]]:
    """The pipeline's arguments, without the run's key.

    Args:
        model: the model's folder, or its ``model.yaml``.
        outputs: the environment's.
        tracking_uri: MLflow's.
        split: days that replace the document's: ``start``, ``train_until``, ``validate_until``,
            ``test_until``; none keeps it.
    """
    path = model / "model.yaml" if model.is_dir() else model
    spec = ModelSpec.load(path).with_split(**split)
    source = path.parent / spec.features
    try:
        definitions = source.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"cannot be read: {error.strerror}", where=str(source)) from error
    return spec, {
        "model": spec.model_dump_json(by_alias=True),
        "definitions": definitions,
        "outputs": outputs.model_dump_json(),
        "tracking_uri": tracking_uri,
        "code_version": runs.code_version(),
    }


def run(
    model: Path,
    outputs: PlatformOutputs,
    work: Path,
    progress: Progress = lambda step, state, seconds: None,
    *,
    tracking_uri: str,
    train_until: date | None = None,
    validate_until: date | None = None,
    test_until: date | None = None,
    start: date | None = None,
    environment: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> TrainingResult:
    """Run the pipeline on this machine.

    Asking again for what was killed goes on after its last finished step.

    Args:
        model: the model's folder, or its ``model.yaml``.
        outputs: the environment's.
        work: the folder of all runs; the run gets its own in it.
        progress: is told of each step.
        tracking_uri: MLflow's, such as ``sqlite:////…/mlflow.db``.
        start, train_until, validate_until, test_until: days that replace the document's.
        environment: variables for the steps beside this process's own, such as
            ``AWS_ENDPOINT_URL``.
        now: names the run.

    Raises:
        RejectedTrainingError: a gate failed; nothing is registered.
        PipelineError: a step failed; it names the step, what it said last, and its log.
        DocumentError: the model's document is wrong.
    """
    days = {
        "start": start,
        "train_until": train_until,
        "validate_until": validate_until,
        "test_until": test_until,
    }
    spec, given = arguments(model, outputs, tracking_uri, days)
    folder = runs.open_run(work, spec.name, given, now or datetime.now(UTC))
    log = Log(folder, progress)
    status = follow(folder, log, {**os.environ, **QUIET_THREADS, **(environment or {})})
    log.close()
    registered = runs.output(folder, STEPS[-1], "registration") is not None
    if log.error is not None or status != 0 or not registered:
        raise_failure(folder, log)
    runs.finish(folder, "done")
    return result(folder, log)


def follow(folder: Path, log: Log, environment: Mapping[str, str]) -> int:
    """Start the run's process, hand its lines to the log, and leave no process behind.

    Returns:
        Its exit status.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.local", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment),
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            log.add(line)
        return process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Log:
    """Divides the run's output into the steps' logs, and hears what the steps say."""

    folder: Path
    progress: Progress
    current: str = "pipeline"
    error: MillwrightError | None = None
    failed: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    files: dict[str, IO[str]] = field(default_factory=dict)

    def add(self, line: str) -> None:
        """One line of output."""
        said = entry.heard(line)
        if said is None:
            self.write(line)
            return
        step, event = str(said["step"]), str(said["event"])
        if event == "started":
            self.keep_before(step)
            self.current = step
            self.progress(step, event, 0.0)
        elif event == "finished":
            self.seconds[step] = float(str(said["seconds"]))
            self.current = "pipeline"
            self.progress(step, event, self.seconds[step])
        else:
            self.error, self.failed = entry.restore(said), step
            self.write(f"{self.error}\n")
            self.progress(step, "failed", 0.0)

    def write(self, line: str) -> None:
        """Into the current step's log."""
        if self.current not in self.files:
            path = runs.log_path(self.folder, self.current)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files[self.current] = path.open("a", encoding="utf-8")
        self.files[self.current].write(line)

    def keep_before(self, step: str) -> None:
        """The steps before this one that did not run: their outputs are there from before a
        kill."""
        for earlier in STEPS[: STEPS.index(step)]:
            if earlier not in self.seconds:
                self.seconds[earlier] = 0.0
                self.progress(earlier, "kept", 0.0)

    def close(self) -> None:
        """Close the files."""
        for file in self.files.values():
            file.close()


def raise_failure(folder: Path, log: Log) -> None:
    """The error of the step that failed.

    Raises:
        RejectedTrainingError: a gate failed.
        PipelineError: anything else.
    """
    step = log.failed or log.current
    path = runs.log_path(folder, step)
    if isinstance(log.error, RejectedError):
        runs.finish(folder, "rejected")
        evaluation = runs.output(folder, "evaluate", "evaluation")
        assert evaluation is not None
        raise RejectedTrainingError(log.error, read(Evaluation, evaluation), folder) from log.error
    if log.error is not None:
        place = f" ({log.error.where})" if log.error.where else ""
        fix = f"{log.error.fix}; " if log.error.fix else ""
        problems = "".join(f"\n  - {one}" for one in getattr(log.error, "problems", ()))
        raise PipelineError(
            f"{log.error.what}{place}{problems}", where=f"step {step}", fix=f"{fix}its log: {path}"
        ) from log.error
    raise PipelineError(last_words(path), where=f"step {step}", fix=f"its log: {path}")


def last_words(path: Path) -> str:
    """The line of a log that most likely says what went wrong."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    useful = [line.strip() for line in lines if not NOISE.search(line)]
    raised = [line for line in useful if RAISED.match(line)]
    return (raised or useful or ["it ended without a word"])[-1]


def result(folder: Path, log: Log) -> TrainingResult:
    """The documents of a finished run."""

    def document(step: str, name: str) -> Path:
        path = runs.output(folder, step, name)
        if path is None:
            raise PipelineError(f"wrote no {name}", where=f"step {step}", fix=f"see {folder}")
        return path

    registration = read(Registration, document("register", "registration"))
    return TrainingResult(
        name=registration.name,
        version=registration.version,
        uri=registration.uri,
        run=folder,
        evaluation=read(Evaluation, document("evaluate", "evaluation")),
        preprocessing=read(Preprocessing, document("preprocess", "parts") / PREPROCESSING),
        selection=read(Selection, document("select", "selection")),
        tuning=read(Tuning, document("tune", "tuning")),
        training=read(Training, document("train", "trained") / TRAINING),
        steps=tuple(StepTiming(step, log.seconds.get(step, 0.0)) for step in STEPS),
    )


def compile(path: Path, *, image: str | None = None) -> None:
    """Write the pipeline in the form that Kubeflow Pipelines takes (IR YAML).

    Args:
        path: the file to write.
        image: the image that the steps run in.
    """
    from kfp import compiler

    from pipelines.wiring import DEFAULT_IMAGE, build

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(build(image or DEFAULT_IMAGE), str(path))


def submit(
    url: str,
    model: Path,
    outputs: PlatformOutputs,
    *,
    tracking_uri: str,
    image: str | None = None,
    split: Mapping[str, date | None] | None = None,
    now: datetime | None = None,
) -> str:
    """Start a run on a Kubeflow Pipelines server; its identifier comes back.

    Raises:
        PipelineError: the server does not answer, or refuses.
    """
    from kfp import client

    from pipelines.wiring import DEFAULT_IMAGE, build

    spec, given = arguments(model, outputs, tracking_uri, split or {})
    key = f"{spec.name}-{now or datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    try:
        started = client.Client(host=url).create_run_from_pipeline_func(
            build(image or DEFAULT_IMAGE),
            arguments={**given, "key": key},
            run_name=key,
            experiment_name=spec.name,
            enable_caching=False,
        )
    except Exception as error:
        raise PipelineError(
            f"the pipeline server refused: {str(error).splitlines()[0]}",
            where=url,
            fix="is the address right, and the server up?",
        ) from error
    return str(started.run_id)


if __name__ == "__main__":
    compile(Path(sys.argv[1]))
