"""Processes known by a mark in their environment, which their children inherit.

A process id is reused by the system and a parent may be gone; what a process was started with stays
readable for as long as it lives, whoever asks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped,unused-ignore]


def lives(process: psutil.Process) -> bool:
    """Whether it is there and not only its parent's to fetch."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def marked(variable: str) -> Iterator[tuple[str, psutil.Process]]:
    """(value, process) for each living process but this one that has the variable."""
    for process in psutil.process_iter():
        try:
            value = process.environ().get(variable)
        except (psutil.Error, OSError):
            continue  # another user's, or gone meanwhile: not ours
        if value is not None and process.pid != os.getpid() and lives(process):
            yield value, process


def effort(pid: int) -> int:
    """Tenths of a second for which a process and its children have computed; 0 when it is gone.

    It grows while they get on, however slowly the machine lets them.
    """
    seconds = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                seconds += sum(each.cpu_times()[:2])
    return int(seconds * 10)
