"""A file is written whole or not at all, and is on the disk before anybody acts on it.

The steps of a pipeline hand each other files, and a run that was killed goes on from them. (The
laptop's own files have the same in pocket, which the steps' image does not hold.)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside a path, which takes its place in one step when all of it was written, and is
    gone when it was not; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # What mkstemp makes only its owner may read; the next step may be another user.
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, name):
            error.filename = str(path)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file in one step; its folder is made where it is missing."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_parquet(rows: pa.Table, path: Path) -> None:
    """Rows as a Parquet file, whole or not at all; times to the microsecond, which every engine
    reads (what is finer is cut off)."""
    import pyarrow.parquet as pq

    with whole(path) as temporary:
        pq.write_table(
            rows,
            temporary,
            compression="zstd",
            coerce_timestamps="us",
            allow_truncated_timestamps=True,
        )
