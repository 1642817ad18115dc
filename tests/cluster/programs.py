"""Programs that live as long as the tests: started, waited for, killed, started again.

`pocket.supervisor` keeps programs that outlive the command which started them; these must not. Each
dies with this process, also when that is killed, and its output stays in a file to be read after a
failure.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Program:
    """One process with a log.

    Args:
        name: for people.
        command: what to run.
        log: where its output goes, added to at each start.
        ready: whether it answers; asked until it does.
        env: its whole environment; this process's when left out.
        cwd: where it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool] = lambda: True,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = [*_dies_with_us(), *command]
        self.log = log
        self._ready = ready
        self._env = env
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=self._env, cwd=self._cwd
            )

    def wait_ready(self, within: float = 180.0) -> None:
        """Wait until it answers.

        Raises:
            AssertionError: it ended, or did not answer in time; shows the end of its log.
        """
        end = time.monotonic() + within
        while time.monotonic() < end:
            if not self.running:
                raise AssertionError(f"{self.name} ended: {self.tail()}")
            if self._ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.name} is not ready after {within:.0f}s: {self.tail()}")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self, within: float = 10.0) -> None:
        """Ask it to end, then end it."""
        self._end(signal.SIGTERM, within)

    def _end(self, how: signal.Signals, within: float = 10.0) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([str(self.log), *text.splitlines()[-lines:]])


def _dies_with_us() -> list[str]:
    """Where the system can, a test run that is killed takes its programs along."""
    setpriv = shutil.which("setpriv") if os.name == "posix" else None
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
