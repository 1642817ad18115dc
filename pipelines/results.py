"""What a run leaves behind: the steps' documents, wherever the run was, and what they add up to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

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
)
from contracts.document import AnyDocument, Document
from contracts.errors import MillwrightError, PipelineError, RejectedError

PLACES: Mapping[type[Document], tuple[str, str]] = {
    Preprocessing: ("preprocess", f"parts/{PREPROCESSING}"),
    Selection: ("select", "selection"),
    Tuning: ("tune", "tuning"),
    Training: ("train", f"trained/{TRAINING}"),
    Evaluation: ("evaluate", "evaluation"),
    Registration: ("register", "registration"),
}
"""The step that writes each document, and its name among the step's outputs."""


WARNERS = (
    ("validate", "report"),
    PLACES[Preprocessing],
    PLACES[Evaluation],
)
"""Where the documents are that have ``warnings``; the last one's hold those of the one before."""


@dataclass(frozen=True)
class StepTiming:
    """How long a step took; 0 where its outputs were there from before."""

    step: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run made."""

    name: str
    version: str
    uri: str
    """The artifact's folder."""
    new: bool
    """False where this very model was registered before, as that version."""
    run: str
    """The run's name."""
    location: str
    """The folder of the run's outputs: a path, or a URI of the artifact store."""
    evaluation: Evaluation
    preprocessing: Preprocessing
    selection: Selection
    tuning: Tuning
    training: Training
    steps: tuple[StepTiming, ...]
    warnings: tuple[str, ...] = ()
    """What the steps warned of."""

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """The gates, all passed."""
        return self.evaluation.gates


class RejectedTrainingError(RejectedError):
    """The model was trained, and a gate failed; what was measured is kept.

    ``evaluation`` is the evaluation, ``run`` the run's name.
    """

    def __init__(self, error: RejectedError, evaluation: Evaluation, run: str) -> None:
        super().__init__(error.what, where=error.where, fix=error.fix)
        self.evaluation = evaluation
        self.run = run


class RunOutputs(Protocol):
    """What a run's steps wrote and said."""

    @property
    def location(self) -> str:
        """The folder of them all: a path, or a URI."""

    def read(self, step: str, name: str) -> bytes | None:
        """What a step wrote last under a name; None where it wrote nothing.

        Raises:
            PipelineError: the store of the outputs does not answer.
        """

    def origin(self, step: str) -> str:
        """The other run whose step has written what this run has of it; empty where this one has,
        or where nobody knows."""

    def error(self, step: str) -> MillwrightError | None:
        """The error of ours that ended a step, where one did and the step could say so."""

    def last_words(self, step: str) -> str:
        """The line of a step's log that most likely says what went wrong."""

    def log(self, step: str) -> str:
        """Where a step's log is."""


def document(outputs: RunOutputs, kind: type[AnyDocument]) -> AnyDocument | None:
    """The run's document of a kind; None where its step has not written it.

    Raises:
        PipelineError: it is not such a document: another version of Millwright ran the step.
    """
    step, name = PLACES[kind]
    content = outputs.read(step, name)
    if content is None:
        return None
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise PipelineError(
            f"its {kind.__name__} document cannot be read: {error.errors()[0]['msg']}",
            where=f"step {step}",
            fix=f"see {outputs.location}; was it written by another version of Millwright?",
        ) from error


def warnings(outputs: RunOutputs) -> tuple[str, ...]:
    """What a run's steps warned of: all that was left out, filled in or always the same; with the
    run that found it, where a step is another run's.

    Raises:
        PipelineError: the store of the outputs does not answer.
    """
    found: dict[str, str] = {}
    for step, name in WARNERS:
        for line in warned(outputs.read(step, name)):
            found.setdefault(line, outputs.origin(step))
    return tuple(f"{line} (of the run {run})" if run else line for line, run in found.items())


def warned(content: bytes | None) -> tuple[str, ...]:
    """The warnings in a step's document."""
    return tuple(json.loads(content).get("warnings", ())) if content else ()


def result(run: str, outputs: RunOutputs, steps: tuple[StepTiming, ...]) -> TrainingResult:
    """The documents of a finished run.

    Raises:
        PipelineError: one is missing.
    """

    def written(kind: type[AnyDocument]) -> AnyDocument:
        there = document(outputs, kind)
        if there is None:
            step, name = PLACES[kind]
            raise PipelineError(
                f"wrote no {name}", where=f"step {step}", fix=f"see {outputs.location}"
            )
        return there

    registration = written(Registration)
    return TrainingResult(
        name=registration.name,
        version=registration.version,
        uri=registration.uri,
        new=registration.new,
        run=run,
        location=outputs.location,
        evaluation=written(Evaluation),
        preprocessing=written(Preprocessing),
        selection=written(Selection),
        tuning=written(Tuning),
        training=written(Training),
        steps=steps,
        warnings=warnings(outputs),
    )


def failure(run: str, step: str, outputs: RunOutputs) -> MillwrightError:
    """The error with which a step ended the run.

    Returns:
        A RejectedTrainingError where a gate failed, a PipelineError for anything else: the step,
        what it said last, and where its log is.
    """
    error, log = outputs.error(step), outputs.log(step)
    if isinstance(error, RejectedError):
        evaluation = document(outputs, Evaluation)
        if evaluation is not None:
            return RejectedTrainingError(error, evaluation, run)
    if error is None:
        return PipelineError(outputs.last_words(step), where=f"step {step}", fix=f"its log: {log}")
    place = f" ({error.where})" if error.where else ""
    fix = f"{error.fix}; " if error.fix else ""
    problems = "".join(f"\n  - {problem}" for problem in getattr(error, "problems", ()))
    return PipelineError(
        f"{error.what}{place}{problems}", where=f"step {step}", fix=f"{fix}its log: {log}"
    )
