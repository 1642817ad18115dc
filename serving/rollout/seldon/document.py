"""The SeldonDeployment of a model: what a cluster gets, and the laptop runs as it is.

Generated whole from the model's document and the wanted predictors, never patched: two runs with
the same input give the same document, so a change made by hand is seen and undone. Weights are
checked here, because Seldon's webhook lets 150 and -50 through.

Fields: Seldon Core 1.17 reference, `machinelearning.seldon.io/v1` (docs.seldon.io, "Seldon
Deployment CRD").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from contracts.custom_resource import Autoscaling, ClusterServing
from serving.rollout.backends import check_weights, percentages
from serving.rollout.core.observations import Predictor
from serving.rollout.pods import IMAGE, PORT, Json, Served, pod, slow_over

API_VERSION = "machinelearning.seldon.io/v1"
WEIGHTS = "millwright.dev/weights"
"""Annotation with the weights in 1/10000, which `traffic` (whole percents) cannot express."""
ARTIFACT = "artifact"
"""Graph parameter: the artifact's URI. Seldon would fetch a `modelUri` itself, by rclone, into a
volume that our server does not read, in a container that restricted namespaces refuse."""


def seldon_deployment(
    model: Served,
    predictors: Sequence[Predictor],
    *,
    namespace: str = "default",
    image: str = IMAGE,
    env: Mapping[str, str] | None = None,
) -> Json:
    """The document for these predictors.

    Args:
        model: whose name, serving part and latency limit it takes.
        predictors: what should run; the weights of those that are no shadow add up to 10000.
        namespace: where it lives.
        image: the model server's image.
        env: environment variables of every server, such as AWS_REGION.

    Raises:
        RolloutError: the weights are impossible or a predictor is named twice.
    """
    check_weights(model.name, predictors)
    weights = {
        predictor.target.predictor: predictor.weight
        for predictor in predictors
        if not predictor.shadow
    }
    percents = percentages(weights)
    return {
        "apiVersion": API_VERSION,
        "kind": "SeldonDeployment",
        "metadata": {
            "name": model.name,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": model.name,
                "app.kubernetes.io/managed-by": "millwright",
            },
            "annotations": {WEIGHTS: json.dumps(weights, sort_keys=True)},
        },
        "spec": {
            "name": model.name,
            "protocol": "v2",
            "predictors": [
                _predictor(model, predictor, percents, image, dict(env or {}))
                for predictor in predictors
            ],
        },
    }


def _predictor(
    model: Served,
    predictor: Predictor,
    percents: Mapping[str, int],
    image: str,
    env: dict[str, str],
) -> Json:
    """One version."""
    name = predictor.target.predictor
    traffic: Json = {"shadow": True} if predictor.shadow else {"traffic": percents[name]}
    return {
        "name": name,
        "replicas": model.serving.replicas,
        **traffic,
        "annotations": {
            # Our server speaks the V2 protocol itself: Seldon's executor would only cost time.
            "seldon.io/no-engine": "true",
            # Seldon says /prometheus, and no port.
            "prometheus.io/path": "/metrics",
            "prometheus.io/port": str(PORT),
        },
        "labels": {"version": name},
        "graph": {
            "name": model.name,
            "type": "MODEL",
            "parameters": [
                {"name": ARTIFACT, "type": "STRING", "value": predictor.target.uri},
                {"name": "slow_over", "type": "STRING", "value": slow_over(model)},
            ],
        },
        "componentSpecs": [{"spec": pod(model, predictor, image, env), **_scaling(model)}],
    }


def _scaling(model: Served) -> Json:
    """Seldon's form of a HorizontalPodAutoscaler, when more servers are asked for under load."""
    serving = model.serving
    if not isinstance(serving, ClusterServing) or not isinstance(serving.autoscaling, Autoscaling):
        return {}
    target = {"type": "Utilization", "averageUtilization": serving.autoscaling.cpu}
    return {
        "hpaSpec": {
            "minReplicas": serving.replicas,
            "maxReplicas": serving.autoscaling.max_replicas,
            "metricsv2": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }
    }
