"""Metrics of many weightings agree with scikit-learn's, one weighting at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from components.metrics import (
    MEASURES,
    auc_of_blocks,
    block_weights,
    calibration_error,
    interval,
    measure,
    of_rows,
)

CLASSIFICATION = {
    "roc_auc": sklearn_metrics.roc_auc_score,
    "average_precision": sklearn_metrics.average_precision_score,
    "log_loss": lambda y, p, sample_weight: sklearn_metrics.log_loss(
        y, np.clip(p, 1e-15, 1 - 1e-15), sample_weight=sample_weight, labels=[0, 1]
    ),
    "brier": sklearn_metrics.brier_score_loss,
    "accuracy": lambda y, p, sample_weight: sklearn_metrics.accuracy_score(
        y, p > 0.5, sample_weight=sample_weight
    ),
}
REGRESSION = {
    "rmse": sklearn_metrics.root_mean_squared_error,
    "mae": sklearn_metrics.mean_absolute_error,
    "r2": sklearn_metrics.r2_score,
}


@st.composite
def scored_rows(draw):
    """Labels with both classes, scores with ties, and positive weights."""
    count = draw(st.integers(2, 40))
    label = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=count, max_size=count))
    label[0], label[1] = 0.0, 1.0
    score = draw(st.lists(st.integers(0, 8), min_size=count, max_size=count))
    weight = draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    return np.array(label), np.array(score) / 8, np.array(weight, float)


@pytest.mark.parametrize("name", CLASSIFICATION)
@given(rows=scored_rows())
@settings(max_examples=60, deadline=None)
def test_classification_metrics_are_scikit_learns(name, rows):
    label, score, weight = rows
    weights = np.stack([np.ones(len(label)), weight])
    ours = MEASURES[name].function(label, score, weights)
    theirs = [CLASSIFICATION[name](label, score, sample_weight=w) for w in weights]
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_metrics_are_scikit_learns(name):
    generator = np.random.default_rng(0)
    label, score = generator.normal(size=(2, 200))
    weights = generator.integers(1, 4, (3, 200)).astype(float)
    ours = MEASURES[name].function(label, score, weights)
    theirs = [REGRESSION[name](label, score, sample_weight=w) for w in weights]
    assert ours == pytest.approx(theirs)


def test_calibration_error_is_zero_when_bins_come_true_and_known_when_they_do_not():
    score = np.repeat([0.2, 0.8], 10)
    label = np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 8 + [0.0] * 2)
    weights = np.ones((1, 20))
    assert calibration_error(label, score, weights)[0] == pytest.approx(0)
    assert calibration_error(label, score + 0.1, weights)[0] == pytest.approx(0.1)


def test_one_class_has_no_auc():
    assert np.isnan(measure("roc_auc", np.ones(5), np.linspace(0, 1, 5)))


def test_days_are_drawn_whole():
    weights = block_weights(np.array([0, 0, 1, 2]), 50, seed=0)
    assert weights.shape == (50, 3)
    assert (weights.sum(1) == 3).all()


def test_intervals_of_dependent_days_are_wider_than_of_independent_rows():
    generator = np.random.default_rng(0)
    days = np.repeat(np.arange(30), 100)
    label = np.repeat(generator.normal(size=30), 100)

    def mean(weights):
        return weights @ label / weights.sum(1)

    by_day = interval(of_rows(mean, days), days, seed=0)
    rows = np.arange(3000)
    by_row = interval(of_rows(mean, rows), rows, seed=0)
    assert by_day.value == by_row.value
    assert by_day.high - by_day.low > 4 * (by_row.high - by_row.low)
    assert interval(of_rows(mean, days), days, seed=0) == by_day


@given(st.data())
def test_the_area_of_drawn_blocks_is_the_area_of_their_rows(data):
    """Ties, blocks of one class, and drawings that leave blocks out."""
    count = data.draw(st.integers(2, 30))
    levels = st.sampled_from([0.1, 0.25, 0.5, 0.75])
    score = np.array(data.draw(st.lists(levels, min_size=count, max_size=count)))
    label = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=count, max_size=count))
    )
    blocks = np.array(data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)))
    blocks = np.unique(blocks, return_inverse=True)[1].astype(np.int64)
    drawn = block_weights(blocks, 20, seed=0)
    by_rows = of_rows(lambda weights: MEASURES["roc_auc"].function(label, score, weights), blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = by_rows(drawn)
        given_blocks = auc_of_blocks(label, score, blocks)(drawn)
    np.testing.assert_allclose(given_blocks, expected, rtol=0, atol=1e-12)
