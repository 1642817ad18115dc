"""Judging gates: a comparison each, with by how much it passed or failed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

from components.documents import GateResult
from contracts.model import Gate

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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
