"""What the engineering step gives to the training steps: a table, and what its columns are."""

from __future__ import annotations

from typing import Literal

from contracts.document import Document


class Feature(Document):
    """One column that a model may learn from."""

    name: str
    kind: Literal["numeric", "categorical"]
    """Numbers (floating point, null where missing) or text (null where missing)."""
    description: str = ""


class FeatureTable(Document):
    """A Parquet table with one row a prediction.

    Its columns are ``key`` (text, unique), ``time`` (UTC, microseconds), ``label`` (floating
    point: 0 or 1 for classification; null where the outcome is not known), the slices' columns,
    and the features.
    """

    key: str
    time: str
    label: str
    features: tuple[Feature, ...]
    slices: tuple[str, ...] = ()
    """Columns by which evaluation looks at parts of the data, such as ``country``."""
    rows: int
