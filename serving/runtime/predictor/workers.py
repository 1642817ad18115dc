"""The worker processes of one model, and the requests that wait for one.

What a person's code does to its process is that process's end and one request's failure: an
exception, an exit, a crash, too much memory, or never coming back. The request is answered with 500
and a sentence, another process takes the place, and the other requests go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped,unused-ignore]
import structlog

from contracts.artifact import Artifact
from contracts.errors import ServingError
from contracts.predictor import unpack
from serving.runtime.binary import Array
from serving.runtime.model import Model, Prepared
from serving.runtime.predictor.messages import (
    MOST,
    SIZE,
    Column,
    Reply,
    Table,
    checked,
    decode_reply,
    framed,
    table_of,
)
from serving.runtime.refusal import Refusal
from serving.runtime.turns import Done

_LINE = 1000
"""Characters of a line of a worker's output that go to the log."""
_PAUSE = 0.1, 10.0
"""Seconds before a worker that ended is replaced: at first, and at most."""
_LEAVING = 2.0
"""Seconds in which a process ends that has closed its socket."""
_KEPT = 5.0
"""Seconds for which requests that are under way may end when the model is let go."""
_log = structlog.get_logger("serving.runtime")


class PredictorModel(Model):
    """A model whose outputs worker processes give.

    Args:
        name: the name that it is served under.
        artifact: its document.
        content: the bytes of ``predictor.zip``, whose digest is the document's.

    Raises:
        ServingError: it is no packed folder, or there is no place to write it.
    """

    def __init__(self, name: str, artifact: Artifact, content: bytes) -> None:
        self.describe(name, artifact)
        self.folder = _unpacked(name, artifact, content)
        self.workers = Workers(self)
        """Not started yet."""

    def warm_up(self) -> None:
        """Its code decides what it does before its first row."""

    def results(self, feeds: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """What the model gives; for a thread beside the event loop, which works meanwhile."""
        asked = self.workers.results(feeds, rows)
        return asyncio.run_coroutine_threadsafe(asked, self.workers.loop).result()


class Worker:
    """One process."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process = process
        self._reader, self._writer = reader, writer

    async def told(self) -> Reply:
        """The next thing that it says.

        Raises:
            EOFError: it ended.
            ValueError: it is no reply.
        """
        try:
            (size,) = SIZE.unpack(await self._reader.readexactly(SIZE.size))
            if size > MOST:
                raise ValueError(f"an answer of {size} bytes")
            return decode_reply(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            raise EOFError from None
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None

    async def ask(self, table: Table) -> Reply:
        """What it predicts for a table."""
        with suppress(OSError):  # it has ended: that is seen while its answer is read
            self._writer.write(framed(table))
            await self._writer.drain()
        return await self.told()

    async def end(self) -> str:
        """End it, where it does not end by itself, and say how it ended."""
        # One that has closed its socket is on its way, and its own status says why.
        if self._reader.at_eof():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _LEAVING)
        with suppress(ProcessLookupError):
            self.process.kill()
        code = await self.process.wait()
        self._writer.close()
        return _ended(code)


class Workers:
    """The processes of one model.

    Args:
        model: the model.
    """

    def __init__(self, model: PredictorModel) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._model = model
        self._rules = model.artifact.predictor
        self._outputs = model.artifact.outputs
        self._idle: deque[Worker] = deque()
        self._all: set[Worker] = set()
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._active = 0
        self._closed = False
        self._why = ""
        """Why the last worker could not be started."""

    @property
    def alive(self) -> bool:
        """Whether a worker has loaded the model, and so requests can be answered."""
        return bool(self._all)

    @property
    def cost(self) -> int:
        """Bytes that the processes take that they share with nobody."""
        total = 0
        for worker in self._all:
            with suppress(psutil.Error):
                total += psutil.Process(worker.process.pid).memory_full_info().uss
        return total

    async def start(self) -> None:
        """Start all of them, and wait until they have loaded the model.

        Raises:
            ServingError: one could not; the text says what its code said.
        """
        self.loop = asyncio.get_running_loop()
        started = [self._started() for _ in range(self._rules.workers)]
        results = await asyncio.gather(*started, return_exceptions=True)
        for result in results:
            if isinstance(result, Worker):
                self._put(result)
        if failed := [result for result in results if isinstance(result, BaseException)]:
            await self.close()
            raise failed[0]

    def ask(self, prepared: Prepared, done: Done) -> None:
        """Have a request answered by the next worker that is free."""
        self._run(self._answered(prepared, done))

    async def _answered(self, prepared: Prepared, done: Done) -> None:
        try:
            if prepared.gone:
                raise Refusal(499, "nobody waits for it")
            results = await self.results(prepared.feeds, prepared.rows)
            done(prepared, self._model.finished(prepared, results))
        except Refusal as refusal:
            done(prepared, refusal)
        except Exception:  # noqa: BLE001  whatever it is, somebody waits
            _log.exception("failed")
            done(prepared, Refusal(500, "the server has a fault; see its log"))

    async def results(self, feeds: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """What the model gives, by output.

        Raises:
            Refusal: its code failed (500), or no worker was free in time (503).
        """
        try:
            return checked(await self.columns(feeds, rows), self._outputs, rows)
        except ValueError as error:
            raise Refusal(500, f"the model's code gave what it may not: {error}") from None

    async def columns(self, feeds: Mapping[str, Array], rows: int) -> dict[str, Column]:
        """What the model's code gives, whatever it is.

        Raises:
            Refusal: its code failed (500), or no worker was free in time (503).
        """
        self._active += 1
        try:
            return await self._asked(await self._free(), table_of(feeds, rows))
        finally:
            self._active -= 1

    async def _asked(self, worker: Worker, table: Table) -> dict[str, Column]:
        limit = self._rules.timeout
        try:
            reply = await asyncio.wait_for(worker.ask(table), limit)
        except TimeoutError:
            await self._lost(worker)
            raise Refusal(
                500, f"the model's code did not answer within {limit:g} s, and was ended"
            ) from None
        except EOFError:
            how = await self._lost(worker)
            raise Refusal(500, f"the model's process ended on this request: {how}") from None
        except ValueError as error:
            await self._lost(worker)
            raise Refusal(500, f"the model's process gave no answer: {error}") from None
        except BaseException:
            await self._lost(worker)
            raise
        self._put(worker)
        if reply.error:
            raise Refusal(500, f"the model's code failed on this request: {reply.error}")
        return reply.outputs

    async def _free(self) -> Worker:
        """A worker that does nothing else, in the order of asking."""
        if self._idle:
            return self._idle.popleft()
        waiter: asyncio.Future[Worker] = self.loop.create_future()
        self._waiting.append(waiter)
        try:
            return await asyncio.wait_for(waiter, self._rules.timeout)
        except TimeoutError:
            what = f"no process of the model was free within {self._rules.timeout:g} s"
            if not self._all:
                what = f"no process of the model could be started: {self._why or 'not yet'}"
            raise Refusal(503, what, fix="try again in 1 s") from None

    def _put(self, worker: Worker) -> None:
        self._all.add(worker)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        self._idle.append(worker)
        if worker.process.returncode is not None:
            self._idle.remove(worker)
            self._run(self._lost(worker))

    async def _lost(self, worker: Worker) -> str:
        """A worker is of no use any more: another takes its place."""
        how = await worker.end()
        self._all.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        _log.warning("worker ended", model=self._model.name, how=how)
        if not self._closed:
            self._run(self._replaced())
        return how

    async def _replaced(self) -> None:
        pause, most = _PAUSE
        while not self._closed:
            try:
                worker = await self._started()
            except ServingError as error:
                self._why = error.what
                _log.warning("worker not started", model=self._model.name, why=error.what)
                await asyncio.sleep(pause)
                pause = min(2 * pause, most)
                continue
            if self._closed:
                await worker.end()
            else:
                self._put(worker)
            return

    async def _started(self) -> Worker:
        """A process that has loaded the model.

        Raises:
            ServingError: it has not.
        """
        model, rules = self._model, self._rules
        where = f"{model.name} {model.version}"
        ours, theirs = socket.socketpair()
        names = [tensor.name for tensor in self._outputs]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-u", "-m", "serving.runtime.predictor.worker"),
                *(str(theirs.fileno()), str(model.folder), json.dumps(names)),
                str(rules.memory or 0),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                },
            )
        ours.setblocking(False)
        worker = Worker(process, *await asyncio.open_connection(sock=ours))
        self._run(self._logged(process))
        began = time.monotonic()
        try:
            reply = await asyncio.wait_for(worker.told(), rules.startup)
        except TimeoutError:
            await worker.end()
            what = f"the model's code did not load within {rules.startup:g} s"
            raise ServingError(what, where=where) from None
        except (EOFError, ValueError):
            how = await worker.end()
            what = f"the model's process ended while it loaded: {how}"
            raise ServingError(what, where=where) from None
        except BaseException:
            await worker.end()
            raise
        if reply.error:
            await worker.end()
            raise ServingError(f"the model's code does not load: {reply.error}", where=where)
        seconds = round(time.monotonic() - began, 3)
        _log.info("worker ready", model=model.name, pid=process.pid, seconds=seconds)
        return worker

    async def _logged(self, process: asyncio.subprocess.Process) -> None:
        """What the code prints, in the log."""
        stream = process.stdout
        assert stream is not None
        rest = b""
        while piece := await stream.read(2**16):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > 2**16:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._say(process.pid, line)
        if rest:
            self._say(process.pid, rest)

    def _say(self, pid: int, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()[:_LINE]
        if text:
            _log.info("said", model=self._model.name, pid=pid, line=text)

    def _run(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def release(self) -> None:
        """`close`, without waiting for it."""
        self._run(self.close())

    async def close(self) -> None:
        """Let requests that are under way end, end the processes, and remove their files."""
        self._closed = True
        until = self.loop.time() + _KEPT
        while self._active and self.loop.time() < until:
            await asyncio.sleep(0.02)
        for worker in list(self._all):
            await worker.end()
        self._all.clear()
        self._idle.clear()
        shutil.rmtree(self._model.folder, ignore_errors=True)


def _unpacked(name: str, artifact: Artifact, content: bytes) -> Path:
    """A new folder with the model's files."""
    where = f"{name} {artifact.version}"
    start = f"millwright-{name}-"
    try:
        try:
            folder = Path(tempfile.mkdtemp(prefix=start))
        except FileNotFoundError:  # where nothing else can be written, as in a pod
            folder = Path(tempfile.mkdtemp(prefix=start, dir="/dev/shm"))
        unpack(content, folder)
    except OSError as error:
        raise ServingError(
            f"the model's files cannot be written: {error}",
            where=where,
            fix="Give the server a folder to write in: TMPDIR.",
        ) from None
    except ValueError as error:
        raise ServingError(
            f"predictor.zip: {error}", where=where, fix="Register the model again."
        ) from None
    return folder


def _ended(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        return f"{name} (often too little memory)" if name == "SIGKILL" else name
    return f"signal {-code}"
