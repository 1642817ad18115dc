"""Explains one model: exactly where it adds up, by trying out features otherwise."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from serving.runtime.explaining.background import Spread
from serving.runtime.explaining.core import Additive, Cut, Feeds, Linear, scale_of
from serving.runtime.explaining.trees import Numbers
from serving.runtime.model import Model
from serving.runtime.refusal import Refusal

_REFERENCES = 4
"""Rows around which features are varied, to see which columns are theirs."""
_ROUNDS = 100
"""Orders in which features are tried, for a row, at most."""
_FEWEST = 4
"""Fewer say nothing about how sure the result is."""
_CALL = 512
"""Rows of one call of the model."""
_SEED = 20_130_101
_log = structlog.get_logger("serving.runtime")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What each feature added to the answer to one row: `base` and all of them are `total`."""

    base: float
    total: float
    contributions: dict[str, float]
    uncertainty: dict[str, float] = field(default_factory=dict)
    """The standard error of each, where they were sampled."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Explanations of some rows.

    Args:
        method: ``tree_shap``, ``linear_shap`` or ``sampled``.
        scale: on which they add up: ``log-odds``, ``log``, or ``score`` for that of the answer.
        rows: one for each row.
        why: why they are not exact; empty where they are.
        rounds: orders of features that were tried for each row, where they were sampled.
    """

    method: str
    scale: str
    rows: list[Explanation]
    why: str = ""
    rounds: int = 0


class Feature:
    """What contributions are said of: an input, or a column of an input that is a matrix."""

    def __init__(self, name: str, of: str, column: int, spread: Spread) -> None:
        self.name = name
        self.input = of
        self.column = column
        self.spread = spread

    def put(self, feeds: Mapping[str, NDArray[Any]], rows: Any, values: Any) -> None:
        """Write values into some rows of a request."""
        array = feeds[self.input]
        if array.ndim == 1:
            array[rows] = values
        else:
            array[rows, self.column] = values

    def of(self, feeds: Feeds) -> NDArray[Any]:
        """The feature's values."""
        array = feeds[self.input]
        return array if array.ndim == 1 else array[:, self.column]


class Explainer:
    """What explains one version of a model; made when it is first asked.

    Args:
        model: the model.
        content: the bytes of its ``model.onnx``; None where they were not kept.

    Raises:
        Refusal: it is none that can be explained (400).
    """

    def __init__(self, model: Model, content: bytes | None) -> None:
        self._model = model
        self.features = _features(model)
        self._exact: _Exact | None = None
        self._why = "its file is too large to be kept for that"
        if content is not None:
            try:
                self._exact = _Exact(self, model, content)
            except (ValueError, Refusal) as error:
                self._why = str(error)
            except Exception as error:  # noqa: BLE001  any graph may come, and can be tried out
                _log.warning("not explained exactly", exc_info=error)
                self._why = "its graph is not understood"

    def explain(self, feeds: Feeds, rows: int, *, budget: float, sample: bool) -> Explained:
        """What each feature added, row by row.

        Args:
            feeds: a request's tensors.
            rows: how many there are.
            budget: seconds that it may take.
            sample: whether features are tried out though it can be done exactly.

        Raises:
            Refusal: it cannot be done in that time (503), or not with this artifact (400).
        """
        until = time.monotonic() + budget
        if self._exact is not None and not sample:
            return self._exact.explain(feeds, rows, until, budget)
        why = "it was asked for" if sample and self._exact is not None else self._why
        return self._sampled(feeds, rows, until, budget, why)

    def scores(self, feeds: Feeds, column: int | None = None) -> Numbers:
        """The score of each row: the number, or the probability of the class of that column."""
        return _scores(self._model, feeds, column)

    def _sampled(self, feeds: Feeds, rows: int, until: float, budget: float, why: str) -> Explained:
        results = []
        fewest = _ROUNDS
        for row in range(rows):
            # What is left of the time is shared out evenly among the rows that are left.
            own = time.monotonic() + (until - time.monotonic()) / (rows - row)
            result, rounds = self._row(feeds, row, own)
            if rounds < _FEWEST:
                raise _too_slow(budget, row, rows)
            results.append(result)
            fewest = min(fewest, rounds)
        return Explained(method="sampled", scale="score", rows=results, why=why, rounds=fewest)

    def _row(self, feeds: Feeds, row: int, until: float) -> tuple[Explanation, int]:
        """One row: what the score changes by, on average, when a feature's turn comes."""
        random = np.random.default_rng(_SEED)
        given = {name: array[row : row + 1] for name, array in feeds.items()}
        column = _column(self._model, given)
        at_once = max(2, _CALL // (len(self.features) + 1) // 2 * 2)
        changes = np.empty((0, len(self.features)))
        bases: list[float] = []
        while len(changes) < _ROUNDS and (not bases or time.monotonic() < until):
            size = min(at_once, _ROUNDS - len(changes))
            own, base = self._tried(given, column, size, random)
            changes = np.concatenate([changes, own])
            bases += base
        # An order and its reverse are one observation: their errors are opposite.
        pairs = changes.reshape(-1, 2, len(self.features)).mean(axis=1)
        names = [feature.name for feature in self.features]
        errors = pairs.std(axis=0, ddof=1 if len(pairs) > 1 else 0) / len(pairs) ** 0.5
        explanation = Explanation(
            base=float(np.mean(bases)),
            total=float(self.scores(given, column)[0]),
            contributions=dict(zip(names, changes.mean(axis=0).tolist(), strict=True)),
            uncertainty=dict(zip(names, errors.tolist(), strict=True)),
        )
        return explanation, len(changes)

    def _tried(
        self, given: Feeds, column: int | None, size: int, random: np.random.Generator
    ) -> tuple[Numbers, list[float]]:
        """The features of a row, put one after the other in place of typical ones.

        Args:
            given: the row.
            column: the class that is explained.
            size: orders in which they are put, each second one the reverse of that before it, with
                the same typical values.
            random: what draws the orders and the values.

        Returns:
            What the score changes by at each feature's turn, and the scores before the first.
        """
        count = len(self.features)
        order = random.permuted(np.tile(np.arange(count), (size // 2, 1)), axis=1)
        turns = np.stack([order, count - 1 - order], axis=1).reshape(size, count)
        """Of each feature, when its turn is."""
        tried = {name: np.repeat(array, size * (count + 1), 0) for name, array in given.items()}
        for number, feature in enumerate(self.features):
            typical = np.repeat(feature.spread.drawn(random, size // 2), 2)
            is_own = np.arange(count + 1) > turns[:, number, None]
            values = np.where(is_own, feature.of(given)[0], typical[:, None])
            feature.put(tried, slice(None), values.ravel())
        scores = self.scores(tried, column).reshape(size, count + 1)
        steps: Numbers = np.diff(scores, axis=1)
        changes: Numbers = steps[np.arange(size)[:, None], turns]
        return changes, scores[:, 0].tolist()


class _Exact:
    """The part of a model that adds up, checked against the model itself.

    Raises:
        ValueError: there is none, or it is not the model's score.
    """

    def __init__(self, explainer: Explainer, model: Model, content: bytes) -> None:
        score, column = model.artifact.score, 0
        if score is None:
            raise ValueError("it has no score")
        if model.artifact.task == "classification":
            if score.shape[-1] != 2:
                raise ValueError("it has not two classes")
            column = model.meaning.column
        self._names = [feature.name for feature in explainer.features]
        self._cut = Cut(content)
        trials, reference, varied = _trials(explainer.features, model)
        columns = self._cut.columns(trials)
        self._owners = _owners(columns, reference, varied, len(self._names))
        features = explainer.features
        self._sum: Additive = self._cut.additive(
            columns.shape[1], column, lambda: self._means(features, trials)
        )
        scores = explainer.scores(trials, column)
        self._scale = scale_of(self._sum.margins(columns), scores)
        self._method = "linear_shap" if isinstance(self._sum, Linear) else "tree_shap"

    def explain(self, feeds: Feeds, rows: int, until: float, budget: float) -> Explained:
        """All rows, or none."""
        columns = self._cut.columns(feeds)
        results: list[Explanation] = []
        step = 1
        while len(results) < rows:
            part = columns[len(results) : len(results) + step]
            results += self._rows(part)
            step = min(2 * step, 32)
            if len(results) < rows and time.monotonic() > until:
                raise _too_slow(budget, len(results), rows)
        return Explained(method=self._method, scale=self._scale, rows=results)

    def _rows(self, columns: NDArray[np.float32]) -> list[Explanation]:
        parts = self._sum.contributions(columns)
        totals = self._sum.margins(columns)
        by_feature = np.zeros((len(parts), len(self._names) + 1))
        np.add.at(by_feature.T, self._owners, parts.T)
        return [
            Explanation(
                # A column that no feature changes adds the same to every row.
                base=self._sum.base + float(values[-1]),
                total=float(total),
                contributions=dict(zip(self._names, values[:-1].tolist(), strict=True)),
            )
            for values, total in zip(by_feature, totals, strict=True)
        ]

    def _means(self, features: Sequence[Feature], trials: Feeds) -> Numbers:
        """The mean of each column in training: each depends on one feature, whose spread is
        known."""
        reference = {name: array[:1] for name, array in trials.items()}
        means = np.asarray(self._cut.columns(reference)[0], float)
        for number, feature in enumerate(features):
            values, shares = feature.spread.means()
            varied = {name: np.repeat(array, len(values), 0) for name, array in reference.items()}
            feature.put(varied, slice(None), values)
            columns = self._cut.columns(varied).astype(float)
            own = self._owners == number
            means[own] = shares @ columns[:, own]
        return means


def _features(model: Model) -> list[Feature]:
    """What contributions are said of: the features that the model reads.

    Raises:
        Refusal: an input is no feature, nor a matrix of some.
    """
    features = []
    for tensor in model.artifact.inputs:
        if not tensor.used:
            continue
        if tensor.shape[:1] != (-1,) or len(tensor.shape) > 2 or -1 in tensor.shape[1:]:
            raise Refusal(
                400,
                f"input {tensor.name!r} has shape {list(tensor.shape)}; only models of one value "
                "a feature, or of a matrix of a known width, are explained",
            )
        dtype = model.signature.inputs[tensor.name].dtype
        spread = Spread(tensor, dtype, model.artifact.interpretation.missing_text)
        width = tensor.shape[1] if len(tensor.shape) == 2 else 1
        for column in range(width):
            name = tensor.name if width == 1 else f"{tensor.name}[{column}]"
            features.append(Feature(name, tensor.name, column, spread))
    return features


def _trials(
    features: Sequence[Feature], model: Model
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64], NDArray[np.int64]]:
    """A request in which each feature is varied by itself around some rows.

    Returns:
        Its tensors; of each row the row that it was before a feature was varied, and that
        feature's number (-1 for those first rows themselves).
    """
    random = np.random.default_rng(_SEED)
    probes = [feature.spread.probes() for feature in features]
    counts = [len(values) for values in probes]
    rows = _REFERENCES * (1 + sum(counts))
    tensors = {
        tensor.name: np.zeros((rows, *tensor.shape[1:]), model.signature.inputs[tensor.name].dtype)
        for tensor in model.artifact.inputs
        if tensor.used
    }
    reference = np.tile(np.arange(_REFERENCES), 1 + sum(counts))
    varied = np.repeat([-1, *np.repeat(np.arange(len(features)), counts)], _REFERENCES)
    for number, (feature, values) in enumerate(zip(features, probes, strict=True)):
        typical = random.choice(values, _REFERENCES)
        feature.put(tensors, slice(None), typical[reference])
        feature.put(tensors, varied == number, np.repeat(values, _REFERENCES))
    return tensors, reference, varied


def _owners(
    columns: NDArray[np.float32],
    reference: NDArray[np.int64],
    varied: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:
    """The number of the feature that each column comes from; `count` for none.

    Raises:
        ValueError: a column comes from several.
    """
    before = columns[reference]
    differs = (columns != before) & ~(np.isnan(columns) & np.isnan(before))
    owners = np.full(columns.shape[1], count)
    for number in range(count):
        own = differs[varied == number].any(axis=0)
        if (owners[own] != count).any():
            raise ValueError("what adds up reads columns that are made of several features")
        owners[own] = number
    return owners


def _column(model: Model, feeds: Feeds) -> int | None:
    """The column of the probabilities that is explained: of two classes the positive one's, of
    several the predicted one's."""
    score = model.artifact.score
    if score is None:
        raise Refusal(400, "the model has no score that could be explained")
    if model.artifact.task != "classification":
        return None
    if score.shape[-1] == 2:
        return model.meaning.column
    results = model.results(feeds, 1)
    return int(results[score.name][0].argmax())


def _scores(model: Model, feeds: Feeds, column: int | None) -> Numbers:
    score = model.artifact.score
    assert score is not None
    rows = len(next(iter(feeds.values())))
    array = np.asarray(model.results(feeds, rows)[score.name], float)
    if model.artifact.task == "classification":
        return array[:, column or 0]
    return array.reshape(rows, -1)[:, 0]


def _too_slow(budget: float, done: int, rows: int) -> Refusal:
    return Refusal(
        503,
        f"{budget:g} s were enough for {done} of {rows} rows",
        fix="send fewer, or a larger budget",
    )
