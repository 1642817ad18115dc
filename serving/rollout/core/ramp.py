"""How much traffic the candidate gets until the next look.

A fixed staircase of weights is too slow for a good version and too generous to a bad one. Here the
weight follows from what is known: the candidate may get as much traffic as could, at the upper
bound of its excess of bad responses, not cost more than is left of the harm budget before the next
look. While nothing is known that bound is *every response is bad*, so the first weight is small
where traffic is large.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from contracts.rollout import WHOLE, GuardNumbers, GuardState, Harm, RolloutSpec

SURE = 3.0
"""Standard errors by which an excess must stand out before it is charged to the budget."""


def next_weight(
    spec: RolloutSpec, current: int, requests: float | None, excess: float, charged: float
) -> int:
    """The candidate's next weight, in 1/10000.

    Args:
        spec: the rollout's plan.
        current: its weight now; 0 before the first.
        requests: how many requests all versions together are expected to get until the next look;
        None when
            that is not known, and then the weight does not grow.
        excess: the upper bound of its excess rate of bad responses, between 0 and 1.
        charged: how much of the harm budget is spent.

    Returns:
        The largest weight whose expected excess fits what is left of the budget, not above the
        maximum, not above `growth` times the current one, a multiple of the data plane's step, and
        at least one step: a candidate without any traffic would never get a verdict.
    """
    step = round(spec.weight.step * WHOLE)
    top = spec.weight.max * WHOLE
    grown = current * spec.weight.growth if current else spec.weight.start * WHOLE
    limit = min(top, grown)
    left = max(0.0, spec.harm_budget - charged)
    if requests is None:
        limit = min(limit, current or limit)
    elif requests * excess > 0:
        limit = min(limit, WHOLE * left / (requests * excess))
    return max(step, math.floor(limit / step + 1e-9) * step)


def excess_bound(guards: Iterable[GuardNumbers]) -> float:
    """The upper bound of the candidate's rate of bad responses above the stable version's.

    Over all guards, and at most 1: a response is bad or it is not. For each guard it is the lower
    of two valid bounds: by the difference of the rates, and by the odds ratio at the stable
    version's highest plausible rate.
    """
    return min(1.0, sum(max(0.0, min(_by_rates(guard), _by_odds(guard))) for guard in guards))


def _by_rates(guard: GuardNumbers) -> float:
    return guard.difference[1]


def _by_odds(guard: GuardNumbers) -> float:
    ratio, rate = guard.odds_ratio[1], guard.stable_rate[1]
    if ratio is None:
        return 1.0
    return ratio * rate / (1 - rate + ratio * rate) - rate


def harm(states: Iterable[GuardState]) -> Harm:
    """What the rollout has cost so far, with two standard errors either side.

    Only what exceeds three standard errors is charged to the budget. An estimate of a sum of
    differences wanders around zero for a candidate that is just as good, the further the more
    requests it has had; charging that would stop good versions of models with high bad rates.
    """
    known = list(states)
    estimate = sum(state.excess for state in known)
    error = math.sqrt(sum(state.variance for state in known))
    charged = sum(max(0.0, state.excess - SURE * math.sqrt(state.variance)) for state in known)
    return Harm(
        estimate=estimate, low=estimate - 2 * error, high=estimate + 2 * error, charged=charged
    )
