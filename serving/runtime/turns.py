"""Requests that are there together are answered together.

A model of some tens of microseconds a row costs mostly what surrounds its rows: a call of ONNX
Runtime takes as long for one as for ten. While one turn of the event loop is worked off, requests
of other connections arrive; those that are there in the next turn share one call. Nothing waits for
a timer, and a request that is alone is answered alone; a model that gains from company may be told
to wait for it (`serving.runtime.batches`).

What a request gets does not depend on who it shared the call with: rows are only put together where
the model computes each of them by itself, to the last bit (`can_share`), and when the call fails
each is asked for alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import onnx
import structlog

from serving.runtime.model import Answer, Model, Prepared
from serving.runtime.refusal import Refusal

_log = structlog.get_logger("serving.runtime")

Done = Callable[[Prepared, Answer | Refusal], None]

_ROWS = 256
"""In one call at most, or what one request has: more rows gain nothing, and make others wait."""
_SLICE = 0.005
"""Seconds after which connections get their turn, though requests still wait."""


class Turns:
    """The requests that are there, until they are answered.

    Args:
        model: what answers them.
        shared: whether they share calls.
    """

    def __init__(self, model: Model, *, shared: bool) -> None:
        self._model = model
        self._most = _ROWS if shared else 0
        self._waiting: list[tuple[Prepared, Done]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, prepared: Prepared, done: Done) -> None:
        """Have a request answered in this turn of the loop, or soon after."""
        self._waiting.append((prepared, done))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        if rest := self._worked(waiting):
            # In front of those that have come meanwhile, for which a turn may be on its way.
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._answer)
            self._waiting[:0] = rest

    def _worked(self, waiting: list[tuple[Prepared, Done]]) -> list[tuple[Prepared, Done]]:
        """Answer them, in their order; those for which the time is up are given back."""
        until = time.perf_counter() + _SLICE
        for prepared, _ in waiting:
            if prepared.gone:
                waiting = _wanted(waiting)
                break
        start = 0
        while start < len(waiting):
            end, rows = start + 1, waiting[start][0].rows
            while end < len(waiting) and (rows := rows + waiting[end][0].rows) <= self._most:
                end += 1
            together = waiting[start:end]
            answers = self._answers([prepared for prepared, _ in together])
            for (prepared, done), answer in zip(together, answers, strict=True):
                done(prepared, answer)
            start = end
            if start < len(waiting) and time.perf_counter() > until:
                break
        return waiting[start:] if start < len(waiting) else []

    def _answers(self, asked: list[Prepared]) -> list[Answer | Refusal]:
        try:
            return self._model.answers(asked)
        except Exception:  # noqa: BLE001  whatever it is, somebody waits
            _log.exception("failed")
            return [Refusal(500, "the server has a fault; see its log") for _ in asked]


def _wanted(waiting: list[tuple[Prepared, Done]]) -> list[tuple[Prepared, Done]]:
    """Those whose answers somebody waits for; the others are told that they get none."""
    for prepared, done in waiting:
        if prepared.gone:
            done(prepared, Refusal(499, "nobody waits for it"))
    return [asked for asked in waiting if not asked[0].gone]


_BY_ROW = frozenset(
    {
        # ai.onnx.ml
        *("ArrayFeatureExtractor", "Binarizer", "CategoryMapper", "FeatureVectorizer", "Imputer"),
        *("LabelEncoder", "OneHotEncoder", "Scaler", "TreeEnsemble", "TreeEnsembleClassifier"),
        "TreeEnsembleRegressor",
        # ai.onnx: elementwise and exact, or a row's values moved about
        *("Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "Ceil", "Clip", "Concat", "Constant"),
        *("Div", "Equal", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity"),
        *("IsInf", "IsNaN", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg", "Not", "Or", "Relu"),
        *("Reshape", "Round", "Sign", "Slice", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
        *("Where", "Xor"),
    }
)
"""Operators that compute each row by itself, whatever rows are beside it, to the last bit.

Not among them are those that multiply matrices (linear models too), whose order of adding depends
on how many rows there are, and those that approximate (Exp, Tanh, …): values that fill a vector
register are computed otherwise than those that are left over."""


def can_share(content: bytes, model: Model) -> bool:
    """Whether rows of different requests give the same bits together as alone.

    Args:
        content: the bytes of ``model.onnx``.
        model: the loaded model.
    """
    if not can_join(model):
        return False
    nodes = onnx.load_from_string(content).graph.node
    return all(node.op_type in _BY_ROW for node in nodes)


def can_join(model: Model) -> bool:
    """Whether rows of different requests can be put into one call at all: as many as one likes."""
    artifact = model.artifact
    tensors = [*(tensor for tensor in artifact.inputs if tensor.used), *artifact.outputs]
    return all(tensor.shape and tensor.shape[0] == -1 for tensor in tensors)
