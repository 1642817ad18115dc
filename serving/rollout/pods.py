"""The model server's pod, whichever serving system runs it."""

from __future__ import annotations

from typing import Protocol

from contracts.document import format_duration
from contracts.model import ServingSpec
from contracts.rollout import RolloutSpec
from contracts.version import VERSION
from serving.rollout.core.observations import Predictor

IMAGE = f"millwright/runtime:{VERSION}"
PORT = 9000
"""The server's port. The one that Seldon gives the first container of a graph."""
CALLS_PORT = 9500
"""The server's port by the name of gRPC, by which Istio speaks HTTP/2: a Service has no two names
for one port. Both protocols are spoken on both. The one that Seldon gives the first container."""
METRICS_PORT = 6000
"""The port that Seldon gives the first container for metrics; our server's are on its only port."""
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


def slow_over(model: Served) -> str:
    """Beyond which a response counts as slow: the guard's limit, or the latency budget."""
    limit = model.rollout.guards.slow_over
    return format_duration(model.serving.latency_budget if limit is None else limit)


def options(serving: ServingSpec) -> tuple[str, ...]:
    """Arguments of a model server for what its document sets beside the defaults, each with a
    value. Whoever runs servers passes them on as they are."""
    chosen: tuple[str, ...] = ()
    if serving.batch:
        wait = format_duration(serving.batch.wait)
        chosen += ("--batch-rows", str(serving.batch.max), "--batch-wait", wait)
    if serving.workers > 1:
        chosen += ("--workers", str(serving.workers))
    if serving.threads > 1:
        chosen += ("--threads", str(serving.threads))
    return chosen


def pod(model: Served, predictor: Predictor, image: str, env: dict[str, str]) -> Json:
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
                    *("--artifact", predictor.target.uri, "--host", "0.0.0.0", "--port", str(PORT)),
                    *("--also-port", str(CALLS_PORT)),
                    *("--name", model.name, "--predictor", predictor.target.predictor),
                    *("--slow-over", slow_over(model), "--grace", "10s"),
                    *options(model.serving),
                ],
                "env": [{"name": name, "value": env[name]} for name in sorted(env)],
                "ports": [
                    {"name": "http", "containerPort": PORT},
                    # Left out, Seldon counts these up from predictor to predictor, and the second
                    # one's pods are made anew when the first is removed.
                    {"name": "grpc", "containerPort": CALLS_PORT},
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
