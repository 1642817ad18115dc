"""Exact Shapley values of a sum of trees, from the attributes of ONNX's operator.

A tree's answer where some features are not known is, by the definition of Lundberg's TreeSHAP
(path-dependent), the mean of its leaves by how many training rows went to each: the covers, which
are in `nodes_hitrates`. A leaf is reached if each feature on its path lies in an interval. So for a
leaf of value v whose path asks for d features, of which feature j lies in its interval (o_j is 1)
or not (0), and of whose rows a share z_j would get through j's questions,

    phi_i = v (o_i - z_i) ∫ over s from 0 to 1 of ∏ over j ≠ i of (z_j (1 - s) + o_j s) ds

because the weights of Shapley's sum over subsets, k! (d - 1 - k)! / d!, are such integrals. The
integrand is a polynomial of degree d - 1, for which Gauss's rule of ⌈d/2⌉ points is exact.

Sources: Lundberg, Erion and Lee, "Consistent Individualized Feature Attribution for Tree
Ensembles", 2018; https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_CELLS = 2_000_000
"""Numbers that are worked on at once."""
_MOST_STEPS = 4_000_000
"""Of a walk to all leaves; larger forests are not explained exactly."""
_INTERVALS = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")
_LEAST_SHARE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Leaves:
    """The leaves on whose paths the same number of features is asked for: one a row, and in each
    row a column for each of those features."""

    features: NDArray[np.int64]
    above: NDArray[np.float32]
    to: NDArray[np.float32]
    """The feature is in its interval where it is larger than the one and not than the other."""
    missing: NDArray[np.bool_]
    """Whether a row that lacks the feature gets to the leaf too."""
    share: Numbers
    """Of the rows that come to the feature's questions, how many get through them."""
    value: Numbers


class Trees:
    """A sum of trees.

    Args:
        attributes: of a TreeEnsembleRegressor or TreeEnsembleClassifier, by name.
        side: `target` or `class`, in front of the names of its leaves' attributes.
        column: the target or the class whose sum is meant.
        width: how many features there are.

    Raises:
        ValueError: its covers are not known, or it is of a kind that is not explained exactly.
    """

    def __init__(self, attributes: Mapping[str, Any], side: str, column: int, width: int) -> None:
        self.width = width
        self._constant = 0.0
        """The sum's start, and trees that are nothing but a leaf."""
        base = list(attributes.get("base_values", ()))
        if base:
            self._constant = float(base[column if len(base) > column else 0])
        if attributes.get("aggregate_function", b"SUM") not in (b"SUM", "SUM"):
            raise ValueError("its trees are not added up")
        self.groups = self._grouped(_Walk(attributes, side, column).leaves())
        self.base = self._constant + sum(
            float((own.value * own.share.prod(axis=1)).sum()) for own in self.groups
        )
        """The sum that is expected of a row of which nothing is known."""

    def _grouped(self, found: list[_Leaf]) -> list[Leaves]:
        by_size: dict[int, list[_Leaf]] = {}
        for leaf in found:
            if not leaf.path:
                self._constant += leaf.value
            elif leaf.value:
                by_size.setdefault(len(leaf.path), []).append(leaf)
        return [
            Leaves(
                features=np.array([list(leaf.path) for leaf in leaves], np.int64),
                above=np.array([[c.above for c in leaf.path.values()] for leaf in leaves], "f4"),
                to=np.array([[c.to for c in leaf.path.values()] for leaf in leaves], "f4"),
                missing=np.array([[c.missing for c in leaf.path.values()] for leaf in leaves]),
                share=np.array([[c.share for c in leaf.path.values()] for leaf in leaves]),
                value=np.array([leaf.value for leaf in leaves]),
            )
            for _, leaves in sorted(by_size.items())
        ]

    def margins(self, columns: NDArray[np.float32]) -> Numbers:
        """The sum of each row."""
        sums = np.full(len(columns), self._constant)
        for own in self.groups:
            for start, inside in self._inside(own, columns, 1):
                sums[start : start + len(inside)] += inside.all(axis=2) @ own.value
        return sums

    def contributions(self, columns: NDArray[np.float32]) -> Numbers:
        """What each feature adds to each row's sum, beside `base`."""
        totals = np.zeros((len(columns), self.width))
        for own in self.groups:
            size = own.features.shape[1]
            points, weights = np.polynomial.legendre.leggauss((size + 1) // 2)
            points, weights = (points + 1) / 2, weights / 2
            share = own.share[:, :, None] * (1 - points)
            for start, inside in self._inside(own, columns, len(points)):
                factors = share + inside[:, :, :, None] * points
                product = factors.prod(axis=2, keepdims=True)
                parts = (product / factors) @ weights
                parts *= (inside - own.share) * own.value[:, None]
                for row, part in enumerate(parts, start):
                    totals[row] += np.bincount(
                        own.features.ravel(), part.ravel(), minlength=self.width
                    )
        return totals

    @staticmethod
    def _inside(own: Leaves, columns: NDArray[np.float32], depth: int) -> Any:
        """Whether each row has each leaf's features in their intervals, some rows at a time."""
        step = max(1, _CELLS // (own.features.size * depth))
        for start in range(0, len(columns), step):
            values = columns[start : start + step, own.features]
            within = (values > own.above) & (values <= own.to)
            yield start, np.where(np.isnan(values), own.missing, within)


@dataclass(frozen=True)
class _Condition:
    """What a path asks of one feature."""

    above: float
    to: float
    missing: bool
    share: float


@dataclass(frozen=True)
class _Leaf:
    value: float
    path: dict[int, _Condition]


class _Walk:
    """From the roots of an ensemble to its leaves."""

    def __init__(self, attributes: Mapping[str, Any], side: str, column: int) -> None:
        def numbers(name: str, kind: type[np.generic]) -> NDArray[Any]:
            return np.asarray(attributes.get(name, ()), kind)

        self._trees = numbers("nodes_treeids", np.int64)
        self._nodes = numbers("nodes_nodeids", np.int64)
        self._features = numbers("nodes_featureids", np.int64)
        self._values = numbers("nodes_values", np.float32)
        self._true = numbers("nodes_truenodeids", np.int64)
        self._false = numbers("nodes_falsenodeids", np.int64)
        self._modes = [
            mode.decode() if isinstance(mode, bytes) else str(mode)
            for mode in attributes.get("nodes_modes", ())
        ]
        tracks = numbers("nodes_missing_value_tracks_true", np.int64)
        self._tracks = tracks if tracks.size else np.zeros(len(self._nodes), np.int64)
        self._cover = numbers("nodes_hitrates", np.float64)
        if self._cover.size != self._nodes.size or not self._nodes.size:
            raise ValueError("it does not say how many training rows came to each node")
        if others := set(self._modes) - {*_INTERVALS, "LEAF"}:
            raise ValueError(f"its nodes ask by {sorted(others)[0]}")
        self._place = {
            key: place
            for place, key in enumerate(
                zip(self._trees.tolist(), self._nodes.tolist(), strict=True)
            )
        }
        chosen = numbers(f"{side}_ids", np.int64) == column
        self._weights: dict[tuple[int, int], float] = {}
        for tree, node, weight in zip(
            numbers(f"{side}_treeids", np.int64)[chosen].tolist(),
            numbers(f"{side}_nodeids", np.int64)[chosen].tolist(),
            numbers(f"{side}_weights", np.float32)[chosen].astype(float).tolist(),
            strict=True,
        ):
            self._weights[tree, node] = self._weights.get((tree, node), 0.0) + weight
        self._steps = 0

    def leaves(self) -> list[_Leaf]:
        """All of them, with what their paths ask for."""
        found: list[_Leaf] = []
        _, roots = np.unique(self._trees, return_index=True)
        for root in roots.tolist():
            if self._modes[root] != "LEAF":
                self._check(root)
            waiting: list[tuple[int, dict[int, _Condition]]] = [(root, {})]
            while waiting:
                place, path = waiting.pop()
                self._steps += 1 + len(path)
                if self._steps > _MOST_STEPS:
                    raise ValueError("it has too many leaves")
                if self._modes[place] == "LEAF":
                    key = int(self._trees[place]), int(self._nodes[place])
                    found.append(_Leaf(self._weights.get(key, 0.0), path))
                else:
                    waiting += self._below(place, path)
        return found

    def _check(self, root: int) -> None:
        """Converters that know no covers write the same number everywhere."""
        tree = int(self._trees[root])
        left = self._place[tree, int(self._true[root])]
        right = self._place[tree, int(self._false[root])]
        total = self._cover[left] + self._cover[right]
        if not (total > 0 and abs(total - self._cover[root]) <= 1e-3 * total):
            raise ValueError("it does not say how many training rows came to each node")

    def _below(
        self, place: int, path: dict[int, _Condition]
    ) -> list[tuple[int, dict[int, _Condition]]]:
        """The two nodes under one, and what is asked for on the way to each."""
        tree, mode = int(self._trees[place]), self._modes[place]
        edge, infinite = np.float32(self._values[place]), np.float32(np.inf)
        if mode in ("BRANCH_LT", "BRANCH_GTE"):  # x < t is x <= what comes before t
            edge = np.nextafter(edge, -infinite)
        low, high = (-np.inf, float(edge)), (float(edge), np.inf)
        intervals = (low, high) if mode in ("BRANCH_LEQ", "BRANCH_LT") else (high, low)
        tracks = bool(self._tracks[place])
        children = [self._place[tree, int(own[place])] for own in (self._true, self._false)]
        total = sum(float(self._cover[child]) for child in children)
        feature = int(self._features[place])
        before = path.get(feature, _Condition(-np.inf, np.inf, True, 1.0))
        below = []
        for child, (above, to), missing in zip(
            children, intervals, (tracks, not tracks), strict=True
        ):
            share = float(self._cover[child]) / total if total > 0 else 0.5
            condition = _Condition(
                max(above, before.above),
                min(to, before.to),
                missing and before.missing,
                max(before.share * share, _LEAST_SHARE),
            )
            below.append((child, {**path, feature: condition}))
        return below
