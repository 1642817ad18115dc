"""Seldon Core 1.17.1: models as SeldonDeployments, served by the Open Inference Protocol (V2).

The last release of its line under the Apache licence. It writes each deployment's weights into an
Istio VirtualService of the gateway; certificates for its webhooks come from cert-manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi

from infra.on_cluster.cert_manager import CertManager
from infra.on_cluster.ingress import DOOR, Ingress
from infra.on_cluster.keda import Keda
from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(
    name="seldon-core-operator",
    repository="https://storage.googleapis.com/seldon-charts",
    version="1.17.1",
)
NAMESPACE: Final = "seldon-system"
SERVING: Final = "serving"
SERVICE_ACCOUNT: Final = "serving"


@dataclass(frozen=True, kw_only=True)
class SeldonIstio:
    """Through which gateway models are reached."""

    enabled: bool = True
    gateway: str = DOOR


@dataclass(frozen=True, kw_only=True)
class SeldonSwitch:
    """A feature that is on or off."""

    enabled: bool


@dataclass(frozen=True, kw_only=True)
class SeldonExecutor:
    """The proxy in each model's pod; as the model server's own service account."""

    service_account: Mapping[str, str] = field(default_factory=lambda: {"name": SERVICE_ACCOUNT})
    full_health_checks: bool = True


@dataclass(frozen=True, kw_only=True)
class SeldonValues:
    """Of seldonio/seldon-core-operator."""

    keda: SeldonSwitch
    istio: SeldonIstio = field(default_factory=SeldonIstio)
    cert_manager: SeldonSwitch = field(default_factory=lambda: SeldonSwitch(enabled=True))
    ambassador: SeldonSwitch = field(default_factory=lambda: SeldonSwitch(enabled=False))
    usage_metrics: SeldonSwitch = field(default_factory=lambda: SeldonSwitch(enabled=False))
    executor: SeldonExecutor = field(default_factory=SeldonExecutor)


class Seldon(Part):
    """The operator; the deployments themselves are each rollout's business."""

    part = "seldon"
    component = "seldon"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        chart = self.release(
            "seldon-core",
            CHART,
            NAMESPACE,
            SeldonValues(keda=SeldonSwitch(enabled=site.wants(Keda.component))),
            after=site.ready(Ingress, CertManager, Keda),
        )
        self.ready = [chart]
        self.register_outputs({})
