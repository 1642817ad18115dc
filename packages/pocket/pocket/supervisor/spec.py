"""What to keep running, and how matters stand with it."""

from __future__ import annotations

import hashlib
import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pocket.errors import ProcessError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class HttpReady:
    """Ready when `GET http://127.0.0.1:<port><path>` answers 200; `port` is a name in the spec."""

    path: str = "/"
    port: str = "port"


@dataclass(frozen=True, kw_only=True)
class TcpReady:
    """Ready when the named port takes a connection."""

    port: str = "port"


@dataclass(frozen=True, kw_only=True)
class CallReady:
    """Ready when `check(ports)` is true; an OSError or ProcessError from it counts as not yet."""

    check: Callable[[Mapping[str, int]], bool]


Readiness = HttpReady | TcpReady | CallReady


@dataclass(frozen=True)
class Port:
    """Where the number of a picked port goes, by the port's name in the spec."""

    name: str = "port"


Word = str | Port | tuple[str | Port, ...]
"""A word of a command, or a variable's value. A text is handed over as it is, whatever it holds: a
folder may be named `{port}`. One that a port is a part of is given in pieces."""


def written(word: Word, ports: Mapping[str, int]) -> str:
    """The word with its ports' numbers."""
    pieces = word if isinstance(word, tuple) else (word,)
    return "".join(str(ports[piece.name]) if isinstance(piece, Port) else piece for piece in pieces)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A process to keep.

    Args:
        name: its name within the environment; its log is `logs/<name>.log`.
        argv: the command, a text or `Port` a word (or both, in pieces).
        env: added to this process's environment; values are words as in `argv`.
        cwd: its working directory; the present one when None.
        ports: names of the ports to pick on 127.0.0.1; the same numbers again after a restart if
            they are free.
        ready: how to tell that it answers; None: as soon as it runs.
        ready_within: seconds until it must be ready, counted from its last sign of getting on: a
            line in its log, or computing.
        stop_signal: what asks it to end; after `grace` seconds its whole process group is killed.
    """

    name: str
    argv: tuple[Word, ...]
    env: Mapping[str, Word] = field(default_factory=dict)
    cwd: Path | None = None
    ports: tuple[str, ...] = ("port",)
    ready: Readiness | None = None
    ready_within: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ProcessError(
                f"{self.name!r} cannot name a process",
                fix="Use lower-case letters, digits, '.', '_' and '-'.",
            )
        words = [word if isinstance(word, tuple) else (word,) for word in self._words()]
        named = {piece.name for word in words for piece in word if isinstance(piece, Port)}
        for name in sorted(named - set(self.ports)):
            raise ProcessError(
                f"its command names the port {name!r}, and its ports are {list(self.ports)}",
                where=self.name,
                fix="Name it among its `ports`.",
            )

    def _words(self) -> Iterator[Word]:
        yield from self.argv
        yield from self.env.values()

    @property
    def fingerprint(self) -> str:
        """The same for the same command, so that a changed one is started anew."""
        text = json.dumps(
            [self.argv, sorted(self.env.items()), str(self.cwd), self.ports], default=asdict
        )
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process that was found or started."""

    name: str
    pid: int
    ports: Mapping[str, int]
    argv: tuple[str, ...]
    log: Path
    started: float

    @property
    def port(self) -> int:
        """Its first port."""
        return next(iter(self.ports.values()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Status:
    """How matters stand with one process."""

    name: str
    state: Literal["running", "starting", "unhealthy", "dead"]
    pid: int | None
    ports: Mapping[str, int]
    log: Path
    started: float
