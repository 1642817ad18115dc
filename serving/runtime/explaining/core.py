"""The part of a model that adds up: a forest or a linear function, and what comes before it.

A registered model is preprocessing, then an estimator. Where that is one node of ONNX that adds
up, its Shapley values are exact in the columns that it reads; each of those comes from one feature
of the request (an imputed number, one category of a text), and a feature's value is the sum over
its columns. Which column comes from which is found by trying: a feature is varied, and the columns
that change are its own. Whether the sum, through the link, is the model's own score is tried too,
so a graph that is not understood is never explained as if it were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray
from onnx import helper

from serving.runtime.explaining.trees import Numbers, Trees

Feeds = Mapping[str, NDArray[Any]]

_SIDES = {"TreeEnsembleRegressor": "target", "TreeEnsembleClassifier": "class"}
_LINEAR = ("LinearRegressor", "LinearClassifier")
_CLOSE = 1e-4
"""By so much may a score differ from what the sum says it is, of its size."""


class Additive(Protocol):
    """What adds up over columns."""

    base: float

    def margins(self, columns: NDArray[np.float32]) -> Numbers:
        """The sum of each row."""

    def contributions(self, columns: NDArray[np.float32]) -> Numbers:
        """What each column adds to each row's, beside `base`."""


class Linear:
    """A weighted sum; a column adds its weight times what it differs from its mean.

    Args:
        weights: of the columns.
        start: what the sum starts with.
        means: of the columns, in the training rows.
    """

    def __init__(self, weights: Numbers, start: float, means: Numbers) -> None:
        self._weights, self._start, self._means = weights, start, means
        self.base = float(start + weights @ means)

    def margins(self, columns: NDArray[np.float32]) -> Numbers:
        """The sum of each row."""
        sums: Numbers = columns.astype(float) @ self._weights + self._start
        return sums

    def contributions(self, columns: NDArray[np.float32]) -> Numbers:
        """What each column adds."""
        return (columns - self._means) * self._weights


class Cut:
    """A model, cut in front of the node that adds up.

    Args:
        content: the bytes of ``model.onnx``.

    Raises:
        ValueError: there is not one such node.
    """

    def __init__(self, content: bytes) -> None:
        model = onnx.load_from_string(content)
        nodes = [own for own in model.graph.node if own.op_type in (*_SIDES, *_LINEAR)]
        if len(nodes) != 1:
            raise ValueError(f"it has {len(nodes)} forests and linear functions, not one")
        (node,) = nodes
        self.kind = node.op_type
        self.attributes = {own.name: helper.get_attribute_value(own) for own in node.attribute}
        self._name = node.input[0]
        self._direct = self._name in {own.name for own in model.graph.input}
        if not self._direct:
            del model.graph.output[:]
            model.graph.output.append(onnx.ValueInfoProto(name=self._name))
            extracted = _needed(model, self._name)
            options = ort.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session = ort.InferenceSession(
                extracted.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            self._reads = [own.name for own in self._session.get_inputs()]

    def columns(self, feeds: Feeds) -> NDArray[np.float32]:
        """What the node reads, a row of columns for each row."""
        if self._direct:
            found = feeds[self._name]
        else:
            (found,) = self._session.run(None, {name: feeds[name] for name in self._reads})
        array = np.asarray(found)
        if array.ndim != 2 or array.dtype.kind != "f":
            raise ValueError("what adds up reads no matrix of numbers")
        return array.astype(np.float32)

    def additive(self, width: int, column: int, means: Callable[[], Numbers]) -> Additive:
        """What adds up.

        Args:
            width: how many columns it reads.
            column: of the probabilities, the one that is explained; of a number 0.
            means: gives the columns' means.

        Raises:
            ValueError: it is of a kind that is not explained exactly.
        """
        if self.kind in _SIDES:
            return self._forest(width, column)
        weights = np.array(self.attributes["coefficients"], float).reshape(-1, width)
        starts = np.array(self.attributes.get("intercepts", np.zeros(len(weights))), float)
        sign = 1.0
        if len(weights) == 2 and self.kind == "LinearClassifier":
            weights, starts = weights[1:] - weights[:1], starts[1:] - starts[:1]
            if self._is_logistic():  # each class by itself: a class's own sum is its log-odds
                weights, starts = weights / 2, starts / 2
            sign = 1.0 if column else -1.0
        if len(weights) != 1:
            raise ValueError("it has more than two classes, or targets")
        return Linear(sign * weights[0], sign * float(starts[0]), means())

    def _is_logistic(self) -> bool:
        return self.attributes.get("post_transform") in (b"LOGISTIC", "LOGISTIC")

    def _forest(self, width: int, column: int) -> Trees:
        side = _SIDES[self.kind]
        ids = set(np.asarray(self.attributes[f"{side}_ids"]).tolist())
        if side == "class" and column not in ids and ids == {0}:
            column = 0  # of two classes one sum, the second's
        return Trees(self.attributes, side, column, width)


def _needed(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The part of a model that makes one tensor."""
    makers = {out: node for node in model.graph.node for out in node.output}
    wanted, waiting, kept = set(), [name], set()
    while waiting:
        tensor = waiting.pop()
        wanted.add(tensor)
        node = makers.get(tensor)
        if node is not None and id(node) not in kept:
            kept.add(id(node))
            waiting += [own for own in node.input if own]
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.node[:]
    part.graph.node.extend(node for node in model.graph.node if id(node) in kept)
    for field in (part.graph.input, part.graph.initializer):
        rest = [own for own in field if own.name in wanted]
        del field[:]
        field.extend(rest)
    del part.graph.value_info[:]
    return part


LINKS: dict[str, Callable[[Numbers], Numbers]] = {
    "score": lambda sums: sums,
    "log-odds": lambda sums: 1 / (1 + np.exp(-sums)),
    "log": np.exp,
}
"""What makes a score of a sum, by the scale on which the sum is."""


def scale_of(sums: Numbers, scores: Numbers) -> str:
    """The scale on which sums are, of which the model makes these scores.

    Raises:
        ValueError: none that is known.
    """
    for name, link in LINKS.items():
        with np.errstate(over="ignore"):
            expected = link(sums)
        if np.allclose(expected, scores, rtol=_CLOSE, atol=_CLOSE / 10):
            return name
    raise ValueError("its sum is not what its score is made of")
