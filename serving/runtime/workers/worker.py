"""One of several processes that serve together: what it does otherwise than one that is alone.

Its connections are handed to it, its counts and predictions stand in shared memory, feedback is the
parent's to judge, and it is the parent that says when it ends. Signals that a whole group of
processes gets are the parent's as well.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import msgspec
import structlog

from serving.runtime.app import App
from serving.runtime.connections import Connections, Kept
from serving.runtime.feedback import Verdict, read_feedback
from serving.runtime.limits import Limits
from serving.runtime.model import Answer, Model, Prepared
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served
from serving.runtime.server import UNDER_WAY, Listener, Server, opening
from serving.runtime.workers.counting import SharedCounters
from serving.runtime.workers.memory import Facts, Memory, Ring

CONNECTION, DRAIN, END, NOW = b"c", b"d", b"e", b"n"
"""What the parent says: a connection comes with this; be unready; take no more and end; end now."""
_AT_ONCE = 64
"""Connections that are taken in one turn."""
_PATIENCE = 5.0
"""Seconds for which the parent's judgement is waited for."""
SIZE = 4
"""Bytes in front of a message that say how long it is."""

_log = structlog.get_logger("serving.runtime")


class Remembered(msgspec.Struct, array_like=True, frozen=True):
    """A prediction on its way to the parent."""

    at: float
    """By `time.monotonic`, which is the same in all processes."""
    identity: str
    predicted: list[Any]


class Question(msgspec.Struct, array_like=True, frozen=True):
    """Feedback for the parent to judge."""

    number: int
    id: str
    outcome: list[Any]


class Judgement(msgspec.Struct, array_like=True, frozen=True):
    """What became of it: a verdict, or a refusal's status, sentence and advice."""

    number: int
    verdict: Verdict | None
    refusal: tuple[int, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Post:
    """A worker's place.

    Args:
        place: in the memory.
        memory: shared with all.
        line: where the parent hands over connections and says what is to be done.
        questions: where the parent is asked.
    """

    place: int
    memory: Memory
    line: socket.socket
    questions: socket.socket


def share(limits: Limits, workers: int) -> Limits:
    """A worker's share of the requests that all may have at once."""
    active, each = (math.ceil(own / workers) for own in (limits.active, limits.each))
    return replace(limits, active=active, each=each)


class _Sent:
    """Predictions, told to the parent before they are answered."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._encode = msgspec.msgpack.Encoder().encode
        self._noted = -math.inf

    def remember(self, identity: str, predicted: Sequence[Any]) -> None:
        """Tell of a request's predictions; an answer that is sent was told of before."""
        record = Remembered(time.monotonic(), identity, list(predicted))
        if not self._ring.put(self._encode(record)) and record.at > self._noted + 1:
            self._noted = record.at
            _log.warning("not remembered", why="the parent does not keep up; no feedback on it")


class Questions:
    """Feedback that the parent judges."""

    def __init__(self, asked: socket.socket) -> None:
        self._socket = asked
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Judgement]] = {}
        self._number = 0
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen to answers."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decode = msgspec.msgpack.Decoder(Judgement).decode
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(SIZE), "little")
                judgement = decode(await reader.readexactly(length))
                future = self._waiting.pop(judgement.number, None)
                if future is not None and not future.done():
                    future.set_result(judgement)
        except (asyncio.IncompleteReadError, OSError):
            return  # the parent is gone, which its line tells as well

    async def judge(self, body: bytes) -> Verdict:
        """Have outcomes held against what any worker predicted.

        Raises:
            Refusal: it is no feedback, of no request that is remembered, or nobody answers.
        """
        feedback = read_feedback(body)
        self._number += 1
        question = Question(self._number, feedback.id, feedback.outcome)
        content = msgspec.msgpack.encode(question)
        future: asyncio.Future[Judgement] = asyncio.get_running_loop().create_future()
        self._waiting[question.number] = future
        assert self._writer is not None
        self._writer.write(len(content).to_bytes(SIZE, "little") + content)
        try:
            judgement = await asyncio.wait_for(future, _PATIENCE)
        except TimeoutError:
            what = "feedback cannot be judged now"
            raise Refusal(503, what, fix="try again in 1 s") from None
        finally:
            self._waiting.pop(question.number, None)
        if judgement.verdict is None:
            assert judgement.refusal is not None
            status, what, fix = judgement.refusal
            raise Refusal(status, what, fix=fix)
        return judgement.verdict


class SharedServed(Served):
    """A model that several processes serve.

    Args:
        model: the loaded model.
        post: this process's place.
        counters: those of all.
        settings: as `Served` has them.
    """

    def __init__(self, model: Model, post: Post, counters: SharedCounters, **settings: Any) -> None:
        super().__init__(model, **settings)
        counters.attach(post.memory, post.place)
        self.counters = counters
        self._sent = _Sent(post.memory.rings[post.place])
        self.questions = Questions(post.questions)

    def remember(self, prepared: Prepared, answer: Answer) -> None:
        """Count what was predicted, and tell the parent."""
        self.counters.answered(answer.rows, answer.scores, prepared.findings)
        self._sent.remember(prepared.identity, answer.classes)

    def judge(self, body: bytes) -> Awaitable[Verdict]:
        """Have outcomes held against what any of the processes predicted."""
        return self.questions.judge(body)


class _Open(set[Kept]):
    """Open connections, whose number the parent knows."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def add(self, connection: Kept) -> None:
        super().add(connection)
        self._tell()

    def discard(self, connection: object) -> None:
        super().discard(cast("Kept", connection))
        self._tell()


class Worker(Server):
    """A server whose connections are handed to it.

    Args:
        app: what answers.
        post: its place.
        questions: what the parent is asked, from when it runs.
        held: bytes that bodies may have together that are still arriving.
    """

    def __init__(self, app: App, post: Post, questions: Questions, *, held: int) -> None:
        super().__init__(app, host="", port=0, grace=math.inf, held=held)
        self._facts = post.memory.facts[post.place]
        self._line = post.line
        self._line.setblocking(False)
        self._questions = questions
        self._tasks: set[asyncio.Task[Any]] = set()

    async def _listen(self, connections: Connections) -> Sequence[Listener]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        await self._questions.open()
        self._connections = connections
        connections.open = _Open(self._tell)
        self._tick(connections)
        asyncio.get_running_loop().add_reader(self._line.fileno(), self._heed)
        self._facts[Facts.SERVES] = os.getpid()
        return [self]

    def close(self) -> None:
        """Take no more connections."""
        self._heed()
        asyncio.get_running_loop().remove_reader(self._line.fileno())

    def _tick(self, connections: Connections) -> None:
        super()._tick(connections)
        self._facts[Facts.BEAT] = time.monotonic_ns()

    def _tell(self) -> None:
        """How many connections there are, or will be at once."""
        self._facts[Facts.OPEN] = len(self._connections.open) + len(self._tasks)

    def _heed(self) -> None:
        """What the parent says."""
        for _ in range(_AT_ONCE):
            try:
                said, given, _, _ = socket.recv_fds(self._line, _AT_ONCE, _AT_ONCE)
            except BlockingIOError:
                return
            except OSError:
                said, given = b"", []
            for number in given:
                self._take(socket.socket(fileno=number))
            if not said:
                asyncio.get_running_loop().remove_reader(self._line.fileno())
                if not math.isfinite(self._until or math.inf):
                    _log.warning("ends", why="the process that hands it connections is gone")
                    self._until = time.monotonic()
                self._be_unready()
                return
            if DRAIN in said:
                self._be_unready()
                self._until = math.inf
            if END in said:
                self._be_unready()
                self._until = time.monotonic()
            if NOW in said:
                self._until = time.monotonic() - UNDER_WAY

    def _take(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accepted.setblocking(False)
        begin = partial(opening, self._connections, self._services)
        work = loop.connect_accepted_socket(begin, accepted)
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._taken)
        self._facts[Facts.RECEIVED] += 1
        self._tell()

    def _taken(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._tell()
        if not task.cancelled():
            task.exception()  # who has gone meanwhile is nobody's fault
