"""Which libraries there are."""

from __future__ import annotations

import functools
import sys
from importlib.metadata import EntryPoint, entry_points

from components.libraries.library import Library
from contracts.document import suggest
from contracts.errors import DocumentError

GROUP = "millwright.libraries"
"""Entry points of this group add libraries; each names a `Library`."""

BUILT_IN = {
    "lightgbm": "components.libraries.lightgbm:LIBRARY",
    "sklearn": "components.libraries.sklearn:LIBRARY",
    "xgboost": "components.libraries.xgboost:LIBRARY",
}
"""The libraries of this checkout, and where each one's record is."""


def listed() -> dict[str, EntryPoint]:
    """All libraries by name, none of them imported; this checkout's own go before others."""
    own = {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}
    return added(tuple(sys.path)) | own


@functools.cache
def added(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Those of what is installed in these folders, which is read once."""
    return {point.name: point for point in entry_points(group=GROUP)}


def find(name: str, *, where: str = "") -> Library:
    """A library's record.

    Raises:
        DocumentError: there is none of that name, or what was added under it is no library.
    """
    points = listed()
    if name not in points:
        raise DocumentError(
            f"estimator.library: {name!r} is not known; {suggest(name, sorted(points))}",
            where=where,
            fix=f"another library is added by an entry point of the group {GROUP}",
        )
    return load(points[name])


@functools.cache
def load(point: EntryPoint) -> Library:
    """The record behind an entry point.

    Raises:
        DocumentError: it cannot be imported, or is no record.
    """
    place = f"the library {point.name!r} ({point.value})"
    try:
        record = point.load()
    except (ImportError, AttributeError) as error:
        raise DocumentError(f"cannot be imported: {error}", where=place) from error
    if not isinstance(record, Library):
        raise DocumentError(
            f"is a {type(record).__name__}",
            where=place,
            fix="it must name a components.libraries.library.Library",
        )
    return record
