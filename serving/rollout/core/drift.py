"""Do the two versions predict differently? Evidence as `judge` keeps it, over whole distributions.

With classes 1..k, the counts given both margins decompose into k - 1 comparisons of two (class i
against the classes after it), one after the other; `judge` has the rest of the argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from contracts.rollout import DriftState, Outcomes
from serving.rollout.core.hypergeometric import log_likelihoods, log_sum
from serving.rollout.core.judge import GRID, ODDS, floored


def extend(state: DriftState, candidate: Sequence[int], stable: Sequence[int]) -> DriftState:
    """Add one look's predictions by class to the evidence of drift.

    Args:
        state: the evidence so far; begins anew when the number of classes has changed.
        candidate: the candidate's predictions in each class, in this look.
        stable: the stable version's.
    """
    if len(state.candidate) != len(candidate):
        zeros = (0,) * len(candidate)
        stages = ((0.0,) * len(GRID),) * max(0, len(candidate) - 1)
        state = DriftState(stages=stages, candidate=zeros, stable=zeros)
    added = []
    for index, stage in enumerate(state.stages):
        own = Outcomes(total=sum(candidate[index:]), bad=candidate[index])
        other = Outcomes(total=sum(stable[index:]), bad=stable[index])
        added.append(tuple((np.array(stage) + log_likelihoods(own, other, ODDS)).tolist()))
    return DriftState(
        stages=tuple(added),
        candidate=tuple(a + b for a, b in zip(state.candidate, candidate, strict=True)),
        stable=tuple(a + b for a, b in zip(state.stable, stable, strict=True)),
    )


def log_drift(state: DriftState) -> float:
    """Log evidence against *both versions' predictions have the same distribution*."""
    if not state.stages:
        return 0.0
    stages = log_sum(np.array(state.stages)) - math.log(len(GRID))
    mean = float(log_sum(stages)) - math.log(len(stages))
    return floored(float(np.logaddexp(mean, float(stages.sum())) - math.log(2)))
