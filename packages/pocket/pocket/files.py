"""Files that a kill cannot spoil: written whole or not at all, and locked by who lives.

What was killed goes on from its files alone, so a half-written one would be worse than none, and a
lock that outlives its process would stop everything after it. Written here once, because a
forgotten fsync shows only on the day it matters.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pocket.errors import PocketError


class HeldError(Exception):
    """Another process holds a lock; its id is `holder`, as far as it is known."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder or 'unknown'}")
        self.holder = holder


@contextmanager
def writing(path: Path, kind: type[PocketError], fix: str) -> Iterator[None]:
    """Around what writes a file; a failure of the disk is a sentence that names the file.

    Args:
        path: the file, or the folder of several.
        kind: the error to raise.
        fix: what to do beside making room.

    Raises:
        PocketError: of that kind: a full disk, say, or a folder that refuses.
    """
    try:
        yield
    except OSError as error:
        raise kind(
            f"this cannot be written: {error.strerror or error}",
            where=str(path),
            fix=f"Make room, or let this user write there, {fix}",
        ) from error


def write_whole(path: Path, content: str | bytes, *, scratch: Path | None = None) -> None:
    """Replace a file in one step; only its owner can read it.

    It is on the disk, under its name, before this returns.

    Args:
        path: the file; its folder exists.
        content: what it shall hold.
        scratch: a folder of the same file system for the unfinished file; the file's own when
            None. For a folder that somebody watches.
    """
    data = content.encode() if isinstance(content, str) else content
    with _named(path):
        _replace(path, data, scratch or path.parent)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Failures inside are told of the file, and of none that is there for a moment."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _replace(path: Path, data: bytes, scratch: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=scratch, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:  # mkstemp makes it 0600
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[str]:
    """Hold a lock until the end of the block; it is the system's own, and dies with the process.

    Args:
        path: names the lock; who holds it is written there, for people. Its folder exists.
        wait: until it is free, however long that takes.

    Yields:
        the id of a process that died while it held the lock; else nothing.

    Raises:
        HeldError: another process holds it, and `wait` is False.
    """
    from filelock import FileLock, Timeout  # much to import for who only reads

    lock = FileLock(path.with_name(f"{path.name}.held"), timeout=-1 if wait else 0, mode=0o600)
    try:
        with _named(path):
            lock.acquire(poll_interval=0.02)
    except Timeout:
        raise HeldError(_holder(path)) from None
    try:
        former = _holder(path)
        with _named(path):
            path.touch(mode=0o600)
        with suppress(
            OSError
        ):  # on a full disk nobody is told who holds it; it is held all the same
            path.write_text(str(os.getpid()), encoding="utf-8")
        try:
            yield former
        finally:
            with suppress(OSError):
                path.write_text("", encoding="utf-8")
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
