"""The Spark operator: feature engineering on data that one machine does not hold.

Jobs run in the namespace ``spark`` as the service account that AWS knows by pod identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pulumi

from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(
    name="spark-operator",
    repository="https://kubeflow.github.io/spark-operator",
    version="2.5.2",
)
NAMESPACE: Final = "spark-operator"
JOBS: Final = "spark"
SERVICE_ACCOUNT: Final = "spark"


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """Of the controller and the webhook."""

    replicas: int


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """The jobs' own."""

    create: bool = True
    name: str = SERVICE_ACCOUNT


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Where jobs may run, and as whom."""

    job_namespaces: tuple[str, ...] = (JOBS,)
    service_account: ServiceAccount = field(default_factory=ServiceAccount)


@dataclass(frozen=True, kw_only=True)
class PodMonitor:
    """How Prometheus finds it."""

    create: bool
    labels: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """Metrics."""

    pod_monitor: PodMonitor


@dataclass(frozen=True, kw_only=True)
class Values:
    """Of spark-operator/spark-operator."""

    controller: Replicas
    webhook: Replicas
    prometheus: Prometheus
    spark: Jobs = field(default_factory=Jobs)


class Spark(Part):
    """The operator and the right to run jobs."""

    def __init__(
        self, site: Site, opts: pulumi.ResourceOptions, *, after: list[pulumi.Resource]
    ) -> None:
        super().__init__("spark", site, opts)
        each = Replicas(replicas=site.replicas)
        monitor = PodMonitor(create=site.wants("monitoring"), labels=self.labels())
        self.chart = self.release(
            "spark-operator",
            CHART,
            NAMESPACE,
            Values(controller=each, webhook=each, prometheus=Prometheus(pod_monitor=monitor)),
            after=after,
        )
        self.register_outputs({})
