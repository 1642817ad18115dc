"""Runs on a Kubeflow Pipelines server: each step is a pod, and its outputs are in the artifact
store.

The server's API says how a run's tasks stand, and no more: what a step wrote (also its log, which
Kubeflow's launcher keeps) is under ``<root>/<pipeline>/<run>/<step>/<random>/<name>`` in the store.

Source: https://github.com/kubeflow/pipelines (backend/src/v2/driver, backend/src/v2/component)
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pyarrow import fs

from components import entry
from components.documents import Evaluation
from contracts.dataset import DatasetSpec
from contracts.errors import MillwrightError, PipelineError, RejectedError
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from pipelines.following import Request, RunState, RunStatus, StepState, StepStatus
from pipelines.journal import last_words
from pipelines.kubeflow import MOST, RefusedError, Server
from pipelines.results import document
from pipelines.running import chosen, unknown
from pipelines.submitting import store_of, submit
from pipelines.wiring import PIPELINE, STEPS

PACE = 2.0
"""Seconds between two looks at a run: the server itself hears of its pods no sooner."""
IDENTITY = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
LOGS = re.compile(r"executor-logs(-\d+)?")
"""What the launcher calls a step's log, with the number of the try."""
DRIVER = "-driver"
NO_LOG = (
    "its pod left no log: it was stopped or evicted, had too little memory, or never began because "
    "its image could not be pulled or no node had room"
)
STOPPED = "stopped"
"""An object in a run's folder: somebody stopped it. The server itself says then that the run has
failed, and no more."""
EPOCH = datetime(1971, 1, 1, tzinfo=UTC)
"""The server says "not yet" with the year 1 or 1970."""
STATES = {
    "SUCCEEDED": RunState.DONE,
    "SKIPPED": RunState.DONE,
    "FAILED": RunState.FAILED,
    "CANCELED": RunState.STOPPED,
    "RUNNING": RunState.RUNNING,
    "CANCELING": RunState.STOPPING,
    "PAUSED": RunState.RUNNING,
}
"""The server's states of a run; it waits in any other."""
TASKS: dict[str, StepState] = {
    "SUCCEEDED": "finished",
    "SKIPPED": "cached",
    "FAILED": "failed",
    "RUNNING": "running",
}
"""The server's states of a task; it waits in any other."""


@dataclass(frozen=True)
class StoredOutputs:
    """What a run's steps left in the artifact store.

    Args:
        location: the URI of the run's folder there.
    """

    location: str

    def read(self, step: str, name: str) -> bytes | None:
        """See `RunOutputs.read`."""
        path = self._newest(step, re.compile(re.escape(name)))
        return self._content(path) if path else None

    def origin(self, step: str) -> str:
        """See `RunOutputs.origin`: Kubeflow's cache says nothing of whose outputs it has taken."""
        return ""

    def error(self, step: str) -> MillwrightError | None:
        """See `RunOutputs.error`; where the launcher keeps no logs, the gates still speak."""
        for said in map(entry.heard, reversed(self._log_lines(step))):
            if said and said.get("event") == "failed":
                return entry.restore(said)
        evaluation = document(self, Evaluation) if step == STEPS[-1] else None
        if evaluation is None or evaluation.accepted:
            return None
        from components.register.step import refuse_failed

        try:
            refuse_failed(evaluation, "")
        except RejectedError as error:
            return error
        return None

    def last_words(self, step: str) -> str:
        """See `RunOutputs.last_words`."""
        lines = self._log_lines(step)
        return last_words("\n".join(lines)) if lines else NO_LOG

    def log(self, step: str) -> str:
        """See `RunOutputs.log`."""
        path = self._newest(step, LOGS) if step else None
        return f"s3://{path}" if path else f"the pods of the run {self.location.rpartition('/')[2]}"

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped the run with `mark_stopped`."""
        try:
            system, folder = self._store
            return bool(system.get_file_info(f"{folder}/{STOPPED}").type == fs.FileType.File)
        except OSError as error:
            raise self._unreadable(error) from error

    def mark_stopped(self) -> None:
        """Write down that somebody stopped the run.

        Who may stop runs may not be one who may write there; then the run will have failed, which
        is what the server says as well.
        """
        with contextlib.suppress(OSError):
            system, folder = self._store
            with system.open_output_stream(f"{folder}/{STOPPED}") as stream:
                stream.write(b"stopped\n")

    def _log_lines(self, step: str) -> list[str]:
        path = self._newest(step, LOGS)
        return self._content(path).decode("utf-8", "replace").splitlines() if path else []

    @cached_property
    def _store(self) -> tuple[Any, str]:
        """The store, and the folder's path in it."""
        system, path = fs.FileSystem.from_uri(self.location)
        return system, str(path)

    def _newest(self, step: str, name: re.Pattern[str]) -> str | None:
        """The object that a step wrote last under a name: a step that was tried again has more
        than one."""
        try:
            system, folder = self._store
            place = f"{folder}/{step}"
            selector = fs.FileSelector(place, recursive=True, allow_not_found=True)
            infos = system.get_file_info(selector)
        except OSError as error:
            raise self._unreadable(error) from error
        written = [
            info
            for info in infos
            if info.type == fs.FileType.File
            and name.fullmatch(info.path[len(place) + 1 :].partition("/")[2])
        ]
        return str(max(written, key=lambda file: (file.mtime, file.path)).path) if written else None

    def _content(self, path: str) -> bytes:
        try:
            with self._store[0].open_input_stream(path) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> PipelineError:
        return PipelineError(
            f"what the run wrote cannot be read: {error}",
            where=self.location,
            fix="May you read the environment's artifacts bucket, and is its region the right one?",
        )


@dataclass
class PodRuns:
    """The runs of a Kubeflow Pipelines server.

    Args:
        server: its API.
        platform: the environment's outputs.
        now: names a run; the present, where none is given.
    """

    server: Server
    platform: PlatformOutputs
    now: datetime | None = None
    pace: float = field(default_factory=lambda: PACE)
    _identities: dict[str, str] = field(default_factory=dict)

    def check(self, spec: ModelSpec, dataset: DatasetSpec, features: Path, where: str) -> None:
        """See `Runs.check`."""
        from components.rehearsal import check_model

        check_model(spec, dataset, features, where)

    def start(self, request: Request) -> str:
        """See `Runs.start`."""
        started = submit(self.server, request, self.platform, self.now or datetime.now(UTC))
        self._identities[started.display_name] = started.run_id
        return str(started.display_name)

    def list(self, limit: int) -> tuple[RunStatus, ...]:
        """See `Runs.list`."""
        kept = {"key": "storage_state", "operation": "NOT_EQUALS", "stringValue": "ARCHIVED"}
        answer = self.server.call(
            "runs.run_service_list_runs",
            page_size=limit,
            sort_by="created_at desc",
            filter=json.dumps({"predicates": [kept]}),
        )
        return tuple(self._status(run) for run in answer.runs or ())

    def status(self, run: str) -> RunStatus:
        """See `Runs.status`; the server's own identity of a run is taken as well."""
        identity = self._identities.get(run) or self._find(run)
        try:
            answer = self.server.call("runs.run_service_get_run", run_id=identity)
        except RefusedError as error:
            if error.status == 404:
                raise unknown(run, [], self.server.url) from error
            raise
        return self._status(answer)

    def outputs(self, status: RunStatus) -> StoredOutputs:
        """See `Runs.outputs`."""
        return StoredOutputs(status.location)

    def stop(self, status: RunStatus) -> None:
        """See `Runs.stop`."""
        if not status.state.over:
            self.server.call("runs.run_service_terminate_run", run_id=status.identity)
            self.outputs(status).mark_stopped()

    def leave(self, run: str) -> bool:
        """See `Runs.leave`: it is the server's."""
        return True

    def _find(self, run: str) -> str:
        """A run's identity, by what `chosen` takes."""
        if IDENTITY.match(run):
            return run
        listing = "runs.run_service_list_runs"
        named = []
        if run:
            named = self.server.matching(listing, "runs", key="display_name", value=run)
            experiments = [number for number, model in self._models.items() if model == run]
            for number in () if named else experiments:
                named = self.server.matching(listing, "runs", key="experiment_id", value=number)
        if not named:
            answer = self.server.call(listing, page_size=MOST, sort_by="created_at desc")
            latest = {each.display_name: each for each in reversed(answer.runs or ())}
            models = {
                name: self._models.get(latest[name].experiment_id, "") for name in reversed(latest)
            }
            named = [latest[chosen(run, models, self.server.url)]]
        if run == named[0].display_name:
            self._identities[run] = str(named[0].run_id)
        return str(named[0].run_id)

    @cached_property
    def _models(self) -> dict[str, str]:
        """Models by the identity of the experiment that holds their runs."""
        answer = self.server.call("experiments.experiment_service_list_experiments", page_size=200)
        return {one.experiment_id: one.display_name for one in answer.experiments or ()}

    def _status(self, run: Any) -> RunStatus:
        root = getattr(run.runtime_config, "pipeline_root", None) or store_of(self.platform)
        errors = [change.error.message for change in run.state_history or () if change.error]
        status = RunStatus(
            run=run.display_name,
            identity=run.run_id,
            model=self._models.get(run.experiment_id, ""),
            state=STATES.get(run.state, RunState.WAITING),
            created=run.created_at,
            finished=moment(run.finished_at),
            steps=steps(run.run_details.task_details or () if run.run_details else ()),
            reason=errors[-1] if errors else "",
            location=f"{root.partition('?')[0].rstrip('/')}/{PIPELINE}/{run.run_id}",
        )
        return replace(status, state=self._ended(status))

    def _ended(self, status: RunStatus) -> RunState:
        """How a run ended that the server says has failed: that is also what becomes of one that
        was stopped, and of one whose model was rejected."""
        if status.state is not RunState.FAILED:
            return status.state
        outputs = self.outputs(status)
        try:
            if outputs.stopped:
                return RunState.STOPPED
            error = outputs.error(status.failed_step) if status.failed_step else None
        except PipelineError:
            # Which it was is in the store; that the store cannot be read is said where somebody
            # wants to know why.
            return RunState.FAILED
        return RunState.REJECTED if isinstance(error, RejectedError) else RunState.FAILED


def steps(tasks: Iterable[Any]) -> tuple[StepStatus, ...]:
    """How each step stands, of a run's tasks.

    Kubeflow has more of its own; of those only a driver counts, which prepares a step and may fail
    at it.
    """
    stands = {step: StepStatus(step=step) for step in STEPS}
    for task in tasks:
        step = task.display_name.removesuffix(DRIVER)
        if step != task.display_name and step in stands and task.state == "FAILED":
            stands[step] = StepStatus(step=step, state="failed")
        if task.display_name in stands and stands[task.display_name].state != "failed":
            start, end = moment(task.start_time), moment(task.end_time)
            stands[task.display_name] = StepStatus(
                step=task.display_name,
                state=TASKS.get(task.state, "waiting"),
                seconds=(end - start).total_seconds() if start and end else 0.0,
            )
    return tuple(stands.values())


def moment(given: datetime | None) -> datetime | None:
    """A time that the server gives; None where it means "not yet"."""
    return given if given is not None and given > EPOCH else None
