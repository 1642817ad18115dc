"""Which keys of the model's document a step may read.

A step's outputs may be used again where all that it read is the same. So what it reads of the
document is written down, and it gets nothing else: a key that is missing here cannot be read, and
one that is here counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from contracts.model import ModelSpec

READS: Mapping[str, tuple[str, ...]] = {
    "ingest": ("name", "split"),
    "engineer": ("name", "task", "source", "split", "features"),
    "preprocess": ("name", "task", "split", "preprocess"),
    "select": ("name", "task", "select"),
    "tune": ("name", "task", "preprocess", "estimator", "tune"),
    "train": ("name", "task", "source", "preprocess", "estimator"),
    "evaluate": ("name", "task", "gates"),
}
"""The keys by step; one that is not listed reads the whole document."""


def model_of(step: str, text: str) -> ModelSpec:
    """The model as a step may read it.

    Args:
        step: the step's name.
        text: the whole document, as JSON.

    Returns:
        The document; reading a key that the step does not name in `READS` is an AttributeError.
    """
    spec = ModelSpec.model_validate_json(text)
    for name in type(spec).model_fields.keys() - set(READS.get(step, type(spec).model_fields)):
        del spec.__dict__[name]
    return spec
