"""Python that a person wrote beside a document, loaded by path: a dataset's ``load.py``, a model's
``features.py``.

Content lives outside our packages, in a folder that need not be in this checkout. So it is run from
its path, and when it fails the error names the person's file and line, not this loader's.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import MillwrightError


def run_file(path: Path, *, raises: type[MillwrightError]) -> dict[str, object]:
    """The names that a Python file defines.

    Raises:
        MillwrightError: of the kind ``raises``: there is no such file, or it fails (with its line).
    """
    if not path.is_file():
        raise raises("there is no such file", where=str(path))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise raises("is not a Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    with blamed_on(path, raises=raises):
        spec.loader.exec_module(module)
    return vars(module)


@contextmanager
def blamed_on(path: Path, *, raises: type[MillwrightError]) -> Iterator[None]:
    """While the file's code runs: what it raises names the file and its line.

    Our own errors pass as they are; they are sentences already.

    Raises:
        MillwrightError: of the kind ``raises``, for anything else.
    """
    try:
        yield
    except MillwrightError:
        raise
    except Exception as error:
        raise raises(f"{type(error).__name__}: {error}", where=place_of(error, path)) from error


def place_of(error: Exception, path: Path) -> str:
    """The file, and the line of it that failed last."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    return f"{path}:{line}" if line else str(path)
