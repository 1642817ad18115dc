"""The cluster autoscaler: as many nodes as the pods that wait need, within each group's bounds.

It finds the node groups by the tags that EKS puts on their Auto Scaling groups; its service account
has the role ``autoscaler``, whose rights to size groups depend on the same tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from infra.cluster import Cluster
from infra.on_cluster.monitoring import Monitoring
from infra.on_cluster.part import Chart, Part, Site
from infra.workloads import WORKLOADS

CHART: Final = Chart(
    name="cluster-autoscaler",
    repository="https://kubernetes.github.io/autoscaler",
    version="9.59.0",
)
NAME: Final = "cluster-autoscaler"
WORKLOAD: Final = WORKLOADS["autoscaler"]
RELEASES: Final = {"1.34": "v1.34.5", "1.35": "v1.35.2", "1.36": "v1.36.1"}
"""The autoscaler's release for a version of Kubernetes: it imports that version's scheduler."""


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """Whose node groups it sizes."""

    cluster_name: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class AutoscalerAccount:
    """The one that AWS knows by pod identity."""

    create: bool = True
    name: str = WORKLOAD.service_account


@dataclass(frozen=True, kw_only=True)
class AutoscalerRights:
    """What it may do in the cluster."""

    create: bool = True
    service_account: AutoscalerAccount = field(default_factory=AutoscalerAccount)


@dataclass(frozen=True, kw_only=True)
class AutoscalerImage:
    """Its release; the chart's own where Kubernetes is older than the table."""

    tag: str | None


@dataclass(frozen=True, kw_only=True)
class AutoscalerMonitor:
    """How Prometheus finds it."""

    enabled: bool
    namespace: str = WORKLOAD.namespace


@dataclass(frozen=True, kw_only=True)
class AutoscalerValues:
    """Of autoscaler/cluster-autoscaler."""

    replica_count: int
    aws_region: str
    auto_discovery: Discovery
    image: AutoscalerImage
    service_monitor: AutoscalerMonitor
    cloud_provider: str = "aws"
    fullname_override: str = NAME
    rbac: AutoscalerRights = field(default_factory=AutoscalerRights)
    extra_args: Mapping[str, Any] = field(
        default_factory=lambda: {
            "balance-similar-node-groups": True,
            "expander": "least-waste",
            # The add-ons' pods run on every group; with them no node would ever be given back.
            "skip-nodes-with-system-pods": False,
        }
    )
    resources: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {
            "requests": {"cpu": "100m", "memory": "300Mi"},
            "limits": {"memory": "600Mi"},
        }
    )
    security_context: Mapping[str, Any] = field(
        default_factory=lambda: {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    )
    container_security_context: Mapping[str, Any] = field(
        default_factory=lambda: {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    )


class Autoscaler(Part):
    """The autoscaler, in the system's own namespace, where its role is bound."""

    part = "autoscaler"
    component = "autoscaler"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        environment = site.environment
        self.release(
            NAME,
            CHART,
            WORKLOAD.namespace,
            AutoscalerValues(
                replica_count=site.replicas,
                aws_region=environment.region,
                auto_discovery=Discovery(cluster_name=site.platform[Cluster].name),
                image=AutoscalerImage(tag=RELEASES.get(environment.cluster.version)),
                service_monitor=AutoscalerMonitor(enabled=site.wants(Monitoring.component)),
            ),
            after=site.ready(Monitoring),
        )
        self.register_outputs({})
