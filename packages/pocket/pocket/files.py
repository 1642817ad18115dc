"""A file is written whole or not at all, and is on the disk before anybody acts on it.

What was killed goes on from its files alone, so a half-written one would be worse than none.
Written here once, because a forgotten fsync shows only on the day it matters.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, text: str, *, scratch: Path | None = None) -> None:
    """Replace a file in one step; only its owner can read it.

    Args:
        path: the file; its folder exists.
        text: what it shall hold.
        scratch: a folder of the same file system for the unfinished file; the file's own when
            None. For a folder that somebody watches.
    """
    handle, temporary = tempfile.mkstemp(dir=scratch or path.parent, prefix=".", suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:  # mkstemp makes it 0600
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
