"""cert-manager: certificates for the gateway and for what the Kubernetes API calls.

The authority is the cluster's own: clients inside are given its certificate. Who has a public
name replaces the issuer ``millwright`` with an ACME one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pulumi

from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(
    name="cert-manager", repository="https://charts.jetstack.io", version="v1.21.1"
)
NAMESPACE: Final = "cert-manager"
API: Final = "cert-manager.io/v1"
AUTHORITY: Final = "millwright-authority"


@dataclass(frozen=True, kw_only=True)
class CertDefinitions:
    """The chart's custom resource definitions; kept, or deleting them deletes certificates."""

    enabled: bool = True
    keep: bool = True


@dataclass(frozen=True, kw_only=True)
class CertBudget:
    """How many may be away at once."""

    enabled: bool


@dataclass(frozen=True, kw_only=True)
class CertReplicas:
    """Of the webhook and the injector."""

    replica_count: int


@dataclass(frozen=True, kw_only=True)
class CertMonitor:
    """How Prometheus finds it."""

    enabled: bool


@dataclass(frozen=True, kw_only=True)
class CertMetrics:
    """Metrics."""

    podmonitor: CertMonitor
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class CertManagerValues:
    """Of jetstack/cert-manager."""

    replica_count: int
    webhook: CertReplicas
    cainjector: CertReplicas
    pod_disruption_budget: CertBudget
    prometheus: CertMetrics
    crds: CertDefinitions = field(default_factory=CertDefinitions)


class CertManager(Part):
    """cert-manager and the cluster's own authority."""

    part = "cert-manager"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        several = CertReplicas(replica_count=site.replicas)
        self.chart = self.release(
            "cert-manager",
            CHART,
            NAMESPACE,
            CertManagerValues(
                replica_count=site.replicas,
                webhook=several,
                cainjector=several,
                pod_disruption_budget=CertBudget(enabled=site.replicas > 1),
                # The kind that it makes comes with Prometheus, which is installed later.
                prometheus=CertMetrics(podmonitor=CertMonitor(enabled=False)),
            ),
        )
        self.ready = [self._issuer()]
        self.register_outputs({})

    def _issuer(self) -> pulumi.Resource:
        root = self.custom(
            "millwright-root", API, "ClusterIssuer", {"selfSigned": {}}, after=[self.chart]
        )
        authority = self.custom(
            AUTHORITY,
            API,
            "Certificate",
            {
                "isCA": True,
                "commonName": f"Millwright {self.site.environment.name}",
                "secretName": AUTHORITY,
                "duration": "43800h",
                "privateKey": {"algorithm": "ECDSA", "size": 384},
                "issuerRef": {"name": "millwright-root", "kind": "ClusterIssuer"},
            },
            namespace=NAMESPACE,
            after=[root],
        )
        return self.custom(
            "millwright",
            API,
            "ClusterIssuer",
            {"ca": {"secretName": AUTHORITY}},
            after=[authority],
        )
