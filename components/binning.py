"""Features cut into bins: one view of numbers, text and missing values.

Ranking features and judging what one feature can do alone need the same thing, a feature's values
as a few groups, of which a missing value is one. With bins both are counting, which needs no
model, no seed and no sample, and works on all rows in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.model import a_hundredth

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NUMERIC_BINS = 32
RARE_CATEGORY = (5, 50)
"""A category with less than a hundredth of the training rows shares a bin with the other rare ones;
these are the bounds of that."""


@dataclass(frozen=True)
class Binning:
    """How one feature's values map to bins; learned on the training rows.

    Bin 0 is *missing* for numbers and *rare or never seen* for text.
    """

    edges: Floats | None
    categories: pd.Index | None

    @classmethod
    def learn(cls, values: pd.Series) -> Binning:
        """Quantile bins of numbers; the common categories of text."""
        if pd.api.types.is_numeric_dtype(values):
            known = values.to_numpy(np.float64)
            known = known[np.isfinite(known)]
            if not len(known):
                return cls(np.empty(0), None)
            inner = np.quantile(known, np.arange(1, NUMERIC_BINS) / NUMERIC_BINS)
            return cls(np.unique(inner), None)
        counts = values.value_counts()
        least = a_hundredth(len(values), *RARE_CATEGORY)
        return cls(None, pd.Index(sorted(counts.index[counts >= least])))

    @property
    def count(self) -> int:
        """How many bins there are."""
        if self.edges is not None:
            return len(self.edges) + 2
        assert self.categories is not None
        return len(self.categories) + 1

    def codes(self, values: pd.Series) -> Codes:
        """The bin of each value, from 0 to ``count - 1``."""
        if self.edges is None:
            assert self.categories is not None
            places: Codes = self.categories.get_indexer(pd.Index(values)).astype(np.int64)
            return places + 1
        numbers = values.to_numpy(np.float64)
        bins = np.searchsorted(self.edges, numbers, side="right") + 1
        return np.where(np.isfinite(numbers), bins, 0).astype(np.int64)


def mutual_information(codes: Codes, bins: int, target: Codes, levels: int) -> float:
    """Mutual information in nats of two discrete variables, with Miller and Madow's correction.

    The plain estimate is biased upwards by about (bins - 1)(levels - 1) / 2n, which would favour
    text with many categories; the correction takes that off (Miller, "Note on the bias of
    information estimates", 1955).
    """
    table = np.bincount(codes * levels + target, minlength=bins * levels).reshape(bins, levels)
    share = table / table.sum()
    rows, columns = share.sum(1, keepdims=True), share.sum(0, keepdims=True)
    some = share > 0
    plain = float((share[some] * np.log(share[some] / (rows @ columns)[some])).sum())
    freedom = (np.count_nonzero(rows) - 1) * (np.count_nonzero(columns) - 1)
    return max(0.0, plain - freedom / (2 * len(codes)))


def mean_by_bin(codes: Codes, bins: int, label: Floats) -> Floats:
    """The label's mean in each bin; the mean of all where a bin is empty."""
    rows = np.bincount(codes, minlength=bins)
    total = np.bincount(codes, weights=label, minlength=bins)
    return np.where(rows > 0, total / np.maximum(rows, 1), label.mean())
