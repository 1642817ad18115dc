"""Judging gates: a comparison each, with by how much it passed or failed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping

from components.documents import GateResult
from contracts.model import Gate, ModelSpec, Task

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

BASELINE: Mapping[Task, str] = {"classification": "log_loss", "regression": "rmse"}
"""The metric on which a model must beat always predicting the training data's mean. Both are
proper scores of what is predicted: no model that knows something is worse, were it only calibrated
(Gneiting and Raftery, 2007)."""
ADVICE = (
    "the document has no `gates`, so the model must beat always predicting the mean; write there "
    "what it must show instead, or `gates: {}` to ask nothing"
)


def judged(
    spec: ModelSpec, values: Mapping[str, float], prior: Mapping[str, float]
) -> tuple[GateResult, ...]:
    """The results of the document's gates; where it has none, of being better than the prior."""
    if spec.gates is not None:
        return judge(spec.gates, values, prior)
    better = {BASELINE[spec.task]: Gate(operator="<", limit="prior")}
    results = judge(better, values, prior)
    return tuple(result.model_copy(update={"advice": ADVICE}) for result in results)


def unjudged(
    spec: ModelSpec, values: Mapping[str, float], prior: Mapping[str, float]
) -> Iterator[str]:
    """A sentence where the model is no better than the prior and no gate is about that metric."""
    name = BASELINE[spec.task]
    if spec.gates is not None and name not in spec.gates and not values[name] < prior[name]:
        yield (
            f"the model is no better than always predicting the mean: {name} is "
            f"{values[name]:.4g}, the prior's {prior[name]:.4g}; no gate is about it "
            f'(gates: {{{name}: "< prior"}})'
        )


def judge(
    gates: Mapping[str, Gate], values: Mapping[str, float], prior: Mapping[str, float]
) -> tuple[GateResult, ...]:
    """Every gate's result.

    Args:
        gates: by the metric's name.
        values: what was measured.
        prior: what always predicting the training data's mean label would score.

    Returns:
        In the gates' order. A value that is not a number fails.
    """
    return tuple(judge_one(name, gate, values[name], prior) for name, gate in gates.items())


def judge_one(name: str, gate: Gate, value: float, prior: Mapping[str, float]) -> GateResult:
    """One gate's result; the margin is negative exactly when the value is on the wrong side."""
    limit = prior.get(name, 0.0) if gate.limit == "prior" else gate.limit
    margin = value - limit if gate.operator in (">", ">=") else limit - value
    passed = not math.isnan(value) and COMPARE[gate.operator](value, limit)
    return GateResult(
        name=name, gate=gate.text(), value=value, limit=limit, margin=margin, passed=passed
    )
