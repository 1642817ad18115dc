"""A file is written whole or not at all, and is on the disk before anybody acts on it.

The steps of a pipeline hand each other files, and a run that was killed goes on from them. (The
laptop's own files have the same in pocket, which the steps' image does not hold.)
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    # What mkstemp makes only its owner may read; the next step may be another user.
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
