"""A model's ``features.py``: Python that a person wrote, loaded by path and held to its contract.

The file lives in the model's folder, outside our packages, so nothing but this checks that it
defines what the step calls and that its errors name the file and not our loader.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import ibis

from contracts.errors import PipelineError
from contracts.features import Feature

Define = Callable[[dict[str, ibis.Table]], ibis.Table]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a ``features.py`` defines.

    ``define`` gives one row for each row of the source table: its key and the features.
    ``history`` is how far before a row its features look.
    """

    path: Path
    features: tuple[Feature, ...]
    slices: tuple[str, ...]
    history: timedelta
    define: Define


def load_definition(path: Path) -> Definition:
    """Run the file and take what it defines.

    Raises:
        PipelineError: the file is missing, fails (with its line) or lacks a name.
    """
    names = run_file(path)
    define = names.get("features")
    features = names.get("FEATURES")
    history = names.get("HISTORY", timedelta(0))
    if not callable(define):
        raise broken(path, "defines no function features(tables)")
    if not isinstance(features, tuple) or not all(isinstance(one, Feature) for one in features):
        raise broken(path, "defines no FEATURES, a tuple of contracts.features.Feature")
    if not isinstance(history, timedelta):
        raise broken(path, "HISTORY is not a datetime.timedelta")
    counts = Counter(feature.name for feature in features)
    repeated = [name for name, count in counts.items() if count > 1]
    if not features or repeated:
        raise broken(path, f"FEATURES repeats {', '.join(repeated)}" if repeated else "no FEATURES")
    slices = tuple(str(name) for name in as_tuple(names.get("SLICES", ())))
    return Definition(path=path, features=features, slices=slices, history=history, define=define)


def run_file(path: Path) -> dict[str, object]:
    """The names that a Python file defines.

    Raises:
        PipelineError: there is no such file, or it fails.
    """
    if not path.is_file():
        raise PipelineError("there is no such file", where=str(path))
    spec = importlib.util.spec_from_file_location("features", path)
    if spec is None or spec.loader is None:
        raise broken(path, "is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise failed(path, error) from error
    return vars(module)


def define_features(definition: Definition, tables: dict[str, ibis.Table]) -> ibis.Table:
    """The features' expression over these tables.

    Raises:
        PipelineError: the file's function fails.
    """
    try:
        return definition.define(tables)
    except Exception as error:
        raise failed(definition.path, error) from error


def failed(path: Path, error: Exception) -> PipelineError:
    """The file's own failure, at its own line."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    place = f"{path}:{line}" if line else str(path)
    return PipelineError(f"{type(error).__name__}: {error}", where=place)


def broken(path: Path, what: str) -> PipelineError:
    """The file does not keep to its contract."""
    return PipelineError(what, where=str(path), fix="models/flight-delay/features.py is an example")


def as_tuple(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
