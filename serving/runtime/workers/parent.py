"""The process that has the port, and whose workers serve.

It hands each connection to the worker with the fewest. The kernel would do that by itself with
SO_REUSEPORT, but by a hash: of few connections that live long, as a proxy's do, one worker gets
most, and those that wait for a worker that dies are lost with it.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec
import structlog

from serving.runtime.feedback import Feedback, Record
from serving.runtime.refusal import CANNOT_SERVE, Refusal
from serving.runtime.server import BACKLOG, UNDER_WAY
from serving.runtime.workers.counting import SharedCounters
from serving.runtime.workers.memory import Facts, Memory
from serving.runtime.workers.worker import (
    CONNECTION,
    DRAIN,
    END,
    NOW,
    SIZE,
    Judgement,
    Post,
    Question,
    Remembered,
)

_LOOK = 0.05
"""Seconds after which what workers remember is read, and whether they live is looked at."""
_HUNG = 30.0
"""Seconds without a sign of life, after which a worker is ended."""
_QUICK = 1.0
"""A worker that lives shorter than this may well die at once again."""
_PATIENCE = 3
"""So many times it is started anew at once."""
_LONGEST = 30.0
"""Seconds that are waited at most, before it is tried again."""
_ENDS = 5.0
"""Seconds beyond those that its requests have, in which a worker has to be gone."""
_MESSAGE = 2**16

_log = structlog.get_logger("serving.runtime")


class _Seat:
    """A worker, or the place of one that is to come."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.pid = 0
        self.line: socket.socket | None = None
        self.questions: socket.socket | None = None
        self.asked = self.answers = b""
        self.handed = 0
        self.began = 0.0
        self.quick = 0
        """Deaths soon after the start, in a row."""
        self.again = 0.0
        """When it is to be started, by `time.monotonic`."""


class Parent:
    """Runs workers.

    Args:
        workers: how many.
        host: address to listen on.
        port: port to listen on.
        also: another port, which is as the first; 0 for none.
        grace: seconds for which requests are still taken after SIGTERM.
        work: what a worker does, in its own process; gives its exit status.
        record: what was predicted.
        counters: attached to nobody yet.
    """

    def __init__(
        self,
        workers: int,
        *,
        host: str,
        port: int,
        also: int = 0,
        grace: float,
        work: Callable[[Post], int],
        record: Record,
        counters: SharedCounters,
        memory: Memory,
    ) -> None:
        self._host, self._grace = host, grace
        self._ports = (port, also) if also else (port,)
        self._work = work
        self._record = record
        self._memory = memory
        self._counters = counters
        self._seats = [_Seat(place) for place in range(workers)]
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._listens = False
        self._until: float | None = None
        """When no connection is taken any more."""
        self._over: float | None = None
        """When workers that are still there are ended."""
        self._status = 0
        self._decode = msgspec.msgpack.Decoder(Remembered).decode
        self._decode_question = msgspec.msgpack.Decoder(Question).decode

    def run(self) -> int:
        """Serve until SIGTERM.

        Returns:
            The exit status: 1 where the port cannot be had, or a worker could not serve.
        """
        for port in self._ports:
            try:
                self._listeners += _bound(self._host, port)
            except OSError as error:
                print(f"{CANNOT_SERVE}{self._host}:{port}: {error.strerror}", file=sys.stderr)
                return 1
        gc.collect()
        gc.freeze()
        self._counters.attach(self._memory, len(self._seats))
        self._woken, waking = socket.socketpair()
        for one in (self._woken, waking):
            one.setblocking(False)
        self._waking = waking
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._signalled)
        try:
            return self._loop()
        finally:
            for seat in self._seats:
                if seat.pid:
                    os.kill(seat.pid, signal.SIGKILL)

    def _loop(self) -> int:
        for seat in self._seats:
            self._start(seat)
        while True:
            self._listen_while_there_are_workers()
            for key, _ in self._selector.select(_LOOK):
                key.data()
            now = time.monotonic()
            self._read_predictions()
            self._look_after(now)
            if self._until is not None and now >= self._until:
                self._end(now)
            if self._over is not None and not any(seat.pid for seat in self._seats):
                self._read_predictions()
                return self._status

    # -- workers ---------------------------------------------------------------------------------

    def _start(self, seat: _Seat) -> None:
        seat.line, line = socket.socketpair()
        seat.questions, questions = socket.socketpair()
        facts = self._memory.facts[seat.place]
        facts[Facts.SERVES] = facts[Facts.OPEN] = 0
        facts[Facts.BEAT] = time.monotonic_ns()
        seat.handed = facts[Facts.RECEIVED]
        seat.asked = seat.answers = b""
        seat.began = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        seat.pid = os.fork()
        if not seat.pid:
            self._become(
                Post(place=seat.place, memory=self._memory, line=line, questions=questions)
            )
        line.close()
        questions.close()
        seat.line.setblocking(False)
        seat.questions.setblocking(False)
        self._selector.register(
            seat.questions, selectors.EVENT_READ, lambda: self._read_questions(seat)
        )

    def _become(self, post: Post) -> None:
        """Be a worker, with nothing that is the parent's; does not return."""
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            self._selector.close()
            for own in (*self._listeners, self._woken, self._waking):
                own.close()
            for seat in self._seats:
                _close(seat)
            code = self._work(post)
        except BaseException:  # noqa: BLE001  whatever it is, this process is not the parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _look_after(self, now: float) -> None:
        """Start anew who has died, and end who gives no sign of life."""
        for seat in self._seats:
            _answer(seat)
            facts = self._memory.facts[seat.place]
            if seat.pid and facts[Facts.SERVES] == seat.pid and self._over is None:
                silent = time.monotonic_ns() - facts[Facts.BEAT]
                if silent > _HUNG * 1e9:
                    _log.error(
                        "worker hangs",
                        worker=seat.place,
                        pid=seat.pid,
                        why=f"a worker gave no sign of life for {_HUNG:g} s, and is killed",
                    )
                    facts[Facts.BEAT] = time.monotonic_ns()
                    os.kill(seat.pid, signal.SIGKILL)
            if not seat.pid and self._until is None and now >= seat.again:
                self._start(seat)

    def _reap(self) -> None:
        for seat in self._seats:
            if not seat.pid:
                continue
            pid, status = os.waitpid(seat.pid, os.WNOHANG)
            if pid:
                self._ended(seat, os.waitstatus_to_exitcode(status))

    def _ended(self, seat: _Seat, code: int) -> None:
        """A worker is gone: its counts and what it remembered stay."""
        facts, now = self._memory.facts[seat.place], time.monotonic()
        served = facts[Facts.SERVES] == seat.pid
        pid, seat.pid = seat.pid, 0
        assert seat.questions is not None
        self._read_questions(seat)
        if seat.questions in self._selector.get_map():
            self._selector.unregister(seat.questions)
        _close(seat)
        if self._over is not None:
            self._status = self._status or int(code != 0)
            return
        if not served and code > 0:  # it has said why
            self._status = code
            self._drain(0.0)
            return
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        seat.quick = seat.quick + 1 if now - seat.began < _QUICK else 0
        pause = min(2.0 ** (seat.quick - _PATIENCE), _LONGEST) if seat.quick >= _PATIENCE else 0.0
        seat.again = now + pause
        _log.error(
            "worker ended",
            worker=seat.place,
            pid=pid,
            why=f"a worker ended {how}: requests that it had begun are lost, what it counted and "
            "predicted is kept, and another takes its place",
            connections=facts[Facts.OPEN],
            after=pause,
        )
        if not pause and self._until is None:
            self._start(seat)

    # -- connections -----------------------------------------------------------------------------

    def _listen_while_there_are_workers(self) -> None:
        """Without a worker, connections wait for one where the kernel keeps them."""
        wanted = self._over is None and any(seat.pid for seat in self._seats)
        if wanted == self._listens:
            return
        self._listens = wanted
        for listener in self._listeners:
            if wanted:
                self._selector.register(
                    listener, selectors.EVENT_READ, lambda own=listener: self._accept(own)
                )
            else:
                self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                _log.warning("no connection taken", why=error.strerror)
                time.sleep(_LOOK)  # such as too many files, which others have to close
                return
            with connection:
                self._hand(connection)

    def _hand(self, connection: socket.socket) -> None:
        """To the worker with the fewest connections; among equals to who was begun first."""
        for seat in sorted((seat for seat in self._seats if seat.pid), key=self._load):
            assert seat.line is not None
            with suppress(OSError):
                socket.send_fds(seat.line, [CONNECTION], [connection.fileno()])
                seat.handed += 1
                return
        _log.warning("a connection was closed", why="no worker can take it")

    def _load(self, seat: _Seat) -> int:
        facts = self._memory.facts[seat.place]
        return int(facts[Facts.OPEN] + seat.handed - facts[Facts.RECEIVED])

    # -- what was predicted, and what came true --------------------------------------------------

    def _read_predictions(self) -> None:
        records = [self._decode(content) for ring in self._memory.rings for content in ring.take()]
        records.sort(key=lambda own: own.at)
        for own in records:
            self._record.remember(own.identity, own.predicted)

    def _read_questions(self, seat: _Seat) -> None:
        assert seat.questions is not None
        try:
            content = seat.questions.recv(_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:
            if seat.questions in self._selector.get_map():
                self._selector.unregister(seat.questions)
            return
        seat.asked += content
        while len(seat.asked) >= SIZE:
            end = SIZE + int.from_bytes(seat.asked[:SIZE], "little")
            if len(seat.asked) < end:
                return
            question, seat.asked = seat.asked[SIZE:end], seat.asked[end:]
            answer = msgspec.msgpack.encode(self._judged(self._decode_question(question)))
            seat.answers += len(answer).to_bytes(SIZE, "little") + answer
        _answer(seat)

    def _judged(self, question: Question) -> Judgement:
        self._read_predictions()  # all that was answered is there
        try:
            verdict = self._record.judge(Feedback(question.id, question.outcome))
        except Refusal as refusal:
            return Judgement(question.number, None, (refusal.status, refusal.what, refusal.fix))
        self._counters.judged(verdict.right, verdict.wrong)
        return Judgement(question.number, verdict)

    # -- the end ---------------------------------------------------------------------------------

    def _signalled(self) -> None:
        with suppress(BlockingIOError):
            numbers = set(self._woken.recv(4096))
            if signal.SIGCHLD in numbers:
                self._reap()
            if numbers & {signal.SIGTERM, signal.SIGINT}:
                if self._until is None:
                    _log.info("draining", seconds=self._grace)
                    self._drain(self._grace)
                else:
                    self._end(time.monotonic())
                    self._say(NOW)

    def _drain(self, grace: float) -> None:
        self._until = time.monotonic() + grace
        self._say(DRAIN)

    def _end(self, now: float) -> None:
        """Take no more, and have what is under way answered."""
        if self._over is None:
            for listener in self._listeners:
                self._accept(listener)
            self._over = now + UNDER_WAY + _ENDS
            self._listen_while_there_are_workers()
            for listener in self._listeners:
                listener.close()
            self._say(END)
        elif now > self._over:
            for seat in self._seats:
                if seat.pid:
                    os.kill(seat.pid, signal.SIGKILL)

    def _say(self, word: bytes) -> None:
        for seat in self._seats:
            if seat.pid and seat.line is not None:
                with suppress(OSError):
                    seat.line.send(word)


def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Sockets that listen, one an address of the host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in dict.fromkeys(found):
        listener = socket.create_server(
            address[:2],
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=False,
        )
        listener.setblocking(False)
        yield listener


def _answer(seat: _Seat) -> None:
    """Send what there is room for; the rest at the next look."""
    if seat.questions is not None and seat.answers:
        with suppress(OSError):
            seat.answers = seat.answers[seat.questions.send(seat.answers) :]


def _close(seat: _Seat) -> None:
    for own in (seat.line, seat.questions):
        if own is not None:
            own.close()
