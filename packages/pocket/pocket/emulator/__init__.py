"""The AWS APIs on the laptop: moto's server in a process of its own, with what moto lacks.

Callers need `start`, `find`, `stop` and `environment`; nothing here imports moto, so that a command
which only asks where the cloud is stays fast. The server's side begins in `__main__`.
"""

from pocket.emulator.endpoints import (
    NAME,
    CloudEndpoints,
    check_addresses,
    environment,
    find,
    read_ahead,
    start,
    stop,
    without_account,
)

__all__ = [
    "NAME",
    "CloudEndpoints",
    "check_addresses",
    "environment",
    "find",
    "read_ahead",
    "start",
    "stop",
    "without_account",
]
