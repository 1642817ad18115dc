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
from typing import Protocol

from contracts.custom_resource import Autoscaling, ClusterServing
from contracts.document import format_duration
from contracts.errors import RolloutError
from contracts.model import ServingSpec
from contracts.rollout import WHOLE, RolloutSpec
from contracts.version import VERSION
from serving.rollout.core.observations import Predictor

API_VERSION = "machinelearning.seldon.io/v1"
IMAGE = f"millwright/runtime:{VERSION}"
WEIGHTS = "millwright.dev/weights"
"""Annotation with the weights in 1/10000, which `traffic` (whole percents) cannot express."""
PORT = 9000
"""The HTTP port that Seldon gives the first container of a graph."""
METRICS_PORT = 6000
"""The port that Seldon gives the first container for metrics; our server's are on its only port."""
ARTIFACT = "artifact"
"""Graph parameter: the artifact's URI. Seldon would fetch a `modelUri` itself, by rclone, into a
volume that our server does not read, in a container that restricted namespaces refuse."""
USER = 10001

Json = dict[str, object]


class Served(Protocol):
    """What is served: a model's document, or a ModelRollout of the cluster."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def serving(self) -> ServingSpec:
        """How each version is served."""

    @property
    def rollout(self) -> RolloutSpec:
        """The plan, for its latency limit."""


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
    weights = {one.target.predictor: one.weight for one in predictors if not one.shadow}
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
                _predictor(model, one, percents, image, dict(env or {})) for one in predictors
            ],
        },
    }


def check_weights(name: str, predictors: Sequence[Predictor]) -> None:
    """Refuse what would lose or invent traffic."""
    names = [one.target.predictor for one in predictors]
    if len(set(names)) < len(names):
        raise RolloutError(f"a predictor is named twice in {', '.join(names)}", where=name)
    shadows = [one.target.predictor for one in predictors if one.shadow and one.weight]
    if shadows:
        raise RolloutError(
            f"the shadow {shadows[0]} cannot have a weight: its responses reach nobody", where=name
        )
    weights = [one.weight for one in predictors if not one.shadow]
    if sum(weights) != WHOLE or min(weights, default=0) < 0:
        shown = ", ".join(f"{one.target.predictor} {one.weight / WHOLE:.2%}" for one in predictors)
        raise RolloutError(
            f"the predictors' weights must add up to 100% and none be below 0%; found {shown}",
            where=name,
        )


def percentages(weights: Mapping[str, int]) -> dict[str, int]:
    """Whole percents that add up to 100, each as near as possible to its weight."""
    share = WHOLE // 100
    floors = {name: weight // share for name, weight in weights.items()}
    missing = 100 - sum(floors.values())
    by_rest = sorted(weights, key=lambda name: (-(weights[name] % share), -weights[name], name))
    return {name: floors[name] + (name in by_rest[:missing]) for name in weights}


def _predictor(
    model: Served, one: Predictor, percents: Mapping[str, int], image: str, env: dict[str, str]
) -> Json:
    """One version."""
    traffic: Json = {"shadow": True} if one.shadow else {"traffic": percents[one.target.predictor]}
    return {
        "name": one.target.predictor,
        "replicas": model.serving.replicas,
        **traffic,
        "annotations": {
            # Our server speaks the V2 protocol itself: Seldon's executor would only cost time.
            "seldon.io/no-engine": "true",
            # Seldon says /prometheus, and no port.
            "prometheus.io/path": "/metrics",
            "prometheus.io/port": str(PORT),
        },
        "labels": {"version": one.target.predictor},
        "graph": {
            "name": model.name,
            "type": "MODEL",
            "parameters": [
                {"name": ARTIFACT, "type": "STRING", "value": one.target.uri},
                {"name": "slow_over", "type": "STRING", "value": slow_over(model)},
            ],
        },
        "componentSpecs": [{"spec": _pod(model, one, image, env), **_scaling(model)}],
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


def slow_over(model: Served) -> str:
    """Beyond which a response counts as slow: the guard's limit, or the latency budget."""
    limit = model.rollout.guards.slow_over
    return format_duration(model.serving.latency_budget if limit is None else limit)


def _pod(model: Served, one: Predictor, image: str, env: dict[str, str]) -> Json:
    """The model server's pod: no root, no writable file system, no privileges."""
    account = getattr(model.serving, "service_account", None)
    return {
        **({"serviceAccountName": account} if account else {}),
        "terminationGracePeriodSeconds": 35,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": model.name,
                "image": image,
                "args": [
                    *("--artifact", one.target.uri, "--host", "0.0.0.0", "--port", str(PORT)),
                    *("--name", model.name, "--predictor", one.target.predictor),
                    *("--slow-over", slow_over(model), "--grace", "10s"),
                ],
                "env": [{"name": name, "value": env[name]} for name in sorted(env)],
                "ports": [
                    {"name": "http", "containerPort": PORT},
                    # Left out, Seldon counts it up from predictor to predictor, and the second
                    # one's pods are made anew when the first is removed.
                    {"name": "metrics", "containerPort": METRICS_PORT},
                ],
                "resources": {
                    "requests": {"cpu": model.serving.cpu, "memory": model.serving.memory},
                    "limits": {"memory": model.serving.memory},
                },
                "readinessProbe": _probe("/v2/health/ready", period=2),
                "livenessProbe": _probe("/v2/health/live", period=10),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def _probe(path: str, *, period: int) -> Json:
    return {"httpGet": {"path": path, "port": PORT}, "periodSeconds": period, "failureThreshold": 3}
