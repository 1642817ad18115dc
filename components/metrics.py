"""The metrics that gates and tuning name, each for many weightings of the rows at once.

A bootstrap is the same rows with other weights. Metrics that take a matrix of weights, one row a
replicate, cost a few vector operations for a hundred replicates, where resampling and sorting
would cost a hundred sorts. With the weights all 1 they are the ordinary metrics (checked against
scikit-learn).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.artifact import Interval

Floats = npt.NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], Floats]
"""(label of n rows, prediction of n rows, weights of k replicates by n rows) -> k values."""

CALIBRATION_BINS = 10
REPLICATES = 400
CHUNK = 40
"""Replicates at a time: bounds memory to CHUNK x rows numbers."""
EPSILON = 1e-15


def cumulative(
    label: Floats, score: Floats, weights: Floats
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weighted true and false positives when everything at or above each distinct score counts
    as positive, from the highest score down."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    sorted_weights = weights[:, order]
    positive = np.cumsum(sorted_weights * label[order], axis=1)[:, ends]
    return positive, np.cumsum(sorted_weights, axis=1)[:, ends] - positive


def roc_auc(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The area under the ROC curve: the chance that a positive row scores above a negative one,
    ties counting half."""
    positive, negative = cumulative(label, score, weights)
    before = np.pad(positive[:, :-1], ((0, 0), (1, 0)))
    gained = np.diff(negative, axis=1, prepend=0)
    area = (gained * (positive + before) / 2).sum(1)
    result: Floats = area / (positive[:, -1] * negative[:, -1])
    return result


def average_precision(label: Floats, score: Floats, weights: Floats) -> Floats:
    """Precision averaged over the recall gained at each distinct score."""
    positive, negative = cumulative(label, score, weights)
    reached = positive + negative
    precision = np.divide(positive, reached, out=np.zeros_like(positive), where=reached > 0)
    gained = np.diff(positive, axis=1, prepend=0)
    result: Floats = (gained * precision).sum(1) / positive[:, -1]
    return result


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """The mean of the rows' values for each replicate."""
    result: Floats = weights @ values / weights.sum(1)
    return result


def log_loss(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The mean negative logarithm of the probability given to what happened, in nats."""
    sure = np.clip(score, EPSILON, 1 - EPSILON)
    return weighted_mean(-(label * np.log(sure) + (1 - label) * np.log(1 - sure)), weights)


def brier(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The mean squared difference between the probability and what happened."""
    return weighted_mean((score - label) ** 2, weights)


def accuracy(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The share of rows whose more probable class happened."""
    return weighted_mean(((score > 0.5) == (label > 0.5)).astype(np.float64), weights)


def calibration_bins(score: Floats) -> npt.NDArray[np.int64]:
    """Ten bins with equally many rows, equal scores together."""
    edges = np.unique(np.quantile(score, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS))
    return np.searchsorted(edges, score, side="right").astype(np.int64)


def calibration_error(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The expected calibration error: per bin, how far the mean prediction is from the share that
    happened, averaged over the rows."""
    bins = calibration_bins(score)
    member = np.zeros((len(score), int(bins.max()) + 1))
    member[np.arange(len(score)), bins] = score - label
    result: Floats = np.abs(weights @ member).sum(1) / weights.sum(1)
    return result


def rmse(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The root of the mean squared error."""
    return np.sqrt(weighted_mean((score - label) ** 2, weights))


def mae(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The mean absolute error."""
    return weighted_mean(np.abs(score - label), weights)


def r2(label: Floats, score: Floats, weights: Floats) -> Floats:
    """The share of the label's variance that is explained."""
    mean = weighted_mean(label, weights)
    variance = weighted_mean(label**2, weights) - mean**2
    return 1 - weighted_mean((score - label) ** 2, weights) / variance


@dataclass(frozen=True)
class Measure:
    """A metric, and which direction is better."""

    function: Metric
    higher_is_better: bool


MEASURES: dict[str, Measure] = {
    "roc_auc": Measure(roc_auc, True),
    "average_precision": Measure(average_precision, True),
    "log_loss": Measure(log_loss, False),
    "brier": Measure(brier, False),
    "accuracy": Measure(accuracy, True),
    "calibration_error": Measure(calibration_error, False),
    "rmse": Measure(rmse, False),
    "mae": Measure(mae, False),
    "r2": Measure(r2, True),
}


def measure(name: str, label: Floats, score: Floats) -> float:
    """A metric of the rows as they are.

    Returns:
        NaN where it is not defined, as the AUC of rows that are all positive.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(MEASURES[name].function(label, score, np.ones((1, len(label))))[0])


def block_weights(
    blocks: npt.NDArray[np.int64], replicates: int, seed: int
) -> npt.NDArray[np.float64]:
    """How often each block (a day) is drawn in each replicate: replicates by blocks.

    Whole days are drawn, because rows of one day share what it was like: drawing single rows would
    make the intervals several times too narrow (Künsch, 1989).
    """
    count = int(blocks.max()) + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), replicates)
    return draws.astype(np.float64)


Resampled = Callable[[Floats], Floats]
"""(how often each block is drawn: k replicates by blocks) -> k values of a metric."""


def resampled(name: str, label: Floats, score: Floats, blocks: npt.NDArray[np.int64]) -> Resampled:
    """A metric of the rows as a function of how often each block is drawn."""
    if name == "roc_auc":
        return auc_of_blocks(label, score, blocks)
    function = MEASURES[name].function
    return of_rows(lambda weights: function(label, score, weights), blocks)


def of_rows(statistic: Callable[[Floats], Floats], blocks: npt.NDArray[np.int64]) -> Resampled:
    """A statistic of the rows' weights, of which a row has as many as its block is drawn."""
    return lambda drawn: np.concatenate(
        [
            statistic(drawn[start : start + CHUNK][:, blocks])
            for start in range(0, len(drawn), CHUNK)
        ]
    )


def auc_of_blocks(label: Floats, score: Floats, blocks: npt.NDArray[np.int64]) -> Resampled:
    """The area under the ROC curve, for many drawings of blocks at the price of one.

    The area is the share of pairs of a positive and a negative row in which the positive one
    scores higher, ties counting half. Pairs are counted once for each pair of blocks; a drawing
    weighs these counts.
    """
    count = int(blocks.max()) + 1
    positive = label > 0
    wins = np.zeros((count, count))
    for block in range(count):
        negatives = np.sort(score[~positive & (blocks == block)])
        below = np.searchsorted(negatives, score[positive], "left")
        within = np.searchsorted(negatives, score[positive], "right")
        wins[:, block] = np.bincount(blocks[positive], (below + within) / 2, count)
    pairs = np.outer(
        *(np.bincount(blocks[rows], minlength=count) for rows in (positive, ~positive))
    )

    def area(drawn: Floats) -> Floats:
        won, all_pairs = (((drawn @ counts) * drawn).sum(1) for counts in (wins, pairs))
        ratio: Floats = won / all_pairs
        return ratio

    return area


def interval(
    statistic: Resampled,
    blocks: npt.NDArray[np.int64],
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> Interval:
    """A statistic with its 95 % day-block bootstrap interval.

    Args:
        statistic: of how often each block is drawn.
        blocks: each row's block, from 0.
        seed: of the draws; the same for two statistics makes their replicates paired.
        replicates: how many.
    """
    drawn = block_weights(blocks, replicates, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(np.ones((1, drawn.shape[1])))[0])
        values = statistic(drawn)
    defined = values[np.isfinite(values)]
    if len(defined) < replicates / 2:
        return Interval(value=value)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Interval(value=value, low=float(low), high=float(high))
