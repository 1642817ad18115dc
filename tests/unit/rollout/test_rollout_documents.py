"""What a plan refuses, with the sentence that a person sees."""

from __future__ import annotations

import pytest

from contracts.errors import DocumentError
from contracts.rollout import WHOLE, Counters, RolloutSpec, RolloutStatus

WRITTEN = {
    "interval": "10s",
    "confidence": 0.99,
    "harm_budget": 50,
    "weight": {"start": "1%", "max": "50%"},
    "tolerate": 1.5,
    "guards": {"errors": {}, "slow": {"over": "50ms"}, "wrong": {"min_feedback": 200}},
    "deadline": "30m",
}


def test_a_plan_as_a_person_writes_it():
    spec = RolloutSpec.parse(WRITTEN)
    assert (spec.interval, spec.deadline, spec.weight.start) == (10.0, 1800.0, 0.01)
    assert list(spec.guards.compared()) == ["errors", "slow", "wrong"]
    assert RolloutSpec.model_validate_json(spec.model_dump_json()) == spec
    assert (
        RolloutSpec.parse(WRITTEN | {"guards": {"errors": {"tolerate": 3}}}).tolerated("errors")
        == 3
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"interval": "1h"}, "interval (1h) must be shorter than deadline (30m)"),
        ({"interval": "soon"}, "'soon' is not a duration"),
        ({"interval": 0}, "interval: must be longer than 0s"),
        ({"startup": 0}, "startup: must be longer than 0s"),
        ({"confidence": 0.5}, "confidence: input should be greater than 0.5"),
        ({"confidence": 1}, "confidence: input should be less than 1"),
        ({"harm_budget": 0}, "harm_budget: input should be greater than 0"),
        ({"harm_budget": float("inf")}, "harm_budget: input should be a finite number"),
        (
            {"guards": {"errors": {"tolerate": float("inf")}}},
            "guards.errors.tolerate: input should be a finite number",
        ),
        ({"tolerate": 1}, "tolerate: input should be greater than 1"),
        ({"weight": {"start": "60%"}}, "start (60%) must not be above max (50%)"),
        ({"weight": {"start": 0}}, "start: must be above 0%"),
        ({"weight": {"max": "100%"}}, "leaves the stable version nothing to be compared with"),
        ({"weight": {"step": "0.001%"}}, "write a multiple of 0.01%"),
        ({"weight": {"step": "5%"}}, "start (1%) must be at least one step (5%)"),
        ({"weight": {"growth": 1}}, "weight.growth: input should be greater than 1"),
        ({"guards": {}}, "at least one of errors, slow and wrong is needed"),
        ({"guards": {"drift": {}}}, "at least one of errors, slow and wrong is needed"),
        ({"guards": {"slow": {}}}, "guards.slow.over: missing"),
        ({"guards": {"slow": {"over": "0ms"}}}, "over: must be longer than 0ms"),
        ({"guards": {"wrong": {"min_feedback": -1}}}, "greater than or equal to 0"),
        ({"guards": {"error": {}}}, "guards.error: unknown key; did you mean 'errors'?"),
        ({"on_deadline": "rolback"}, "did you mean 'rollback'?"),
        ({"harm": 3}, "harm: unknown key"),
    ],
)
def test_what_cannot_be_is_refused(change, sentence):
    with pytest.raises(DocumentError) as refused:
        RolloutSpec.parse(WRITTEN | change, where="model.yaml: rollout")
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("model.yaml: rollout")


@pytest.mark.parametrize(
    ("counters", "sentence"),
    [
        ({"requests": 3, "errors": 4}, "errors (4) is more than requests (3)"),
        ({"slow": 1}, "slow (1) is more than timed (none)"),
        ({"requests": -1}, "greater than or equal to 0"),
    ],
)
def test_counters_that_contradict_themselves_are_refused(counters, sentence):
    with pytest.raises(DocumentError) as refused:
        Counters.parse(counters)
    assert sentence in str(refused.value)


def test_a_status_is_refused_when_a_weight_is_impossible():
    with pytest.raises(DocumentError, match="less than or equal to 10000"):
        RolloutStatus.parse({"model": "m", "wanted": {"v1": WHOLE + 1}})
