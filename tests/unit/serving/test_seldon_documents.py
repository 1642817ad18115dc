"""What the laptop reads of a SeldonDeployment, and what it refuses."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import DocumentError
from laptop.serving.document import read_deployment

DOCUMENT: dict[str, Any] = {
    "apiVersion": "machinelearning.seldon.io/v1",
    "kind": "SeldonDeployment",
    "metadata": {"name": "flight-delay", "namespace": "models", "labels": {"a": "b"}},
    "spec": {
        "protocol": "v2",
        "predictors": [
            {
                "name": "v1",
                "traffic": 99,
                "replicas": 2,
                "graph": {
                    "name": "flight-delay",
                    "type": "MODEL",
                    "modelUri": "s3://artifacts/flight-delay/1",
                    "parameters": [{"name": "slow_over", "type": "STRING", "value": "20ms"}],
                },
                "componentSpecs": [
                    {
                        "spec": {
                            "containers": [
                                {
                                    "name": "flight-delay",
                                    "env": [
                                        {"name": "AWS_REGION", "value": "eu-central-1"},
                                        {"name": "SECRET", "valueFrom": {"secretKeyRef": {}}},
                                    ],
                                    "resources": {"limits": {"memory": "1Gi"}},
                                }
                            ]
                        }
                    }
                ],
            },
            {"name": "v2", "traffic": 1, "graph": {"name": "flight-delay", "modelUri": "here/2"}},
        ],
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with the value at a path such as ``spec.predictors.0.traffic``."""
    document = copy.deepcopy(DOCUMENT)
    inner: Any = document
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        inner = inner[part]
    inner[last] = value
    return document


def test_reads_what_decides_and_lets_the_rest_through() -> None:
    deployment = read_deployment(DOCUMENT)
    first, second = deployment.predictors
    assert (deployment.name, deployment.namespace) == ("flight-delay", "models")
    assert (first.replicas, first.weight, first.slow_over) == (2, 9900, "20ms")
    assert first.env == (("AWS_REGION", "eu-central-1"),)
    assert first.artifact == "s3://artifacts/flight-delay/1"
    assert (second.replicas, second.weight) == (1, 100)
    assert second.artifact == str(Path("here/2").resolve())


def test_the_annotation_is_finer_than_percents() -> None:
    weights = {"millwright.dev/weights": json.dumps({"v1": 9975, "v2": 25})}
    deployment = read_deployment(changed("metadata.annotations", weights))
    assert [own.weight for own in deployment.predictors] == [9975, 25]


def test_a_single_predictor_needs_no_traffic() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["spec"]["predictors"] = document["spec"]["predictors"][1:]
    del document["spec"]["predictors"][0]["traffic"]
    assert read_deployment(document).predictors[0].weight == 10_000


def test_a_shadow_has_no_weight() -> None:
    document = changed("spec.predictors.1.shadow", True)
    document["spec"]["predictors"][0]["traffic"] = 100
    assert [own.weight for own in read_deployment(document).predictors] == [10_000, 0]


def test_the_generation_changes_with_what_a_server_runs_and_with_nothing_else() -> None:
    before = read_deployment(DOCUMENT).predictors[0].generation
    for path, value, same in [
        ("spec.predictors.0.replicas", 5, True),
        ("metadata.annotations", {"millwright.dev/weights": '{"v1": 10000}'}, True),
        ("spec.predictors.0.graph.modelUri", "s3://artifacts/flight-delay/3", False),
        ("spec.predictors.0.graph.parameters", [], False),
    ]:
        after = read_deployment(changed(path, value)).predictors[0].generation
        assert (after == before) is same, path


WEIGHTS = "metadata.annotations"
REFUSED = [
    ("spec.protocol", "seldon", "spec.protocol"),
    ("kind", "Deployment", "kind"),
    ("apiVersion", "v1", "apiVersion"),
    ("spec.predictors", [], "at least 1"),
    ("spec.predictors.0.traffic", 50, "it is v1 50 %, v2 1 %"),
    ("spec.predictors.0.traffic", 150, "less than or equal to 100"),
    ("spec.predictors.0.replicas", -1, "greater than or equal to 0"),
    ("spec.predictors.0.name", "V.1", "spec.predictors.0.name"),
    ("spec.predictors.0.name", "v2", "named twice"),
    ("spec.predictors.0.graph", {"name": "x"}, "modelUri"),
    ("spec.predictors.0.graph.children", [{"name": "y"}], "children"),
    (WEIGHTS, {"millwright.dev/weights": "{"}, "write a JSON object"),
    (WEIGHTS, {"millwright.dev/weights": '{"v1": 1.5}'}, "write a JSON object"),
    (WEIGHTS, {"millwright.dev/weights": '{"v3": 10000}'}, "'v3', which is no predictor"),
    (WEIGHTS, {"millwright.dev/weights": '{"v1": 15000, "v2": -5000}'}, "add up to 100 %"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), REFUSED)
def test_refuses(path: str, value: Any, sentence: str) -> None:
    with pytest.raises(DocumentError) as refused:
        read_deployment(changed(path, value))
    assert sentence in str(refused.value)
