"""Istio: the gateway through which clients reach the models, and what steers it.

Only the gateway is a proxy: Seldon writes its weights into VirtualServices that the gateway
follows. Pods get no sidecar of their own, which would need rights that the pod security standards
of their namespaces refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.helm.v3 import Release

from infra.concern import Outputs
from infra.on_cluster.cert_manager import CertManager
from infra.on_cluster.part import Chart, Part, Site, service

REPOSITORY: Final = "https://istio-release.storage.googleapis.com/charts"
VERSION: Final = "1.30.3"
BASE, ISTIOD, GATEWAY = (
    Chart(name=name, repository=REPOSITORY, version=VERSION)
    for name in ("base", "istiod", "gateway")
)
NAMESPACE: Final = "istio-system"
RELEASE: Final = "istio-ingressgateway"
"""The gateway's release, and so its service."""
HTTP: Final = 80
HTTPS: Final = 443
SIDE_DOOR: Final = "side-door"
"""The service by which the gateway is called from inside the cluster, and by a port-forward."""
INSIDE: Final = 8080
"""The gateway's port there: it speaks HTTP, to any name, and no load balancer leads to it."""
DOOR: Final = f"{NAMESPACE}/seldon-gateway"
"""The Gateway whose hosts and certificate requests come through."""
CERTIFICATE: Final = "gateway-certificate"
SELECTOR: Final = {"istio": "ingressgateway"}
"""The label that the gateway's chart gives its pods, from the release's name."""
LOAD_BALANCER: Final = "service.beta.kubernetes.io/aws-load-balancer"


@dataclass(frozen=True, kw_only=True)
class BaseValues:
    """Of istio/base."""

    default_revision: str = "default"


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Of istio/istiod."""

    access_log_file: str = "/dev/stdout"
    enable_prometheus_merge: bool = True


@dataclass(frozen=True, kw_only=True)
class IstiodValues:
    """Of istio/istiod."""

    autoscale_min: int
    autoscale_max: int = 5
    mesh_config: MeshConfig = field(default_factory=MeshConfig)


@dataclass(frozen=True, kw_only=True)
class GatewayService:
    """Of istio/gateway."""

    annotations: Mapping[str, str]
    load_balancer_source_ranges: tuple[str, ...] | None
    type: str = "LoadBalancer"


@dataclass(frozen=True, kw_only=True)
class GatewayScaling:
    """Of istio/gateway."""

    min_replicas: int
    max_replicas: int
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class GatewayValues:
    """Of istio/gateway."""

    service: GatewayService
    autoscaling: GatewayScaling
    pod_disruption_budget: Mapping[str, Any]


class Ingress(Part):
    """Istio's definitions, its control plane, the gateway, and the door that Seldon looks for."""

    part = "ingress"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        base = self.release("istio-base", BASE, NAMESPACE, BaseValues())
        istiod = self.release(
            "istiod", ISTIOD, NAMESPACE, IstiodValues(autoscale_min=site.replicas), after=[base]
        )
        gateway = self._gateway(istiod)
        certificate = self._certificate(site.ready(CertManager))
        self.ready = [self._door([gateway, certificate])]
        self._side_door(gateway)
        self.register_outputs({})

    def outputs(self) -> Outputs:
        """The front door: by its name, where that is one name and public, else by the side door."""
        host = self.settings.host
        public = self.settings.load_balancer == "internet" and not host.startswith("*.")
        url = f"https://{host}" if public else ""
        return {"gateway": service(NAMESPACE, SIDE_DOOR, INSIDE, url=url)}

    def _gateway(self, istiod: Release) -> Release:
        inside = self.settings.load_balancer == "internal"
        annotations = {
            f"{LOAD_BALANCER}-type": "nlb",
            f"{LOAD_BALANCER}-internal": "true" if inside else "false",
            f"{LOAD_BALANCER}-cross-zone-load-balancing-enabled": "true",
        }
        return self.release(
            RELEASE,
            GATEWAY,
            NAMESPACE,
            GatewayValues(
                service=GatewayService(
                    annotations=annotations,
                    load_balancer_source_ranges=self.settings.load_balancer_networks or None,
                ),
                autoscaling=GatewayScaling(
                    min_replicas=self.site.replicas, max_replicas=max(5, 2 * self.site.replicas)
                ),
                pod_disruption_budget={"maxUnavailable": 1},
            ),
            after=[istiod],
        )

    def _certificate(self, issuer: list[pulumi.Resource]) -> pulumi.Resource:
        return self.custom(
            CERTIFICATE,
            "cert-manager.io/v1",
            "Certificate",
            {
                "secretName": CERTIFICATE,
                "dnsNames": [self.settings.host],
                "duration": "2160h",
                "renewBefore": "720h",
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
                "issuerRef": {"name": "millwright", "kind": "ClusterIssuer"},
            },
            namespace=NAMESPACE,
            after=issuer,
        )

    def _side_door(self, gateway: Release) -> None:
        core.Service(
            SIDE_DOOR,
            metadata=self.meta(SIDE_DOOR, NAMESPACE),
            spec={
                "type": "ClusterIP",
                "selector": SELECTOR,
                "ports": [{"name": "http", "port": INSIDE, "target_port": INSIDE}],
            },
            opts=self.child(gateway, namespace=NAMESPACE),
        )

    def _door(self, after: list[pulumi.Resource]) -> pulumi.Resource:
        hosts = [self.settings.host]
        return self.custom(
            DOOR.split("/")[1],
            "networking.istio.io/v1",
            "Gateway",
            {
                "selector": SELECTOR,
                "servers": [
                    {
                        "port": {"number": HTTP, "name": "http", "protocol": "HTTP"},
                        "hosts": hosts,
                        "tls": {"httpsRedirect": True},
                    },
                    {
                        "port": {"number": HTTPS, "name": "https", "protocol": "HTTPS"},
                        "hosts": hosts,
                        "tls": {
                            "mode": "SIMPLE",
                            "credentialName": CERTIFICATE,
                            "minProtocolVersion": "TLSV1_2",
                        },
                    },
                    {
                        "port": {"number": INSIDE, "name": "http-inside", "protocol": "HTTP"},
                        "hosts": ["*"],
                    },
                ],
            },
            namespace=NAMESPACE,
            after=after,
        )
