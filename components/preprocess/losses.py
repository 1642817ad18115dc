"""What a model does not see of its data, said: whatever is left out, filled in or always the same.

Each of these is right now and then and a mistake at other times, and the numbers of an evaluation
show neither. So each is a sentence, in the step's document, in the run's journal and at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from components.documents import Learned, PartName, Preprocessing
from contracts.features import Feature

MANY = 0.5
"""A feature that is missing in more of a part's rows is rather a constant."""
SOME = 0.1
"""More rows than this in categories that nobody can tell apart are worth a word."""
LARGEST = float(np.finfo(np.float32).max) / 4
"""So that the distance of two such numbers is one too, in 32 bits."""


def without_infinite(frame: pd.DataFrame, features: Sequence[Feature]) -> dict[str, int]:
    """Makes numbers missing that a model cannot be given: infinite ones, and those that are in 32
    bits. How many, by feature."""
    counts = {}
    for feature in features:
        if feature.kind == "numeric":
            values = frame[feature.name].astype(np.float64)
            beyond = values.abs() > LARGEST
            if beyond.any():
                counts[feature.name] = int(beyond.sum())
                frame[feature.name] = values.mask(beyond)
    return counts


def told(
    report: Preprocessing, rows: Mapping[PartName, pd.DataFrame], infinite: Mapping[str, int]
) -> tuple[str, ...]:
    """A sentence for everything that is lost.

    Args:
        report: what was learned.
        rows: the parts.
        infinite: how many values of a feature were no finite numbers.
    """
    return (
        *(f"{one.name} is not used: {one.reason}" for one in report.dropped),
        *(
            f"{name}: {count:,} values are infinite, or too large for 32 bits, and count as missing"
            for name, count in infinite.items()
        ),
        *(sentence for feature in report.features for sentence in of_feature(feature, rows)),
        *of_rows(report),
    )


def of_feature(feature: Learned, rows: Mapping[PartName, pd.DataFrame]) -> Iterator[str]:
    """What is lost of one feature."""
    fill = "" if feature.fill is None else f"; {feature.fill:g} stands in for it"
    if feature.missing > MANY:
        yield f"{feature.name} is missing in {feature.missing:.0%} of the training rows{fill}"
    for name in ("validate", "test"):
        if rows[name][feature.name].isna().all():
            yield f"{feature.name} is missing in all rows of the {name} part{fill}"
    if feature.kind == "numeric":
        if feature.minimum == feature.maximum:
            yield f"{feature.name} has one value in training, {feature.minimum:g}: it says nothing"
        return
    categories = feature.categories or ()
    if len(categories) == 1 and not feature.rare:
        yield f"{feature.name} has one category in training, {categories[0]!r}: it says nothing"
    if feature.rare_rows > SOME:
        yield (
            f"{feature.name}: {feature.rare:,} of {feature.rare + len(categories):,} categories "
            f"are too rare to be told apart, {feature.rare_rows:.0%} of the training rows"
        )
    unseen = ~rows["test"][feature.name].dropna().isin(rows["train"][feature.name].dropna())
    if unseen.mean() > SOME:
        yield f"{feature.name}: {unseen.mean():.0%} of the test rows have a category never seen"


def of_rows(report: Preprocessing) -> Iterator[str]:
    """Which rows are left out."""
    parts = report.parts.values()
    total = sum(part.rows + part.unlabelled + part.refused for part in parts) + report.outside
    left_out = {
        "have no known label": sum(part.unlabelled for part in parts),
        "have a category that is an error (preprocess.categorical.unknown)": sum(
            part.refused for part in parts
        ),
        "lie outside the split": report.outside,
    }
    for why, count in left_out.items():
        if count:
            yield f"{count:,} of {total:,} rows {why} and are left out"
