"""What the extensions of the local AWS server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped,unused-ignore]

from pocket.emulator.core.redis import RedisServers
from pocket.emulator.core.states import States


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where the server listens and may write, its Redis servers, and what is in a passing state
    (creating, modifying, deleting).
    """

    port: int
    data: Path
    redis: RedisServers
    states: States

    _exits: list[Callable[[], None]] = field(default_factory=list)
    _resets: list[Callable[[], None]] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at_exit(self, action: Callable[[], None]) -> None:
        """Do this when the server ends in order; what was asked for last is done first."""
        self._exits.append(action)

    def close(self) -> None:
        """Do what was asked for at the end."""
        while self._exits:
            self._exits.pop()()

    def at_reset(self, action: Callable[[], None]) -> None:
        """Do this when everything is forgotten: it lies outside moto's backends."""
        self._resets.append(action)

    def reset(self) -> None:
        """Forget what lies outside moto's backends."""
        self.redis.forget()
        self.states.forget()
        for action in self._resets:
            action()

    def s3(self) -> Any:
        """A boto3 client of this server's own S3."""
        if "s3" not in self._clients:
            self._clients["s3"] = self.aws().client("s3")
        return self._clients["s3"]

    def aws(self) -> _Loop:
        """A session whose clients all speak to this server."""
        return _Loop(
            self.url,
            boto3.Session(
                aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
            ),
        )


@dataclass(frozen=True)
class _Loop:
    """boto3's session, with this server's address in each client."""

    url: str
    session: Any

    @property
    def region_name(self) -> str:
        return str(self.session.region_name)

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.url)
