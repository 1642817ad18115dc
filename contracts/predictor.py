"""A model that is a person's own code: a folder with ``predict.py``, packed into one file.

    class Predictor:
        def load(self, folder): ...      # once, in each worker process; folder is a pathlib.Path
        def predict(self, table): ...    # of each request: column → numpy array, one value a row

`predict` gives a dict of outputs by name, or one array where the signature has one output. The
folder is packed the same way each time, so that the same files have the same digest.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

from contracts.errors import UsageError

CODE_FILE = "predict.py"
_LEFT_OUT = ("__pycache__", ".git", ".DS_Store")
_EPOCH = (1980, 1, 1, 0, 0, 0)
MOST = 4 * 2**30
"""Bytes that the files of a folder may have together."""


def pack(folder: Path) -> bytes:
    """The folder as one file, the same for the same files.

    Raises:
        UsageError: it is no folder with ``predict.py``, or has something that is no plain file.
    """
    if not (folder / CODE_FILE).is_file():
        raise UsageError(
            f"there is no {CODE_FILE}",
            where=str(folder),
            fix="Write class Predictor with load(self, folder) and predict(self, table) there.",
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() or any(part in _LEFT_OUT for part in PurePosixPath(name).parts):
                continue
            if path.is_symlink() or not path.is_file():
                raise UsageError(
                    f"{name} is no plain file", where=str(folder), fix="Copy what it stands for."
                )
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return packed.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write the files into an empty folder.

    Raises:
        ValueError: it is no packed folder, or a file would be written elsewhere.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST:
                raise ValueError(f"its files have more than {MOST} bytes")
            for entry in archive.infolist():
                place = PurePosixPath(entry.filename)
                if place.is_absolute() or ".." in place.parts or "\\" in entry.filename:
                    raise ValueError(f"{entry.filename!r} is a place outside of it")
                path = folder.joinpath(*place.parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(entry))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is no packed folder: {error}") from None
