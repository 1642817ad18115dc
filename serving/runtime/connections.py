"""All connections of a server: what they share, and what ends those that stall."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

from serving.runtime.messages import Site

MOST_HELD = 256 * 2**20
"""Bytes of all bodies that are still arriving."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a client may take, in seconds.

    Args:
        head: for a request's head, from its first byte.
        body: for a body, beside what its size allows at `rate`.
        rate: bytes a second that a body has to come at, at the least, and an answer be read at.
        idle: between requests; longer than a proxy keeps an idle connection, so that it is never
            the server that closes it.
        reading: for an answer that it does not read, beside what its size allows at `rate`.
        parting: to read a refusal while it still sends.
    """

    head: float = 30.0
    body: float = 30.0
    rate: float = 16 * 2**10
    idle: float = 120.0
    reading: float = 60.0
    parting: float = 5.0


class Kept(Protocol):
    """A connection, as far as all of them have to know it."""

    def check(self, now: float) -> None:
        """End it if its client has taken too long; `now` by `time.monotonic`."""

    def end(self) -> None:
        """The server ends: close it, after its answer if one is under way."""

    def abort(self) -> None:
        """Close it now."""


class Connections:
    """All connections of a server, and what they share.

    Args:
        site: what answers.
        patience: how long clients may take.
        held: bytes that bodies may have together that are still arriving.
    """

    def __init__(
        self, site: Site, *, patience: Patience | None = None, held: int = MOST_HELD
    ) -> None:
        self.site = site
        self.patience = patience or Patience()
        self.open: set[Kept] = set()
        self.most_held = held
        self.held = 0
        self.ending = False
        self.date = b""
        self._second = 0
        self.tick()

    def tick(self) -> None:
        """What has to be done at least each second."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.date = f"date: {formatdate(second, usegmt=True)}\r\n".encode()
            now = time.monotonic()
            for connection in list(self.open):
                connection.check(now)

    def end(self) -> None:
        """Close those that wait for a request, and the others after their answer."""
        self.ending = True
        for connection in list(self.open):
            connection.end()

    def abort(self) -> None:
        """Close all of them, now."""
        for connection in list(self.open):
            connection.abort()
