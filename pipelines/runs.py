"""Run folders: where a run's arguments, outputs and logs are, and which run to go on with.

A run that was killed is continued by asking for the same thing again: same model, same features,
same split, same code; one that still goes is followed. Anything else is another run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from data.files import write_whole

ARGUMENTS = "arguments.json"
STEPS_FOLDER = "steps"
LOCK = "lock"
OWN_LOG = "pipeline"
"""The log of what no step said."""
PROCESS = "process"
"""The identity of the process that works in the folder, while the lock is held."""
KEPT = 5
"""Finished runs whose tables stay on disk; of older ones only documents and logs do."""
MOMENT = "%Y%m%dT%H%M%S%f"
STATE = "state"
ENDED = ("done", "rejected")
"""States of a run that is not gone on with."""
ROOMS = ("components", "contracts", "data", "pipelines")
PROJECT = Path(__file__).resolve().parent.parent


def code_version() -> str:
    """The git commit of the code, with ``-dirty`` where the tree is not clean; ``unknown`` outside
    a checkout."""
    described = subprocess.run(
        [
            "git",
            "-C",
            str(PROJECT),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
            "--exclude=*",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def code_digest() -> str:
    """A digest of the sources that a run's steps execute."""
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((PROJECT / room).rglob("*.py")):
            digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def open_run(work: Path, name: str, arguments: Mapping[str, str], now: datetime) -> Path:
    """The folder of the unfinished run with these arguments, which may still go, or of a new one.

    Args:
        work: the folder of all runs.
        name: the model's.
        arguments: the pipeline's, without the run's own key.
        now: names a new run.
    """
    # The steps' own code counts, not the commit: a README that changes is no reason to start over.
    asked = {key: value for key, value in sorted(arguments.items()) if key != "code_version"}
    text = json.dumps([asked, code_digest()])
    identity = hashlib.sha256(text.encode()).hexdigest()[:12]
    for folder in sorted(work.glob(f"{name}-*-{identity}"), reverse=True):
        # Without arguments it never began: the disk was full, or whoever made it was killed.
        if state(folder) not in ENDED and (folder / ARGUMENTS).is_file():
            return folder
    folder = work / f"{name}-{now.strftime(MOMENT)}-{identity}"
    write_whole(folder / ARGUMENTS, json.dumps({**arguments, "key": folder.name}, indent=1))
    return folder


def state(folder: Path) -> str:
    """``unfinished``, or how the run ended."""
    path = folder / STATE
    return path.read_text(encoding="utf-8") if path.is_file() else "unfinished"


def resume(folder: Path) -> None:
    """It goes on: what was written down of its end no longer holds."""
    (folder / STATE).unlink(missing_ok=True)


def finish(folder: Path, how: str) -> None:
    """Write down that the run has ended, and make room."""
    (folder / STATE).write_text(how, encoding="utf-8")
    model = model_of(folder)
    ended = sorted(path.parent for path in folder.parent.glob(f"{model}-*/{STATE}"))
    for old in ended[:-KEPT]:
        for table in old.glob(f"{STEPS_FOLDER}/*/*/*"):
            if table.is_dir() or table.stat().st_size > 1_000_000:
                shutil.rmtree(table) if table.is_dir() else table.unlink()


def model_of(folder: Path) -> str:
    """The model that a run trains."""
    return folder.name.rsplit("-", 2)[0]


@contextmanager
def locked(folder: Path, patience: float = 0.0) -> Iterator[bool]:
    """Work in the folder; False where another process already does.

    Args:
        folder: the run's.
        patience: seconds to wait for it. Who only asks holds the lock for a moment.
    """
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def busy(folder: Path, patience: float = 0.0) -> bool:
    """Whether a process is working in the folder; see `locked` for the patience."""
    if not (folder / LOCK).is_file():
        return False
    with locked(folder, patience) as free:
        return not free


def output(folder: Path, step: str, name: str) -> Path | None:
    """What a step wrote last in this run, or None where it wrote nothing."""
    written = sorted(folder.glob(f"{STEPS_FOLDER}/*/{step}/{name}"))
    return written[-1] if written else None


def log_path(folder: Path, step: str) -> Path:
    """A step's log."""
    return folder / "logs" / f"{step}.log"
