"""Python that a person wrote beside a document, loaded by path: a dataset's ``load.py``, a model's
``features.py``.

Content lives outside our packages, in a folder that need not be in this checkout. So it is run from
its path, and when it fails the error names the person's file and line, not this loader's.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from contracts.document import Document, explain
from contracts.errors import MillwrightError


def run_file(path: Path, *, raises: type[MillwrightError], origin: str = "") -> dict[str, object]:
    """The names that a Python file defines.

    Args:
        path: the file, or a copy of it.
        raises: the kind of error that what it does wrong becomes.
        origin: where a person has the file that this is a copy of: errors name that.

    Raises:
        MillwrightError: of the kind ``raises``: there is no such file, or it fails (with its line).
    """
    if not path.is_file():
        raise raises("there is no such file", where=str(path))
    named = origin or str(path)
    module = ModuleType(path.stem)
    module.__file__ = named
    with blamed_on(named, raises=raises):
        exec(compile(path.read_bytes(), named, "exec"), vars(module))
    return vars(module)


@contextmanager
def blamed_on(path: str, *, raises: type[MillwrightError]) -> Iterator[None]:
    """While the file's code runs: what it raises names the file and its line.

    Our own errors pass as they are; they are sentences already.

    Raises:
        MillwrightError: of the kind ``raises``, for anything else.
    """
    try:
        yield
    except MillwrightError:
        raise
    except ValidationError as error:
        raise raises(worded(error), where=place_of(error, path)) from error
    except (Exception, SystemExit) as error:
        raise raises(f"{type(error).__name__}: {error}", where=place_of(error, path)) from error


def worded(error: ValidationError) -> str:
    """What a document that the file's code makes was refused for, as every document says it."""
    document = next((kind for kind in kinds_of(Document) if kind.__name__ == error.title), Document)
    return f"{error.title}: " + "; ".join(explain(each, document) for each in error.errors())


def kinds_of(document: type[Document]) -> Iterator[type[Document]]:
    """A class of documents, and all those that are made from it."""
    yield document
    for kind in document.__subclasses__():
        yield from kinds_of(kind)


def place_of(error: BaseException, path: str) -> str:
    """The file, and the line of it that failed last."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path
    ]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    return f"{path}:{line}" if line else path
