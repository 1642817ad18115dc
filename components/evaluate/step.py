"""Measure the exported model on the test part, which nothing before has looked at.

A single number on one month flatters or slanders: so every metric has an interval from whole days
drawn at random, stands beside what no model and what one feature alone would score, and is broken
down by month and by slice. The gates are judged here but not enforced: ``register`` refuses, so
that the evaluation of a rejected model is kept like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd

from components import parts
from components.binning import Binning, mean_by_bin
from components.documents import (
    NATIVE_FILE,
    PREPROCESSING,
    TRAINING,
    BestFeature,
    CalibrationBin,
    CurvePoint,
    Evaluation,
    Importance,
    Learned,
    Preprocessing,
    SliceScore,
    Training,
    read,
    write,
)
from components.entry import warn
from components.evaluate.gates import judge, judged, unjudged
from components.metrics import (
    Floats,
    calibration_bins,
    cumulative,
    interval,
    measure,
    resampled,
)
from components.parity import Exported, difference, tolerated
from contracts.artifact import MODEL_FILE, Interval
from contracts.model import METRICS, Gate, ModelSpec, Task

SEED = 0
MAIN_METRIC: dict[Task, str] = {"classification": "roc_auc", "regression": "r2"}
SMALLEST_SLICE = 100
"""Fewer rows say nothing about a slice."""
MOST_SLICES = 20
IMPORTANCE_ROWS = 4000
CURVE_POINTS = 101
MONTH = "month"
PARITY = "onnx_parity"


def evaluate(data: Path, model: Path, spec: ModelSpec, destination: Path) -> Evaluation:
    """Measure, compare, break down, and judge the gates.

    Args:
        data: the folder that ``preprocess`` wrote.
        model: the folder that ``train`` wrote.
        spec: the gates.
        destination: the file to write the document to.
    """
    training = read(Training, model / TRAINING)
    preprocessing = read(Preprocessing, data / PREPROCESSING)
    by_name = {feature.name: feature for feature in preprocessing.features}
    features = tuple(by_name[name] for name in training.features)
    columns = [parts.TIME, parts.LABEL, *training.features, *preprocessing.slices]
    test = parts.load(data, "test", columns)
    rows, label = parts.inputs(test, features), parts.label(test)
    exported = Exported(
        model / MODEL_FILE, tuple(tensor for tensor in training.inputs if tensor.used)
    )
    outputs = exported.predict(rows)
    prediction = outputs[:, -1]
    days = day_of(test[parts.TIME])
    prior = np.full(len(label), preprocessing.parts["train"].label_mean)
    names = METRICS[spec.task]
    main = MAIN_METRIC[spec.task]
    metrics = {name: with_interval(name, label, prediction, days) for name in names}
    priors = {name: measure(name, label, prior) for name in names}
    native: Floats = joblib.load(model / NATIVE_FILE).predict(rows)
    parity = difference(native, outputs)
    best = best_feature(data, features, rows, label, prediction, days, main)
    slices = slice_scores(test, preprocessing.slices, label, prediction, names)
    values = {name: metric.value for name, metric in metrics.items()} | {
        PARITY: parity,
        "gain_over_best_feature": certain(best.gain),
    }
    gates = judged(spec, values, priors)
    if PARITY not in (spec.gates or ()):
        gates += judge({PARITY: exported_faithfully(native)}, values, priors)
    unseen = (
        *unseen_by(training, preprocessing, slices),
        *unjudged(spec, values, priors),
    )
    warn("evaluate", unseen)
    evaluation = Evaluation(
        rows=len(label),
        days=int(days.max()) + 1,
        start=test[parts.TIME].iloc[0].to_pydatetime(),
        end=test[parts.TIME].iloc[-1].to_pydatetime(),
        main_metric=main,
        metrics=metrics,
        prior={name: value for name, value in priors.items() if np.isfinite(value)},
        onnx_parity=parity,
        best_feature=best,
        gates=gates,
        calibration=calibration(label, prediction) if spec.task == "classification" else (),
        roc=roc(label, prediction) if spec.task == "classification" else (),
        slices=slices,
        importance=importance(exported, rows, label, main),
        warnings=(*preprocessing.warnings, *unseen),
    )
    write(evaluation, destination)
    return evaluation


def unseen_by(
    training: Training, preprocessing: Preprocessing, slices: Sequence[SliceScore]
) -> Iterator[str]:
    """What neither the model nor its evaluation looks at, a sentence each."""
    used = set(training.features)
    unused = [feature.name for feature in preprocessing.features if feature.name not in used]
    if unused:
        yield f"the model uses {len(used)} features (select.keep) and not {', '.join(unused)}"
    judged = {score.column for score in slices}
    for column in preprocessing.slices:
        if column not in judged:
            yield f"{column}: no slice has {SMALLEST_SLICE} test rows, so that none is judged alone"


def day_of(time: pd.Series) -> npt.NDArray[np.int64]:
    """The number of each row's day among the days that occur."""
    days = time.dt.floor("D")
    codes: npt.NDArray[np.int64] = pd.factorize(days, sort=True)[0].astype(np.int64)
    return codes


def with_interval(
    name: str, label: Floats, prediction: Floats, days: npt.NDArray[np.int64]
) -> Interval:
    """A metric with its day-block bootstrap interval."""
    return interval(resampled(name, label, prediction, days), days, seed=SEED)


def certain(gain: Interval) -> float:
    """What the test data show of a gain: the lower end of its interval, because a gain that may
    as well be nothing is none."""
    return gain.value if gain.low is None else gain.low


def exported_faithfully(native: Floats) -> Gate:
    """The gate of parity where the document has none: a model that differs from its export is
    another one, whatever is asked."""
    return Gate(operator="<=", limit=float(f"{tolerated(native):.2g}"))


def best_feature(
    data: Path,
    features: tuple[Learned, ...],
    rows: pd.DataFrame,
    label: Floats,
    prediction: Floats,
    days: npt.NDArray[np.int64],
    metric: str,
) -> BestFeature:
    """What one feature alone can do: predict the mean label of the training rows in its bin.

    The feature is chosen by its score on the test rows, which can only make the comparison harder
    for the model.
    """
    train = parts.load(data, "train", [parts.LABEL, *(feature.name for feature in features)])
    train_rows, train_label = parts.inputs(train, features), parts.label(train)
    best_name, best_score, best_prediction = "", -np.inf, prediction
    for feature in features:
        binning = Binning.learn(train_rows[feature.name])
        means = mean_by_bin(binning.codes(train_rows[feature.name]), binning.count, train_label)
        means_of_bins = means[binning.codes(rows[feature.name])]
        score = measure(metric, label, means_of_bins)
        if score > best_score:
            best_name, best_score, best_prediction = feature.name, score, means_of_bins
    ours = resampled(metric, label, prediction, days)
    alone = resampled(metric, label, best_prediction, days)
    gain = interval(lambda drawn: ours(drawn) - alone(drawn), days, seed=SEED)
    score_alone = with_interval(metric, label, best_prediction, days)
    return BestFeature(name=best_name, metric=metric, score=score_alone, gain=gain)


def calibration(label: Floats, prediction: Floats) -> tuple[CalibrationBin, ...]:
    """Ten bins of equally many rows: mean prediction beside the share that happened."""
    bins = calibration_bins(prediction)
    return tuple(
        CalibrationBin(
            predicted=float(prediction[bins == place].mean()),
            observed=float(label[bins == place].mean()),
            rows=int((bins == place).sum()),
        )
        for place in np.unique(bins)
    )


def roc(label: Floats, prediction: Floats) -> tuple[CurvePoint, ...]:
    """The ROC curve at a hundred false positive rates, evenly spaced."""
    positive, negative = cumulative(label, prediction, np.ones((1, len(label))))
    true_rate = np.concatenate([[0.0], positive[0] / positive[0, -1]])
    false_rate = np.concatenate([[0.0], negative[0] / negative[0, -1]])
    grid = np.linspace(0, 1, CURVE_POINTS)
    return tuple(
        CurvePoint(false_positive_rate=float(x), true_positive_rate=float(y))
        for x, y in zip(grid, np.interp(grid, false_rate, true_rate), strict=True)
    )


def slice_scores(
    test: pd.DataFrame,
    columns: tuple[str, ...],
    label: Floats,
    prediction: Floats,
    names: tuple[str, ...],
) -> tuple[SliceScore, ...]:
    """The metrics by month, then by the largest values of each slice's column."""
    views = {MONTH: test[parts.TIME].dt.strftime("%Y-%m")}
    views |= {column: test[column].astype(object).fillna("(missing)") for column in columns}
    scores: list[SliceScore] = []
    for column, values in views.items():
        counts = values.value_counts()
        common = counts[counts >= SMALLEST_SLICE].index[:MOST_SLICES]
        for value in sorted(common) if column == MONTH else common:
            here = (values == value).to_numpy()
            measured = {name: measure(name, label[here], prediction[here]) for name in names}
            scores.append(
                SliceScore(
                    column=column,
                    value=str(value),
                    rows=int(here.sum()),
                    label_mean=float(label[here].mean()),
                    predicted_mean=float(prediction[here].mean()),
                    metrics={name: value for name, value in measured.items() if np.isfinite(value)},
                )
            )
    return tuple(scores)


def importance(
    exported: Exported, rows: pd.DataFrame, label: Floats, metric: str
) -> tuple[Importance, ...]:
    """How much of the metric is lost when one feature's values are shuffled among the rows, most
    first (permutation importance, on the exported model; Breiman, 2001)."""
    generator = np.random.default_rng(SEED)
    chosen = np.sort(generator.permutation(len(rows))[:IMPORTANCE_ROWS])
    sample, sample_label = rows.iloc[chosen].reset_index(drop=True), label[chosen]
    whole = measure(metric, sample_label, exported.predict(sample)[:, -1])
    drops = []
    for tensor in exported.inputs:
        shuffled = sample.copy()
        shuffled[tensor.name] = sample[tensor.name].to_numpy()[generator.permutation(len(sample))]
        drop = whole - measure(metric, sample_label, exported.predict(shuffled)[:, -1])
        drops.append(Importance(name=tensor.name, drop=drop if np.isfinite(drop) else 0.0))
    return tuple(sorted(drops, key=lambda item: -item.drop))
