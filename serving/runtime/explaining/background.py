"""Typical values of each input, from what the artifact says of the training rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.artifact import Tensor
from serving.runtime.refusal import Refusal

Values = NDArray[Any]

_RARE = "\N{REPLACEMENT CHARACTER}rare"
"""A text that is none of the categories."""


class Spread:
    """How the values of one input, or of one column of a matrix, are spread.

    Args:
        tensor: the input.
        dtype: numpy's type of it.
        missing_text: what the model takes for a text that is missing.
    """

    def __init__(self, tensor: Tensor, dtype: np.dtype[Any], missing_text: str) -> None:
        self.tensor = tensor
        self.is_text = tensor.datatype == "BYTES"
        self._dtype = dtype
        self._nothing: Any = missing_text if self.is_text else math.nan

    def probes(self) -> Values:
        """Different values that the model may be asked about, whether typical or not."""
        own = self.tensor
        values: list[Any] = [self._nothing] if own.optional else []
        if self.is_text:
            values += [*(own.categories or ("a", "b")), _RARE]
        elif own.distribution is not None and own.distribution.quantiles:
            values += own.distribution.quantiles
        elif own.minimum is not None and own.maximum is not None:
            values += np.linspace(own.minimum, own.maximum, 9).tolist()
        else:
            values += [-1, 0, 1, 2, 100] if self._dtype.kind == "f" else [0, 1]
        return np.array(values, object if self.is_text else self._dtype)

    def typical(self) -> tuple[Values, NDArray[np.float64]]:
        """Values as they were seen in training, and the share of the rows that each stands for.

        Raises:
            Refusal: the artifact does not say.
        """
        spread = self.tensor.distribution
        if spread is None:
            raise Refusal(
                400,
                f"this version's artifact does not say how {self.tensor.name!r} was spread in "
                "training",
                fix="train a new version; older ones did not keep it",
            )
        if self.is_text:
            values: list[Any] = list(self.tensor.categories or ())
            shares = list(spread.shares)
            values.append(_RARE)
            shares.append(max(0.0, 1.0 - sum(shares) - spread.missing))
        else:
            edges = np.array(spread.quantiles)
            values = ((edges[1:] + edges[:-1]) / 2).tolist()
            shares = [(1.0 - spread.missing) / len(values)] * len(values)
        if spread.missing and self.tensor.optional:
            values.append(self._nothing)
            shares.append(spread.missing)
        weights = np.array(shares)
        return np.array(values, object if self.is_text else self._dtype), weights / weights.sum()

    def means(self) -> tuple[Values, NDArray[np.float64]]:
        """As `typical`, with a number's mean for all its values: of what grows evenly with it the
        mean is exact.

        Raises:
            Refusal: the artifact does not say.
        """
        values, shares = self.typical()
        spread = self.tensor.distribution
        if self.is_text or spread is None or spread.mean is None:
            return values, shares
        if spread.missing and self.tensor.optional:
            missing = spread.missing
            return np.array([spread.mean, self._nothing], self._dtype), np.array(
                [1 - missing, missing]
            )
        return np.array([spread.mean], self._dtype), np.ones(1)

    def drawn(self, random: np.random.Generator, size: int) -> Values:
        """So many typical values."""
        values, shares = self.typical()
        drawn: Values = random.choice(values, size, p=shares)
        return drawn

    def tail(self, value: Any) -> float:
        """The share of the training rows whose value is as unusual as this one, or more so.

        Of a number twice the rows beyond it, on the side where fewer are; of a text the rows whose
        category is no more frequent. Between two quantiles rows are taken to lie evenly.

        Raises:
            Refusal: the artifact does not say how values were spread.
        """
        _, shares = self.typical()
        spread = self.tensor.distribution
        assert spread is not None
        if value == self._nothing or value != value:
            return spread.missing
        if self.is_text:
            names = self.tensor.categories or ()
            rare = max(0.0, 1.0 - sum(spread.shares) - spread.missing)
            own = dict(zip(names, spread.shares, strict=False)).get(value, rare)
            return float(shares[shares <= own + 1e-12].sum())
        edges = np.array(spread.quantiles)
        if not edges[0] <= value <= edges[-1]:
            return 0.0
        # Of equal edges all count, so that a frequent value is not unusual from either side.
        part = np.linspace(0, 1, len(edges))
        below = np.interp(value, edges, part, left=0.0, right=1.0)
        lowest = part[np.searchsorted(edges, value, "left")] if value in edges else below
        highest = part[np.searchsorted(edges, value, "right") - 1] if value in edges else below
        return float(min(1.0, 2 * min(max(highest, 0.0), max(1 - lowest, 0.0))))
