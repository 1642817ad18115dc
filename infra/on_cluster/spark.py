"""The Spark operator: feature engineering on data that one machine does not hold.

Jobs run in the namespace ``spark`` as the service account that AWS knows by pod identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pulumi

from infra.on_cluster.monitoring import Monitoring
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
class SparkReplicas:
    """Of the controller and the webhook."""

    replicas: int


@dataclass(frozen=True, kw_only=True)
class SparkAccount:
    """The jobs' own."""

    create: bool = True
    name: str = SERVICE_ACCOUNT


@dataclass(frozen=True, kw_only=True)
class SparkJobs:
    """Where jobs may run, and as whom."""

    job_namespaces: tuple[str, ...] = (JOBS,)
    service_account: SparkAccount = field(default_factory=SparkAccount)


@dataclass(frozen=True, kw_only=True)
class SparkMonitor:
    """How Prometheus finds it."""

    create: bool
    labels: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class SparkMetrics:
    """Metrics."""

    pod_monitor: SparkMonitor


@dataclass(frozen=True, kw_only=True)
class SparkValues:
    """Of spark-operator/spark-operator."""

    controller: SparkReplicas
    webhook: SparkReplicas
    prometheus: SparkMetrics
    spark: SparkJobs = field(default_factory=SparkJobs)


class Spark(Part):
    """The operator and the right to run jobs."""

    part = "spark"
    component = "spark"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        each = SparkReplicas(replicas=site.replicas)
        monitor = SparkMonitor(create=site.wants(Monitoring.component), labels=self.labels())
        metrics = SparkMetrics(pod_monitor=monitor)
        self.release(
            "spark-operator",
            CHART,
            NAMESPACE,
            SparkValues(controller=each, webhook=each, prometheus=metrics),
            after=site.ready(Monitoring),
        )
        self.register_outputs({})
