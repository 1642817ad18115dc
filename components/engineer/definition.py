"""A model's ``features.py``: Python that a person wrote, loaded by path and held to its contract.

The file lives in the model's folder, outside our packages, so nothing but this checks that it
defines what the step calls and that its errors name the file and not our loader.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import ibis

from contracts.errors import PipelineError
from contracts.features import Feature
from data.content import blamed_on, run_file

EXAMPLE = """write, say:
  from contracts.features import Feature
  FEATURES = (Feature(name="age", kind="numeric"),)
  def features(tables):
      return tables["people"].select("id", "age")"""

Define = Callable[[dict[str, ibis.Table]], ibis.Table]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a ``features.py`` defines.

    ``define`` gives one row for each row of the source table: its key and the features.
    ``history`` is how far before a row its features look.
    """

    place: str
    """The file, as errors name it."""
    features: tuple[Feature, ...]
    slices: tuple[str, ...]
    history: timedelta
    define: Define


def load_definition(path: Path, origin: str = "") -> Definition:
    """Run the file and take what it defines.

    Args:
        path: the file, or a copy of it.
        origin: where a person has the file that this is a copy of.

    Raises:
        PipelineError: the file is missing, fails (with its line) or lacks a name.
    """
    names = run_file(path, raises=PipelineError, origin=origin)
    place = origin or str(path)
    define = names.get("features")
    history = names.get("HISTORY", timedelta(0))
    if not callable(define):
        raise broken(place, "defines no function features(tables)")
    features = features_of(names, place)
    if not isinstance(history, timedelta):
        raise broken(place, "HISTORY is not a datetime.timedelta")
    counts = Counter(feature.name for feature in features)
    repeated = [name for name, count in counts.items() if count > 1]
    if not features or repeated:
        raise broken(
            place, f"FEATURES repeats {', '.join(repeated)}" if repeated else "no FEATURES"
        )
    slices = tuple(str(name) for name in as_tuple(names.get("SLICES", ())))
    return Definition(place=place, features=features, slices=slices, history=history, define=define)


def features_of(names: Mapping[str, object], place: str) -> tuple[Feature, ...]:
    """The sequence FEATURES.

    Raises:
        PipelineError: there is none, or which entry of it is no feature.
    """
    if "FEATURES" not in names:
        raise broken(place, "defines no FEATURES")
    given = names["FEATURES"]
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise broken(place, f"FEATURES is of the type {type(given).__name__}, no list of Feature")
    for index, feature in enumerate(given):
        if not isinstance(feature, Feature):
            kind = f"{reprlib.repr(feature)}, of the type {type(feature).__name__}"
            raise broken(place, f"FEATURES[{index}] is {kind}, and no contracts.features.Feature")
    return tuple(given)


def define_features(definition: Definition, tables: dict[str, ibis.Table]) -> ibis.Table:
    """The features' expression over these tables.

    Raises:
        PipelineError: the file's function fails.
    """
    with blamed_on(definition.place, raises=PipelineError):
        return definition.define(tables)


def broken(place: str, what: str) -> PipelineError:
    """The file does not keep to its contract."""
    return PipelineError(what, where=place, fix=EXAMPLE)


def as_tuple(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
