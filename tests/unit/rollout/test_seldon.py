"""The SeldonDeployment is complete, repeatable, and never loses or invents traffic."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import RolloutError
from contracts.model import ModelSpec, ServingSpec
from contracts.rollout import WHOLE
from laptop.serving.document import read_deployment
from serving.rollout.backends import percentages
from serving.rollout.core.observations import Observed, Predictor
from serving.rollout.seldon import seldon_deployment
from serving.rollout.seldon.state import observed
from serving.runtime.__main__ import arguments
from tests.unit.rollout.world import target

MODEL = ModelSpec.find(Path(__file__).parents[3] / "models", "flight-delay")


def predictors(*weights: int) -> list[Predictor]:
    return [Predictor(target=target(n), weight=one) for n, one in enumerate(weights, 1)]


def test_the_document_says_what_runs_and_how():
    document = seldon_deployment(MODEL, predictors(9975, 25), env={"AWS_REGION": "eu-central-1"})
    assert document == seldon_deployment(
        MODEL, predictors(9975, 25), env={"AWS_REGION": "eu-central-1"}
    )
    spec = document["spec"]
    assert spec["protocol"] == "v2"
    assert [one["traffic"] for one in spec["predictors"]] == [100, 0]
    candidate = spec["predictors"][1]
    assert (candidate["name"], candidate["replicas"]) == ("v2", MODEL.serving.replicas)
    container = candidate["componentSpecs"][0]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"memory": MODEL.serving.memory}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "s3://artifacts/m/2" in container["args"]
    assert json.loads(json.dumps(document)) == document


def test_seldon_adds_nothing_that_would_restart_or_refuse_pods():
    """With a modelUri it adds a container that fetches; without a metrics port, one by place."""
    for one in seldon_deployment(MODEL, predictors(9975, 25))["spec"]["predictors"]:
        assert "modelUri" not in one["graph"]
        (container,) = one["componentSpecs"][0]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert {"http", "grpc", "metrics"} == ports.keys()


def test_the_server_listens_where_seldon_and_istio_send_calls_of_grpc():
    """Seldon takes a port that is named so; it makes a Service with both, which must differ."""
    for one in seldon_deployment(MODEL, predictors(9975, 25))["spec"]["predictors"]:
        (container,) = one["componentSpecs"][0]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["grpc"] != ports["http"]
        options = arguments(container["args"])
        assert (options.port, options.also_port) == (ports["http"], ports["grpc"])


def test_the_laptop_takes_the_same_document():
    read = read_deployment(seldon_deployment(MODEL, predictors(9975, 25)))
    assert [(one.name, one.weight, one.artifact, one.slow_over) for one in read.predictors] == [
        ("v1", 9975, "s3://artifacts/m/1", "50ms"),
        ("v2", 25, "s3://artifacts/m/2", "50ms"),
    ]
    shadow = [predictors(WHOLE)[0], Predictor(target=target(2), weight=0, shadow=True)]
    assert [one.shadow for one in read_deployment(seldon_deployment(MODEL, shadow)).predictors] == [
        False,
        True,
    ]


@pytest.mark.parametrize("prefix", ["seldon", "expected-delay-of-arrivals-eu"])
def test_a_deployment_is_known_by_the_name_that_seldon_shortens(prefix):
    """With `manager.deploymentNameAsPrefix` the hash follows the model's name."""
    model = "expected-delay-of-arrivals-eu"
    whole = f"{model}-v12-0-{model}"
    assert len(whole) > 63
    name = f"{prefix}-{hashlib.md5(whole.encode()).hexdigest()}"
    seldon = {
        "spec": {"predictors": [{"name": "v12"}]},
        "status": {"deploymentStatus": {name: {"replicas": 1, "availableReplicas": 1}}},
    }
    assert observed(model, "models", seldon, None) == {"v12": Observed(ready=True, weight=0)}


@given(st.lists(st.integers(0, WHOLE), min_size=1, max_size=4))
def test_percents_add_up_and_are_near(cuts):
    edges = [0, *sorted(cuts), WHOLE]
    weights = {f"v{n}": b - a for n, (a, b) in enumerate(itertools.pairwise(edges))}
    found = percentages(weights)
    assert sum(found.values()) == 100
    assert all(abs(found[name] - weight / 100) < 1 for name, weight in weights.items())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (predictors(15_000, -5000), "must add up to 100% and none be below 0%"),
        (predictors(9000, 500), "found v1 90.00%, v2 5.00%"),
        (predictors(), "must add up to 100%"),
        ([*predictors(5000), *predictors(5000)], "named twice in v1, v1"),
        (
            [*predictors(9000), Predictor(target=target(2), weight=1000, shadow=True)],
            "the shadow v2 cannot have a weight",
        ),
    ],
)
def test_impossible_weights_are_refused(wrong, sentence):
    with pytest.raises(RolloutError) as refused:
        seldon_deployment(MODEL, wrong)
    assert sentence in str(refused.value)


SERVING = [
    ({}, ()),
    ({"batch": {}}, ("--batch-rows", "64", "--batch-wait", "2ms")),
    ({"batch": {"max": 8, "wait": "0ms"}}, ("--batch-rows", "8", "--batch-wait", "0ms")),
    ({"threads": 2}, ("--threads", "2")),
    ({"workers": 4}, ("--workers", "4")),
]


@pytest.mark.parametrize(("written", "expected"), SERVING)
def test_what_serving_sets_reaches_the_cluster_s_servers_and_the_laptop_s(written, expected):
    """As the same arguments, and the server takes them."""
    serving = ServingSpec.parse(written)
    model = MODEL.model_copy(update={"serving": serving})
    document = seldon_deployment(model, predictors(WHOLE))
    (spec,) = document["spec"]["predictors"]
    (container,) = spec["componentSpecs"][0]["spec"]["containers"]
    assert tuple(container["args"][-len(expected) :] if expected else ()) == expected
    (read,) = read_deployment(document).predictors
    assert read.options == expected
    options = arguments(container["args"])
    assert (options.batch_rows or 0) == (serving.batch.max if serving.batch else 0)
    assert not serving.batch or options.batch_wait == serving.batch.wait
    assert (options.threads, options.workers) == (serving.threads, serving.workers)
    (plain,) = read_deployment(seldon_deployment(MODEL, predictors(WHOLE))).predictors
    assert (read.generation == plain.generation) is (not expected)
