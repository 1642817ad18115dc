"""Starts, watches and stops processes that outlive the command which started them.

One command leaves an AWS server, its Redis and whatever else an environment needs running until
another ends them. So they outlive the command that started them, and a later command, which knows
nothing but the environment's directory, must find each again, be sure that it is the same one (a
process id is reused by the system), and end it with everything that it started itself. Without one
place for this, each part would leak processes in its own way whenever a command is killed half-way.

The order of writing makes that safe: the record of what is about to start is on disk before the
process exists, and the process carries `POCKET_PROCESS=<root>:<name>` in its environment. A
start that was killed between the two leaves a record without a process id, and the next start
finds the process by its mark.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped,unused-ignore]

from pocket.errors import ProcessError
from pocket.files import locked, write_whole, writing
from pocket.patience import allowed, until
from pocket.supervisor.marks import effort, lives, marked
from pocket.supervisor.ports import POLL, becomes_free, free_port
from pocket.supervisor.readiness import is_ready, kept, restored
from pocket.supervisor.records import Record, changed
from pocket.supervisor.spec import Running, Spec, Status, written

MARK = "POCKET_PROCESS"
_KILLED_WITHIN = 10.0
_TICK = 0.011
_CLOCK_SHIFT = 60.0
_LOG_LIMIT = 16 * 2**20
_ATTEMPTS = 3
_IN_USE = "address already in use"


def tail(log: Path, *, lines: int = 20, since: int = 0) -> str:
    """The last lines of a log written after the byte offset `since`; empty when there are none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(since, end - 64 * 1024))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


class Supervisor:
    """The processes of one environment, whose directory is `root`.

    Several commands may use the same root at once: each name has a lock.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).resolve()
        self._run = self.root / "run"
        self._logs = self.root / "logs"
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    # -- what callers use ------------------------------------------------------------------------

    def start(self, spec: Spec) -> Running:
        """Make sure that the process runs and is ready; one with the same command is reused.

        Raises:
            ProcessError: it ended or was not ready in time; with the end of its log.
        """
        with self._lock(spec.name):
            record = self._read(spec.name)
            if record and self._process(record) and record.fingerprint == spec.fingerprint:
                running = self._resume(spec, record)
                if running:
                    return running
            self._end(spec.name, record)
            return self._launch(spec, dict(record.ports) if record else {})

    def restart(self, spec: Spec) -> Running:
        """Stop the process when it runs, then start it on the same ports where they are free."""
        with self._lock(spec.name):
            record = self._read(spec.name)
            self._end(spec.name, record)
            return self._launch(spec, dict(record.ports) if record else {})

    def stop(self, name: str) -> bool:
        """End the process and all that it started; False when there was none."""
        with self._lock(name):
            record = self._read(name)
            ended = self._end(name, record)
            self._path(name).unlink(missing_ok=True)
        for suffix in ("lock", "lock.held"):
            self._path(name, suffix).unlink(missing_ok=True)
        return ended

    def stop_all(self) -> list[str]:
        """End every process of this environment, last started first; names those that ran."""
        records = sorted(self._records(), key=lambda record: record.started, reverse=True)
        names = [record.name for record in records]
        names += sorted({name for name, _ in self._marked()} - set(names))
        return [name for name in names if self.stop(name)]

    def find(self, name: str) -> Running | None:
        """The process if it runs (ready or not), else None."""
        record = self._read(name)
        return self._running(record) if record and self._process(record) else None

    def status(self) -> list[Status]:
        """Every process that was started and not stopped, in the order in which they started."""
        records = sorted(self._records(), key=lambda record: record.started)
        return [
            Status(
                name=record.name,
                state=self._state(record),
                pid=record.pid,
                ports=record.ports,
                log=self.log(record.name),
                started=record.started,
            )
            for record in records
        ]

    def watch(
        self,
        wanted: Callable[[], Mapping[str, Spec]],
        *,
        until: threading.Event,
        every: float = 1.0,
        on_restart: Callable[[str], None] = lambda name: None,
    ) -> None:
        """Start again, until the event is set, each wanted process that does not run.

        One that dies again and again is started at most every 2, 4, ... 60 seconds.

        Args:
            wanted: asked in each round which processes there should be, by name.
            until: ends it.
            every: seconds between two rounds.
            on_restart: told the name of each one that was started.
        """
        failures: dict[str, int] = {}
        due: dict[str, float] = {}
        while not until.wait(every):
            for name, spec in wanted().items():
                if time.monotonic() < due.get(name, 0.0):
                    continue
                if self.find(name):
                    failures[name] = 0
                    continue
                failures[name] = failures.get(name, 0) + 1
                due[name] = time.monotonic() + min(60.0, 2.0 ** failures[name])
                with contextlib.suppress(ProcessError):
                    self.start(spec)
                    on_restart(name)

    def log(self, name: str) -> Path:
        """Where the process writes its output."""
        return self._logs / f"{name}.log"

    # -- starting --------------------------------------------------------------------------------

    def _resume(self, spec: Spec, record: Record) -> Running | None:
        """The running process once it is ready; None when it never becomes so."""
        patience = POLL * 40 if record.is_ready else spec.ready_within
        try:
            self._await_ready(spec, record, since=self._size(spec.name), patience=patience)
        except ProcessError:
            return None
        return self._running(self._write(changed(record, is_ready=True)))

    def _launch(self, spec: Spec, remembered: dict[str, int]) -> Running:
        for attempt in range(1, _ATTEMPTS + 1):
            ports = {
                name: remembered[name]
                if attempt == 1 and name in remembered and becomes_free(remembered[name])
                else free_port()
                for name in spec.ports
            }
            since = self._rotate(spec.name)
            record = self._spawn(spec, ports)
            try:
                self._await_ready(spec, record, since=since, patience=spec.ready_within)
            except ProcessError:
                self._end(spec.name, record)
                # Between picking a port and binding it another process may have taken it.
                taken = _IN_USE in tail(self.log(spec.name), since=since).lower()
                if taken and spec.ports and attempt < _ATTEMPTS:
                    continue
                self._path(spec.name).unlink(missing_ok=True)
                raise
            return self._running(self._write(changed(record, is_ready=True)))
        raise AssertionError("unreachable")

    def _spawn(self, spec: Spec, ports: Mapping[str, int]) -> Record:
        argv = tuple(written(word, ports) for word in spec.argv)
        intent = self._write(
            Record(
                name=spec.name,
                fingerprint=spec.fingerprint,
                argv=argv,
                ports=ports,
                ready=kept(spec.ready),
                stop_signal=int(spec.stop_signal),
                grace=spec.grace,
                started=time.time(),
            )
        )
        environment = {
            **os.environ,
            **{key: written(value, ports) for key, value in spec.env.items()},
            MARK: self._mark(spec.name),
        }
        with self._writing(self.log(spec.name)):
            log = os.open(self.log(spec.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            child = subprocess.Popen(
                argv,
                env=environment,
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as failure:
            self._path(spec.name).unlink(missing_ok=True)
            raise ProcessError(
                f"{argv[0]} cannot be run: {failure.strerror}", where=spec.name
            ) from failure
        finally:
            os.close(log)
        self._children[child.pid] = child
        created = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            created = psutil.Process(child.pid).create_time()
        begun = changed(intent, pid=child.pid, created=created)
        try:
            return self._write(begun) if created else begun
        except ProcessError:
            self._end(spec.name, begun)  # what no record says would be nobody's
            raise

    def _await_ready(self, spec: Spec, record: Record, *, since: int, patience: float) -> None:
        def answers() -> bool:
            if not self._process(record):
                raise self._failed(f"{spec.name} ended while starting", spec.name, since)
            return spec.ready is None or is_ready(spec.ready, record.ports)

        def progress() -> tuple[int, int]:
            return self._size(spec.name), effort(record.pid or 0)

        if not until(answers, within=patience, pause=POLL, progress=progress):
            raise self._failed(
                f"{spec.name} was not ready, and showed no sign of getting on for "
                f"{allowed(patience):g} s",
                spec.name,
                since,
            )

    def _failed(self, what: str, name: str, since: int) -> ProcessError:
        said = tail(self.log(name), since=since)
        return ProcessError(
            f"{what}; its log ends with:\n{said}" if said else f"{what}; its log is empty",
            where=name,
            fix=f"The whole log is {self.log(name)}.",
        )

    # -- stopping --------------------------------------------------------------------------------

    def _end(self, name: str, record: Record | None) -> bool:
        """End the recorded process with its group, then whatever else carries the name's mark."""
        leader = self._process(record) if record else None
        if record and leader:
            self._signal_group(leader.pid, signal.Signals(record.stop_signal))
            until(lambda: not self._process(record), within=record.grace, pause=POLL)
            self._signal_group(leader.pid, signal.SIGKILL)
        strays = [process for marked, process in self._marked() if marked == name]
        for process in strays:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        killed = [*strays, *([leader] if leader else [])]

        def all_gone() -> bool:
            self._reap()
            return not any(lives(process) for process in killed)

        if not until(all_gone, within=_KILLED_WITHIN, pause=POLL):
            raise ProcessError(f"{name} does not end, even killed", where=name)
        return bool(killed)

    @staticmethod
    def _signal_group(group: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)

    # -- looking ---------------------------------------------------------------------------------

    def _process(self, record: Record) -> psutil.Process | None:
        """The recorded process, if it is still that one: same id, same time of creation."""
        self._reap()
        if record.pid is None:
            return None
        try:
            process = psutil.Process(record.pid)
            apart = abs(process.create_time() - (record.created or 0.0))
        except psutil.NoSuchProcess:
            return None
        # The time of creation shifts with the clock; a program may overwrite its environment.
        same = apart < _TICK or (apart < _CLOCK_SHIFT and self._has_mark(process, record.name))
        return process if same and lives(process) else None

    def _has_mark(self, process: psutil.Process, name: str) -> bool:
        try:
            return bool(process.environ().get(MARK) == self._mark(name))
        except (psutil.Error, OSError):
            return False

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                self._children.pop(pid, None)  # another thread may have seen it too

    def _marked(self) -> Iterator[tuple[str, psutil.Process]]:
        """(name, process) for each living process that carries a mark of this root."""
        prefix = self._mark("")
        for mark, process in marked(MARK):
            if mark.startswith(prefix):
                yield mark.removeprefix(prefix), process

    def _state(self, record: Record) -> Literal["running", "starting", "unhealthy", "dead"]:
        if not self._process(record):
            return "dead"
        if not record.is_ready:
            return "starting"
        ready = restored(record.ready)
        return "running" if ready is None or is_ready(ready, record.ports) else "unhealthy"

    def _running(self, record: Record) -> Running:
        return Running(
            name=record.name,
            pid=record.pid or 0,
            ports=record.ports,
            argv=record.argv,
            log=self.log(record.name),
            started=record.started,
        )

    def _mark(self, name: str) -> str:
        return f"{self.root}:{name}"

    # -- files -----------------------------------------------------------------------------------

    def _path(self, name: str, suffix: str = "json") -> Path:
        return self._run / f"{name}.{suffix}"

    def _read(self, name: str) -> Record | None:
        try:
            content = json.loads(self._path(name).read_text())
        except FileNotFoundError:
            return None
        return Record(**{**content, "argv": tuple(content["argv"])})

    def _records(self) -> list[Record]:
        found = [self._read(path.stem) for path in self._run.glob("*.json")]
        return [record for record in found if record]

    def _write(self, record: Record) -> Record:
        with self._writing(self._path(record.name)):
            write_whole(self._path(record.name), json.dumps(asdict(record), indent=1))
        return record

    @staticmethod
    def _writing(path: Path) -> contextlib.AbstractContextManager[None]:
        return writing(path, ProcessError, "and run the same command again.")

    def _size(self, name: str) -> int:
        log = self.log(name)
        return log.stat().st_size if log.exists() else 0

    def _rotate(self, name: str) -> int:
        """Keep one old log when the present one has grown; gives the offset of the next run."""
        if self._size(name) > _LOG_LIMIT:
            self.log(name).replace(self.log(name).with_suffix(".log.1"))
        return self._size(name)

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self._path(name, "lock")
        with contextlib.ExitStack() as stack:
            with self._writing(path):
                for folder in (self._run, self._logs):
                    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                stack.enter_context(locked(path))
            yield
