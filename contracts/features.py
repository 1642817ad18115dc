"""What the engineering step gives to the training steps: a table, and what its columns are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, ValidationInfo

from contracts.document import Document, suggest

KINDS: Mapping[str, tuple[str, ...]] = {
    "numeric": ("number", "numerical", "float", "double", "int", "integer", "bool", "boolean"),
    "categorical": ("string", "str", "text", "category", "enum", "object"),
}
"""The kinds of features, each with what other programs call it."""


def check_kind(value: object, info: ValidationInfo) -> object:
    """One of `KINDS`, or a sentence that names the feature and the kind that was meant."""
    if isinstance(value, str) and value in KINDS:
        return value
    word = str(value).lower()
    meant = next((kind for kind, names in KINDS.items() if word in (kind, *names)), None)
    advice = f"did you mean {meant!r}?" if meant else suggest(word, list(KINDS))
    feature = f"the feature {info.data['name']!r}" if "name" in info.data else "a feature"
    raise ValueError(f"{value!r} is no kind of {feature}: {' or '.join(KINDS)}; {advice}")


class Feature(Document):
    """One column that a model may learn from."""

    name: str
    kind: Annotated[Literal["numeric", "categorical"], BeforeValidator(check_kind)]
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
