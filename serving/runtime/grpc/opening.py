"""The first bytes of a connection say which protocol its client speaks.

Source: RFC 9113, section 3.3 (HTTP/2 with prior knowledge) and 3.4 (the preface).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from serving.runtime.connections import Connections
from serving.runtime.grpc.frames import PREFACE


class Opening(asyncio.Protocol):
    """A connection of which nothing is known yet.

    Args:
        connections: all of them, among which this is to be.
        first: makes what speaks HTTP/1.1.
        second: makes what speaks HTTP/2.
    """

    def __init__(
        self,
        connections: Connections,
        first: Callable[[], asyncio.Protocol],
        second: Callable[[], asyncio.Protocol],
    ) -> None:
        self._all = connections
        self._first, self._second = first, second
        self._transport: asyncio.Transport | None = None
        self._begun = b""
        self._since = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._all.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone again."""
        self._all.open.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """The first bytes."""
        self._begun += data
        if self._begun.startswith(PREFACE):
            self._become(self._second())
        elif not PREFACE.startswith(self._begun):
            self._become(self._first())

    def eof_received(self) -> bool:
        """Nothing more comes: what has come is no HTTP/2."""
        if not self._begun:
            return False
        following = self._become(self._first())
        return bool(following.eof_received())

    def _become(self, following: asyncio.Protocol) -> asyncio.Protocol:
        transport, begun = self._transport, self._begun
        assert transport is not None
        self.connection_lost(None)
        transport.set_protocol(following)
        following.connection_made(transport)
        following.data_received(begun)
        return following

    def check(self, now: float) -> None:
        """End it if its client says nothing."""
        patience = self._all.patience
        if self._transport is not None and now - self._since > (
            patience.head if self._begun else patience.idle
        ):
            self._transport.close()

    def end(self) -> None:
        """The server ends."""
        if self._transport is not None and not self._begun:
            self._transport.close()

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()
