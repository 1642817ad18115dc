"""Seldon Core 1.17.1: models as SeldonDeployments, served by the Open Inference Protocol (V2).

The last release of its line under the Apache licence. It writes each deployment's weights into an
Istio VirtualService of the gateway; certificates for its webhooks come from cert-manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi

from infra.on_cluster.ingress import NAMESPACE as INGRESS
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
class Istio:
    """Through which gateway models are reached."""

    enabled: bool = True
    gateway: str = f"{INGRESS}/seldon-gateway"


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A feature that is on or off."""

    enabled: bool


@dataclass(frozen=True, kw_only=True)
class Executor:
    """The proxy in each model's pod; as the model server's own service account."""

    service_account: Mapping[str, str] = field(default_factory=lambda: {"name": SERVICE_ACCOUNT})
    full_health_checks: bool = True


@dataclass(frozen=True, kw_only=True)
class Values:
    """Of seldonio/seldon-core-operator."""

    keda: Switch
    istio: Istio = field(default_factory=Istio)
    cert_manager: Switch = field(default_factory=lambda: Switch(enabled=True))
    ambassador: Switch = field(default_factory=lambda: Switch(enabled=False))
    usage_metrics: Switch = field(default_factory=lambda: Switch(enabled=False))
    executor: Executor = field(default_factory=Executor)


class Seldon(Part):
    """The operator; the deployments themselves are each rollout's business."""

    def __init__(
        self, site: Site, opts: pulumi.ResourceOptions, *, after: list[pulumi.Resource]
    ) -> None:
        super().__init__("seldon", site, opts)
        self.chart = self.release(
            "seldon-core",
            CHART,
            NAMESPACE,
            Values(keda=Switch(enabled=site.wants("keda"))),
            after=after,
        )
        self.register_outputs({})
