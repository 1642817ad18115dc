"""Prometheus, its alerts and Grafana: what the judge of a rollout reads, and what people look at.

The judge counts at the gateway and in the model servers: a monitor for each of the two, and one for
the operator itself. They are asked often, since a look can be no younger than the last answer.

EKS keeps etcd, the scheduler and the controller manager to itself, so they are not scraped:
their alerts would say forever that they are down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
from pulumi_kubernetes.storage import v1 as storage

from infra.concern import days
from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(
    name="kube-prometheus-stack",
    repository="https://prometheus-community.github.io/helm-charts",
    version="88.5.3",
)
NAMESPACE: Final = "monitoring"
RELEASE: Final = "monitoring"
DISK_CLASS: Final = "millwright-gp3"
EVERY: Final = "5s"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Pods that Prometheus asks for their counters."""

    namespace: str
    component: str
    """The component they belong to; empty: every cluster has them."""
    labels: Mapping[str, str]
    port: str
    path: str


WATCHED: Final = {
    "gateway": Watched(
        namespace="istio-system",
        component="",
        labels={"istio": "ingressgateway"},
        port="http-envoy-prom",
        path="/stats/prometheus",
    ),
    "model-servers": Watched(
        namespace="serving",
        component="seldon",
        labels={"seldon.io/model": "true"},
        port="http",
        path="/metrics",
    ),
    "operator": Watched(
        namespace="millwright",
        component="operator",
        labels={"app.kubernetes.io/name": "millwright-operator"},
        port="http",
        path="/metrics",
    ),
}


@dataclass(frozen=True, kw_only=True)
class MonitoringSwitch:
    """A part of the chart that is on or off."""

    enabled: bool


OFF: Final = MonitoringSwitch(enabled=False)


@dataclass(frozen=True, kw_only=True)
class PrometheusSpec:
    """What Prometheus keeps, and whose rules and monitors it follows: everyone's."""

    replicas: int
    retention: str
    retention_size: str
    storage_spec: Mapping[str, Any]
    wal_compression: bool = True
    rule_selector_nil_uses_helm_values: bool = False
    service_monitor_selector_nil_uses_helm_values: bool = False
    pod_monitor_selector_nil_uses_helm_values: bool = False
    probe_selector_nil_uses_helm_values: bool = False
    scrape_config_selector_nil_uses_helm_values: bool = False


@dataclass(frozen=True, kw_only=True)
class PrometheusValues:
    """The server."""

    prometheus_spec: PrometheusSpec


@dataclass(frozen=True, kw_only=True)
class AlertmanagerSpec:
    """Who groups and sends alerts."""

    replicas: int


@dataclass(frozen=True, kw_only=True)
class AlertmanagerValues:
    """Alerts."""

    alertmanager_spec: AlertmanagerSpec


@dataclass(frozen=True, kw_only=True)
class GrafanaValues:
    """Dashboards; nobody changes those that come with the platform by hand."""

    enabled: bool = True
    default_dashboards_editable: bool = False


@dataclass(frozen=True, kw_only=True)
class MonitoringValues:
    """Of prometheus-community/kube-prometheus-stack."""

    prometheus: PrometheusValues
    alertmanager: AlertmanagerValues
    grafana: GrafanaValues = field(default_factory=GrafanaValues)
    kube_etcd: MonitoringSwitch = OFF
    kube_scheduler: MonitoringSwitch = OFF
    kube_controller_manager: MonitoringSwitch = OFF


class Monitoring(Part):
    """The stack, on disks encrypted by default."""

    part = "monitoring"
    component = "monitoring"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        disks = self._disks()
        self.ready = [self.release(RELEASE, CHART, NAMESPACE, self._values(), after=[disks])]
        for name, watched in WATCHED.items():
            if site.wants(watched.component):
                self._watch(name, watched)
        self.register_outputs({})

    def _watch(self, name: str, watched: Watched) -> None:
        endpoint = {"port": watched.port, "path": watched.path, "interval": EVERY}
        self.custom(
            name,
            "monitoring.coreos.com/v1",
            "PodMonitor",
            {
                "selector": {"matchLabels": dict(watched.labels)},
                "podMetricsEndpoints": [endpoint],
            },
            namespace=watched.namespace,
            after=self.ready,
        )

    def _disks(self) -> pulumi.Resource:
        disks: pulumi.Resource = storage.StorageClass(
            DISK_CLASS,
            metadata=self.meta(DISK_CLASS),
            provisioner="ebs.csi.aws.com",
            parameters={"type": "gp3", "encrypted": "true"},
            reclaim_policy="Delete",
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=self.child(),
        )
        return disks

    def _values(self) -> MonitoringValues:
        disk = self.settings.metrics_disk
        claim = {
            "storageClassName": DISK_CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{disk}Gi"}},
        }
        return MonitoringValues(
            prometheus=PrometheusValues(
                prometheus_spec=PrometheusSpec(
                    replicas=self.site.replicas,
                    retention=f"{days(self.settings.metrics_kept)}d",
                    # What is measured must never fill the disk.
                    retention_size=f"{disk * 85 // 100}GB",
                    storage_spec={"volumeClaimTemplate": {"spec": claim}},
                )
            ),
            alertmanager=AlertmanagerValues(
                alertmanager_spec=AlertmanagerSpec(replicas=self.site.replicas)
            ),
        )
