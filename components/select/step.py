"""Rank the features by what each tells about the label, and keep the best.

Fewer features make a smaller request, a faster model and a shorter list for a person to
understand. Ranking looks at the training rows alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components import parts
from components.binning import Binning, Codes, Floats, mutual_information
from components.documents import (
    PREPROCESSING,
    Learned,
    Preprocessing,
    Ranked,
    Selection,
    read,
    write,
)
from contracts.model import ModelSpec, Task

LABEL_LEVELS = 16
"""A number to be predicted is ranked by its quantiles."""


def select(data: Path, spec: ModelSpec, destination: Path) -> Selection:
    """Rank the features of the training part.

    Args:
        data: the folder that ``preprocess`` wrote.
        spec: the method, and how many to keep.
        destination: the file to write the document to.
    """
    features = read(Preprocessing, data / PREPROCESSING).features
    ranking: list[tuple[str, float | None]]
    if spec.select.method == "none":
        ranking = [(feature.name, None) for feature in features]
    else:
        ranking = rank(data, features, spec.task)
    selection = Selection(
        method=spec.select.method,
        ranking=tuple(
            Ranked(name=name, score=score, kept=place < spec.select.keep)
            for place, (name, score) in enumerate(ranking)
        ),
    )
    write(selection, destination)
    return selection


def rank(data: Path, features: tuple[Learned, ...], task: Task) -> list[tuple[str, float | None]]:
    """Names and scores, best first; equal scores in the order of the definitions."""
    train = parts.load(data, "train", [parts.LABEL, *(feature.name for feature in features)])
    target, levels = target_codes(parts.label(train), task)
    rows = parts.inputs(train, features)
    scores: list[tuple[str, float | None]] = []
    for feature in features:
        binning = Binning.learn(rows[feature.name])
        codes = binning.codes(rows[feature.name])
        scores.append((feature.name, mutual_information(codes, binning.count, target, levels)))
    return sorted(scores, key=lambda item: -(item[1] or 0.0))


def target_codes(label: Floats, task: Task) -> tuple[Codes, int]:
    """The label as a few levels."""
    if task == "classification":
        return label.astype(np.int64), 2
    edges = np.unique(np.quantile(label, np.arange(1, LABEL_LEVELS) / LABEL_LEVELS))
    return np.searchsorted(edges, label, side="right").astype(np.int64), len(edges) + 1
