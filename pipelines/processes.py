"""The process that runs are forks of, as whoever starts runs sees it (`pipelines.warm`)."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Self

from contracts.errors import PipelineError

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
"""Waiting threads sleep: where cores are shared, XGBoost's spinning ones make a fit of a second
take half a minute."""
PROGRAM = (sys.executable, "-m", "pipelines.local")
"""What is started; the descriptor for its answers is its argument."""


@dataclass
class WarmProcess:
    """A process with everything imported; it ends when nobody holds this any more."""

    process: subprocess.Popen[bytes]
    answers: IO[bytes]
    log: IO[bytes]
    _asked: int = 0
    _answered: dict[int, Mapping[str, object]] = field(default_factory=dict)
    _done: set[int] = field(default_factory=set)

    @classmethod
    def start(cls) -> Self:
        """Start it; it imports by itself."""
        reader, writer = os.pipe()
        log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        process = subprocess.Popen(
            [*PROGRAM, str(writer)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
            env={**os.environ, **QUIET_THREADS},
            start_new_session=True,
        )
        os.close(writer)
        return cls(process, os.fdopen(reader, "rb", buffering=0), log)

    def ask(self, what: str, **fields: object) -> int:
        """Have it do something beside what it does; the number of the question comes back."""
        self._asked += 1
        line = json.dumps({"id": self._asked, "do": what, **fields}) + "\n"
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.process.wait()
        return self._asked

    def answer(self, question: int) -> dict[str, object] | None:
        """Wait for the answer: the error that was met, described; None where there was none.

        Raises:
            PipelineError: the process has ended, or who was to answer has.
        """
        while question not in self._answered and not self.has_done(question):
            select.select([self.answers], [], [])
        if question not in self._answered:
            raise PipelineError(
                "what checks a model has ended without a word",
                where=" ".join(PROGRAM),
                fix=self.words().strip()[-1000:],
            )
        error = self._answered[question]["error"]
        return error if isinstance(error, dict) else None

    def has_done(self, question: int) -> bool:
        """Whether what was asked has ended."""
        while select.select([self.answers], [], [], 0)[0]:
            line = self.answers.readline()
            if not line:
                break
            said = json.loads(line)
            if said.get("ended"):
                self._done.add(said["id"])
            else:
                self._answered[said["id"]] = said
        return question in self._done or self.has_ended()

    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def words(self) -> str:
        """What it, and what it does beside runs, has printed."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def close(self) -> None:
        """Let it end; runs that it has begun go on."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()
        self.answers.close()
        self.log.close()
