"""What the extensions of the local AWS server share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.cloud.redis import RedisServers


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where the server listens and may write, its Redis servers, and how slow AWS pretends to be.

    Args:
        delay: seconds that a resource stays in a passing state (creating, modifying, deleting).
        clock: seconds, ever rising; for the passing states.
    """

    port: int
    data: Path
    redis: RedisServers
    delay: float = 0.0
    clock: Callable[[], float] = time.monotonic

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
