"""The next weight never costs more than is left, in expectation, and never jumps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.rollout import WHOLE, GuardState, RolloutSpec
from serving.rollout.core import judge, ramp

SPEC = RolloutSpec.parse({"harm_budget": 50, "weight": {"start": "1%", "max": "50%"}})


@given(
    current=st.integers(0, 5000),
    requests=st.none() | st.floats(0, 1e7),
    excess=st.floats(0, 1),
    charged=st.floats(0, 200),
    step=st.sampled_from([1, 10, 100]),
)
def test_the_next_weight_keeps_its_promises(current, requests, excess, charged, step):
    spec = RolloutSpec.parse({"weight": {"start": "1%", "max": "50%", "step": step / WHOLE}})
    weight = ramp.next_weight(spec, current, requests, excess, charged)
    assert weight % step == 0
    assert step <= weight <= 5000
    if weight > step:
        assert weight <= (3 * current if current else 100)
        if requests is not None:
            cost = requests * excess * weight / WHOLE
            assert cost <= max(0.0, 50 - charged) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("current", "requests", "excess", "charged", "weight"),
    [
        (0, 1000, 1.0, 0, 100),  # 10 requests: fits, so the plan's start
        (0, 10_000, 1.0, 0, 50),  # 0.5 % of 10,000 is all of the budget
        (100, 1000, 0.01, 0, 300),  # tripled, although more would fit
        (3000, 1000, 0.01, 0, 5000),  # the maximum
        (3000, 100_000, 0.01, 0, 500),  # less than now: the bound says so
        (3000, 1000, 0.5, 50, 1),  # nothing left: one step, so that a verdict can be reached
        (100, None, 0.01, 0, 100),  # the traffic is not known: no growth
        (100, 0, 1.0, 0, 300),  # no traffic costs nothing (the controller holds then)
    ],
)
def test_weights(current, requests, excess, charged, weight):
    assert ramp.next_weight(SPEC, current, requests, excess, charged) == weight


def test_noise_is_not_charged_and_harm_is():
    alike = GuardState(
        likelihoods=(0.0,) * len(judge.GRID), tolerate=1.5, excess=29.0, variance=100
    )
    worse = alike.model_copy(update={"excess": 60.0})
    assert ramp.harm([alike]).charged == 0
    assert ramp.harm([worse]).charged == 30
    assert ramp.harm([worse]).low == 40
    assert ramp.harm([worse, alike]).estimate == 89
