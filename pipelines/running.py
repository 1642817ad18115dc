"""Runs on this machine: each is a process of its own, through ``kfp.local``, and a folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from components import entry
from contracts.dataset import DatasetSpec
from contracts.document import suggest
from contracts.errors import MillwrightError, PipelineError, UsageError
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from pipelines import journal, runs
from pipelines.following import Follower, Progress, Request, RunState, RunStatus, outcome
from pipelines.processes import QUIET_THREADS, WarmProcess
from pipelines.requests import request
from pipelines.results import TrainingResult
from pocket.patience import VARIABLE, until
from pocket.supervisor import effort

STOPPED = "stopped"
PATIENCE = 30.0
"""Seconds in which a run begins or ends."""


@dataclass(frozen=True)
class FolderOutputs:
    """What a run in a folder wrote and said."""

    folder: Path

    @property
    def location(self) -> str:
        """The run's folder."""
        return str(self.folder)

    def read(self, step: str, name: str) -> bytes | None:
        """See `RunOutputs.read`."""
        path = runs.output(self.folder, step, name)
        return path.read_bytes() if path and path.is_file() else None

    def origin(self, step: str) -> str:
        """See `RunOutputs.origin`."""
        return journal.origin(journal.events(self.folder), step)

    def error(self, step: str) -> MillwrightError | None:
        """See `RunOutputs.error`."""
        for event in reversed(journal.events(self.folder)):
            if (event["step"], event["event"]) == (step, "failed"):
                return entry.restore(event)
        return None

    def last_words(self, step: str) -> str:
        """See `RunOutputs.last_words`."""
        path = runs.log_path(self.folder, step or runs.OWN_LOG)
        return journal.last_words(path.read_text(encoding="utf-8") if path.is_file() else "")

    def log(self, step: str) -> str:
        """See `RunOutputs.log`."""
        return str(runs.log_path(self.folder, step or runs.OWN_LOG))


@dataclass
class FolderRuns:
    """The runs in the folders of an environment.

    Args:
        work: the folder of them all.
        environment: variables for the steps beside this process's own, such as
            ``AWS_ENDPOINT_URL``.
        now: names a run; the present, where none is given.
    """

    work: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    now: datetime | None = None
    pace: float = 0.1
    _process: WarmProcess | None = None
    _begun: dict[str, int] = field(default_factory=dict)
    """What was asked of the process, by run."""

    def prepare(self) -> WarmProcess:
        """Begin to import what steps import, beside whatever is done until a run starts."""
        if self._process is None or self._process.has_ended():
            self._process = WarmProcess.start()
        return self._process

    def close(self) -> None:
        """Nothing more is started; runs that were go on."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def check(self, spec: ModelSpec, dataset: DatasetSpec, features: Path, where: str) -> None:
        """See `Runs.check`: in the process that has imported the model's library."""
        process = self.prepare()
        documents = {
            "model": spec.model_dump_json(by_alias=True),
            "dataset": dataset.model_dump_json(by_alias=True),
        }
        error = process.answer(
            process.ask("check", **documents, features=str(features.absolute()), where=where)
        )
        if error is not None:
            raise entry.restore(error)

    def start(self, request: Request) -> str:
        """See `Runs.start`; asking again for what was killed goes on after its last finished
        step, and for what still goes is no new run."""
        now = self.now or datetime.now(UTC)
        folder = runs.open_run(self.work, request.spec.name, request.parameters, now)
        if runs.busy(folder, patience=1.0) or runs.state(folder) in runs.ENDED:
            return folder.name  # it has just ended
        (folder / runs.PROCESS).unlink(missing_ok=True)
        log = runs.log_path(folder, runs.OWN_LOG)
        log.parent.mkdir(exist_ok=True)
        process = self.prepare()
        variables = {**os.environ, **QUIET_THREADS, **self.environment}
        question = process.ask(
            "run", folder=str(folder), environment=variables, cached=request.cached
        )
        self._begun[folder.name] = question
        wait_for(
            lambda: process.has_done(question) or runs.busy(folder),
            folder,
            progress=lambda: effort(process.process.pid),
        )
        if process.has_ended():
            with log.open("a", encoding="utf-8") as file:
                file.write(process.words())
        return folder.name

    def list(self, limit: int) -> tuple[RunStatus, ...]:
        """See `Runs.list`."""
        return tuple(self._status(folder) for folder in self._folders()[:limit])

    def status(self, run: str) -> RunStatus:
        """See `Runs.status`; a path of the run's folder is taken as well."""
        folders = {folder.name: folder for folder in self._folders()}
        models = {name: runs.model_of(folder) for name, folder in folders.items()}
        return self._status(folders[chosen(Path(run).name, models, str(self.work))])

    def outputs(self, status: RunStatus) -> FolderOutputs:
        """See `Runs.outputs`."""
        return FolderOutputs(Path(status.location))

    def stop(self, status: RunStatus) -> None:
        """See `Runs.stop`."""
        folder = self.work / status.run
        if not runs.busy(folder):
            return
        path = folder / runs.PROCESS
        wait_for(lambda: path.is_file() and bool(path.read_text(encoding="utf-8")), folder)
        with suppress(ProcessLookupError):
            os.killpg(int(path.read_text(encoding="utf-8")), signal.SIGKILL)
        self._begun.pop(status.run, None)
        wait_for(lambda: not runs.busy(folder), folder)
        runs.finish(folder, STOPPED)

    def stop_all(self) -> tuple[str, ...]:
        """Stop every run that goes; their names."""
        going = [folder for folder in self._folders() if runs.busy(folder)]
        for folder in going:
            self.stop(self._status(folder))
        return tuple(folder.name for folder in going)

    def leave(self, run: str) -> bool:
        """See `Runs.leave`: what this process started it takes down with it, and asking for the
        same again goes on from there."""
        if run not in self._begun:
            return True
        self.stop(self.status(run))
        return False

    def _folders(self) -> Sequence[Path]:
        """Newest first."""
        folders = (path.parent for path in self.work.glob(f"*/{runs.ARGUMENTS}"))
        return sorted(folders, key=created, reverse=True)

    def _status(self, folder: Path) -> RunStatus:
        # Whether it is going is asked first: what it writes at its end is then there.
        going, how = runs.busy(folder), runs.state(folder)
        events = journal.events(folder)
        state = RunState.RUNNING if going else ENDS.get(how, RunState.FAILED)
        last = float(str(events[-1]["at"])) if events else 0.0
        return RunStatus(
            run=folder.name,
            identity=folder.name,
            model=runs.model_of(folder),
            state=state,
            created=created(folder),
            finished=datetime.fromtimestamp(last, UTC) if last and state.over else None,
            steps=journal.steps(events),
            reason=FolderOutputs(folder).last_words("") if state is RunState.FAILED else "",
            location=str(folder),
        )


ENDS = {"done": RunState.DONE, "rejected": RunState.REJECTED, STOPPED: RunState.STOPPED}


def created(folder: Path) -> datetime:
    """When a run was first asked for: its name says so."""
    moment = folder.name.rsplit("-", 2)[1]
    return datetime.strptime(moment, runs.MOMENT).replace(tzinfo=UTC)


def chosen(run: str, models: Mapping[str, str], where: str) -> str:
    """The run that is meant: by its name, as its model's latest, by the beginning of its name; the
    latest of all where nothing is named.

    Args:
        run: what a person wrote.
        models: each run's model by the run's name, newest first.
        where: the runs' place, for the error.

    Raises:
        UsageError: none is meant, or more than one.
    """
    if run in models:
        return run
    latest = next((name for name, model in models.items() if run in ("", model)), None)
    if latest:
        return latest
    begun = [name for name in models if name.startswith(run)]
    if len(begun) > 1:
        raise UsageError(
            f"{run!r} is the beginning of {len(begun)} runs' names",
            where=where,
            fix=f"Write more of it: {', '.join(begun[:5])}{', …' if len(begun) > 5 else ''}.",
        )
    if not begun:
        raise unknown(run, [*models, *models.values()], where)
    return begun[0]


def unknown(run: str, names: Sequence[str], where: str) -> UsageError:
    """There is no run of that name."""
    if not run:
        return UsageError("there are no runs yet", where=where, fix="Run `millwright train MODEL`.")
    fix = suggest(run, list(names)) if names else ""
    return UsageError(
        f"there is no run {run!r}", where=where, fix=fix or "`millwright runs list` names them"
    )


def wait_for(
    condition: Callable[[], bool], folder: Path, *, progress: Callable[[], int] | None = None
) -> None:
    """Until it holds.

    Raises:
        PipelineError: it does not within the patience.
    """
    if not until(condition, within=PATIENCE, pause=0.02, progress=progress):
        raise PipelineError(
            "the run's process does not answer",
            where=str(folder),
            fix=f"On a slow machine say {VARIABLE}=3 to wait three times as long.",
        )


def run(
    model: Path,
    datasets: Path,
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
    cached: bool = True,
) -> TrainingResult:
    """Run the pipeline on this machine, to its end.

    Asking again for what was killed goes on after its last finished step.

    Args:
        model: the model's folder, or its ``model.yaml``.
        datasets: the folder of datasets, with the one that the model learns from.
        outputs: the environment's.
        work: the folder of all runs; the run gets its own in it.
        progress: is told of each step.
        tracking_uri: MLflow's, such as ``sqlite:////…/mlflow.db``.
        start, train_until, validate_until, test_until: days that replace the document's.
        environment: variables for the steps beside this process's own, such as
            ``AWS_ENDPOINT_URL``.
        now: names the run.
        cached: whether outputs of earlier runs are taken for those of the same inputs.

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
    here = FolderRuns(work, environment or {}, now)
    with closing(here):
        asked = request(model, datasets, outputs, tracking_uri, days, check=here.check)
        name = here.start(replace(asked, cached=cached))
        try:
            status = Follower(progress).follow(here, name)
        except BaseException:
            here.leave(name)
            raise
        return outcome(here, status)
