"""Runs, wherever they are, and following one until it ends.

A run is in a process here or in the pods of a Kubeflow Pipelines server; whoever asks uses the same
words for both. Following reads: it can begin late, end early and begin again, and the run does not
notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from contracts.dataset import DatasetSpec
from contracts.errors import PipelineError
from contracts.model import ModelSpec
from pipelines.results import RunOutputs, StepTiming, TrainingResult, failure, result

PATIENCE = 60.0
"""Seconds that a server may be away before following a run on it ends."""
LATE = 5
"""Looks at a run that has ended, until its last step has."""

Progress = Callable[[str, str, float], None]
"""(step, "started" | "finished" | "failed" | "kept" | "cached", seconds): called as it happens."""


class RunState(StrEnum):
    """How a run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    """It has registered a version."""
    REJECTED = "rejected"
    """A gate failed."""
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self not in (RunState.WAITING, RunState.RUNNING, RunState.STOPPING)


StepState = Literal["waiting", "running", "finished", "kept", "cached", "failed"]
"""``kept``: the run had finished it before it was killed; ``cached``: another run had, with the
same code, parameters and content."""
REUSED: tuple[StepState, ...] = ("kept", "cached")


@dataclass(frozen=True, kw_only=True)
class StepStatus:
    """How a step of a run stands; ``seconds`` it took, or 0."""

    step: str
    state: StepState = "waiting"
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How a run stands."""

    run: str
    """Its name, by which every command takes it."""
    identity: str
    """What the server calls it; the name, where there is no server."""
    model: str
    state: RunState
    created: datetime
    finished: datetime | None = None
    steps: tuple[StepStatus, ...] = ()
    """In the order of the run; empty where nobody knows yet."""
    reason: str = ""
    """What is said of its end, where no step can say it."""
    location: str
    """The folder of what its steps wrote: a path, or a URI."""

    @property
    def settled(self) -> bool:
        """Whether its steps stand as its end says: a server may know of the end before it knows of
        the last step's."""
        ended = {step.state for step in self.steps}
        match self.state:
            case RunState.DONE:
                return ended <= {"finished", *REUSED}
            case RunState.REJECTED | RunState.FAILED:
                return "failed" in ended and "running" not in ended
        return self.state.over

    @property
    def failed_step(self) -> str:
        """The step that ended it: the one that failed, or was cut off; empty where none did."""
        for state in ("failed", "running"):
            for step in self.steps:
                if step.state == state:
                    return step.step
        return ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A training that somebody asks for."""

    spec: ModelSpec
    parameters: Mapping[str, str]
    """The pipeline's, without the run's key."""
    cached: bool = True
    """Whether a run on this machine may take outputs of earlier runs for those of the same inputs;
    on a server every step runs, for what its cache compares are names and not content."""


class AwayError(PipelineError):
    """A pipelines server does not answer now; it may later."""


class Runs(Protocol):
    """The runs of an environment."""

    pace: float
    """Seconds between two looks at a run."""

    def check(self, spec: ModelSpec, dataset: DatasetSpec, features: Path, where: str) -> None:
        """Refuse a model that its run would refuse (`components.rehearsal.check_model`).

        Raises:
            PipelineError: its features fail.
            DocumentError: with every problem; ``where`` names the file.
        """

    def start(self, request: Request) -> str:
        """Start a run; its name comes back.

        Raises:
            PipelineError: it cannot be started.
        """

    def list(self, limit: int) -> tuple[RunStatus, ...]:
        """The latest runs, newest first.

        Raises:
            PipelineError: the server does not answer, or refuses.
        """

    def status(self, run: str) -> RunStatus:
        """How a run stands: by its name, the beginning of it that no other has, or its model's
        for the latest of that; without any the latest of all.

        Raises:
            UsageError: there is no such run.
            PipelineError: the server does not answer, or refuses.
        """

    def outputs(self, status: RunStatus) -> RunOutputs:
        """What its steps wrote."""

    def stop(self, status: RunStatus) -> None:
        """End a run that is going; one that has ended stays as it is.

        Raises:
            PipelineError: the server does not answer, or refuses.
        """

    def leave(self, run: str) -> bool:
        """Whoever started or follows it goes away; whether it goes on without them."""


@dataclass
class Follower:
    """Tells of a run's steps as they start and end, each once.

    Args:
        progress: is told.
        patience: seconds that a server may be away before following ends.
        clock, sleep: the time, and waiting for it.
    """

    progress: Progress
    patience: float = field(default_factory=lambda: PATIENCE)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _told: dict[str, set[str]] = field(default_factory=dict)
    _away: float | None = None

    def follow(self, runs: Runs, run: str) -> RunStatus:
        """Until the run ends; how it ended.

        Raises:
            AwayError: the server went away and stayed away; the run may go on.
            UsageError: there is no such run.
            PipelineError: the server refuses.
        """
        late = 0
        while True:
            status = self._status(runs, run)
            if status is not None:
                self.tell(status)
                if status.settled or (status.state.over and late == LATE):
                    return status
                late += status.state.over
            self.sleep(runs.pace)

    def tell(self, status: RunStatus) -> None:
        """What is new in a status."""
        for step in status.steps:
            if step.state == "waiting":
                continue
            if step.state not in REUSED:
                self._tell(step.step, "started", 0.0)
            if step.state != "running":
                self._tell(step.step, step.state, step.seconds)

    def _tell(self, step: str, event: str, seconds: float) -> None:
        told = self._told.setdefault(step, set())
        if event not in told:
            told.add(event)
            self.progress(step, event, seconds)

    def _status(self, runs: Runs, run: str) -> RunStatus | None:
        """None while the server is away, and may come back."""
        try:
            status = runs.status(run)
        except AwayError:
            self._away = self.clock() if self._away is None else self._away
            if self.clock() - self._away > self.patience:
                raise
            return None
        self._away = None
        return status


def outcome(runs: Runs, status: RunStatus) -> TrainingResult:
    """What a run that has ended made.

    Raises:
        RejectedTrainingError: a gate failed; nothing is registered.
        PipelineError: a step failed, or somebody stopped the run.
    """
    outputs = runs.outputs(status)
    if status.state is RunState.DONE:
        steps = tuple(StepTiming(step.step, step.seconds) for step in status.steps)
        return result(status.run, outputs, steps)
    if status.state is RunState.STOPPED:
        raise PipelineError("it was stopped", where=f"run {status.run}")
    if not status.failed_step:
        raise PipelineError(
            status.reason or "it ended before its first step",
            where=f"run {status.run}",
            fix=f"its log: {outputs.log('')}",
        )
    raise failure(status.run, status.failed_step, outputs)
