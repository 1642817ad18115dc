"""What is on disk of a process: the intent first, then the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is on disk: the intent first (no pid), then the process."""

    name: str
    fingerprint: str
    argv: tuple[str, ...]
    ports: Mapping[str, int]
    ready: Mapping[str, str] | None
    stop_signal: int
    grace: float
    started: float
    pid: int | None = None
    created: float | None = None
    is_ready: bool = False


def changed(record: Record, **changes: object) -> Record:
    return Record(**{**asdict(record), **changes})
