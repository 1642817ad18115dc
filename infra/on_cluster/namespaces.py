"""Namespaces: what pods may do to their node, how much they may ask for, and who may talk to whom.

Nothing may talk to anything until a policy says so; each namespace's row in the table says what
else it needs. The policies are enforced by the VPC CNI (the add-on's ``enableNetworkPolicy``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.networking import v1 as networking

from infra.concern import Outputs
from infra.on_cluster.part import Part, Site

Security = Literal["privileged", "baseline", "restricted"]
Rule = dict[str, Any]

STORES: Final = {"postgres": 5432, "redis": 6379, "warehouse": 5439, "files": 2049}
"""What the database subnets and mount targets listen to."""
EVERYWHERE: Final = "0.0.0.0/0"
IDENTITY_AGENT: Final = "169.254.170.23/32"
"""Where each node's EKS Pod Identity agent gives pods their role's credentials, on port 80."""
NODE_METRICS: Final = (9100, 10249, 10250)
"""The node exporter, kube-proxy and the kubelet: they answer at the nodes' own addresses, which no
selector of pods or namespaces matches."""


@dataclass(frozen=True, kw_only=True)
class NamespaceFacts:
    """What a namespace needs."""

    purpose: str
    """What it is for, by which users of the environment find it."""
    security: Security
    """The pod security standard that is enforced."""
    component: str = ""
    """The component it belongs to; empty: everything needs it."""
    called_by: tuple[str, ...] = ()
    """Namespaces whose pods call this one's."""
    webhooks: tuple[int, ...] = ()
    """Ports that the Kubernetes API calls."""
    stores: tuple[str, ...] = ()
    """Stores outside the cluster that its pods speak to."""
    open_ports: tuple[int, ...] = ()
    """Ports that the load balancer reaches."""
    service_account: str = ""
    """The account of people's pods here, with a role in AWS; empty where a chart makes it."""


NAMESPACES: Final[dict[str, NamespaceFacts]] = {
    "istio-system": NamespaceFacts(
        purpose="gateway",
        security="baseline",
        called_by=("serving",),
        webhooks=(15017,),
        open_ports=(80, 443, 15021),
    ),
    "cert-manager": NamespaceFacts(
        purpose="certificates", security="restricted", webhooks=(10250,)
    ),
    "external-secrets": NamespaceFacts(purpose="secrets", security="restricted", webhooks=(10250,)),
    "seldon-system": NamespaceFacts(
        purpose="deployments", security="baseline", component="seldon", webhooks=(4443,)
    ),
    "millwright": NamespaceFacts(purpose="operator", security="restricted", component="operator"),
    "monitoring": NamespaceFacts(
        purpose="monitoring",
        # The node exporter reads the node's own files.
        security="privileged",
        component="monitoring",
        called_by=("millwright", "keda"),
        webhooks=(10250,),
    ),
    "keda": NamespaceFacts(
        purpose="scaling", security="restricted", component="keda", webhooks=(6443, 9443)
    ),
    "spark-operator": NamespaceFacts(
        purpose="spark_operator", security="restricted", component="spark", webhooks=(9443,)
    ),
    "spark": NamespaceFacts(
        purpose="spark", security="baseline", component="spark", stores=("warehouse", "files")
    ),
    "kubeflow": NamespaceFacts(
        purpose="pipelines",
        security="baseline",
        component="pipelines",
        webhooks=(8443,),
        stores=("postgres", "warehouse", "redis", "files"),
    ),
    "training": NamespaceFacts(
        purpose="training",
        security="baseline",
        stores=("warehouse", "files"),
        service_account="training",
    ),
    "serving": NamespaceFacts(
        purpose="models",
        # A rollout's servers need no more, whatever their image.
        security="restricted",
        called_by=("istio-system", "seldon-system", "millwright"),
        stores=("redis",),
        service_account="serving",
    ),
    "features": NamespaceFacts(
        purpose="features",
        security="baseline",
        component="feature_server",
        called_by=("serving", "kubeflow"),
        stores=("redis", "warehouse"),
    ),
    "mlflow": NamespaceFacts(
        purpose="tracking",
        security="baseline",
        component="mlflow",
        called_by=("kubeflow", "training", "millwright", "istio-system"),
        stores=("postgres",),
    ),
}
"""Every namespace of the platform."""


class Namespaces(Part):
    """The namespaces with their labels, quotas and network policies."""

    part = "namespaces"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        self.made = {
            name: self._namespace(name, facts)
            for name, facts in NAMESPACES.items()
            if site.wants(facts.component)
        }
        self.register_outputs({})

    def outputs(self) -> Outputs:
        """The namespaces by purpose."""
        return {"namespaces": {NAMESPACES[name].purpose: name for name in self.made}}

    def _namespace(self, name: str, facts: NamespaceFacts) -> core.Namespace:
        levels = {
            f"pod-security.kubernetes.io/{mode}": facts.security
            for mode in ("enforce", "audit", "warn")
        }
        made = core.Namespace(
            name,
            metadata={"name": name, "labels": {**self.labels(), **levels}},
            opts=self.child(),
        )
        self._quota(name, made)
        if facts.service_account:
            core.ServiceAccount(
                facts.service_account,
                metadata=self.meta(facts.service_account, name),
                opts=self.child(made),
            )
        networking.NetworkPolicy(
            f"{name}-deny-all",
            metadata=self.meta("deny-all", name),
            spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
            opts=self.child(made),
        )
        networking.NetworkPolicy(
            f"{name}-allow",
            metadata=self.meta("allow", name),
            spec={
                "pod_selector": {},
                "policy_types": ["Ingress", "Egress"],
                "ingress": list(let_in(name, facts, self.site)),
                "egress": list(let_out(name, facts, self.site)),
            },
            opts=self.child(made),
        )
        return made

    def _quota(self, name: str, namespace: core.Namespace) -> None:
        if (quota := self.settings.quotas.get(name)) is None:
            return
        core.ResourceQuota(
            name,
            metadata=self.meta("quota", name),
            spec={
                "hard": {
                    "requests.cpu": str(quota.cpu),
                    "requests.memory": f"{quota.memory}Gi",
                    "requests.nvidia.com/gpu": str(quota.gpus),
                    "pods": str(quota.pods),
                }
            },
            opts=self.child(namespace),
        )
        # A quota refuses pods that ask for nothing; this is what such pods are given.
        core.LimitRange(
            name,
            metadata=self.meta("defaults", name),
            spec={
                "limits": [
                    {
                        "type": "Container",
                        "default_request": {"cpu": "100m", "memory": "256Mi"},
                        "default": {"memory": "1Gi"},
                    }
                ]
            },
            opts=self.child(namespace),
        )


def let_in(name: str, facts: NamespaceFacts, site: Site) -> Iterator[Rule]:
    """Who may talk to a namespace's pods: each other, Prometheus, and whom its row names."""
    vpc = site.environment.network.cidr
    yield {"from": [{"pod_selector": {}}]}
    if site.wants("monitoring") and name != "monitoring":
        yield {"from": [in_namespace("monitoring")]}
    if facts.called_by:
        yield {"from": [in_namespace(caller) for caller in facts.called_by]}
    if facts.webhooks:
        yield {"from": [block(vpc)], **listed("TCP", facts.webhooks)}
    if facts.open_ports:
        allowed = (*site.environment.on_cluster.load_balancer_networks, vpc)
        sources = [block(network) for network in dict.fromkeys(allowed)]
        yield {"from": sources, **listed("TCP", facts.open_ports)}


def let_out(name: str, facts: NamespaceFacts, site: Site) -> Iterator[Rule]:
    """Whom a namespace's pods may talk to: each other, DNS, HTTPS, and whose rows name it."""
    yield {"to": [{"pod_selector": {}}]}
    dns = [listed(protocol, (53,))["ports"][0] for protocol in ("UDP", "TCP")]
    yield {"to": [in_namespace("kube-system")], "ports": dns}
    # The Kubernetes API and AWS answer at addresses that nobody can list.
    yield {"to": [block(EVERYWHERE)], **listed("TCP", (443,))}
    yield {"to": [block(IDENTITY_AGENT)], **listed("TCP", (80,))}
    if name == "monitoring":
        yield {"to": [{"namespace_selector": {}}]}
        yield {"to": [block(site.environment.network.cidr)], **listed("TCP", NODE_METRICS)}
    if targets := [other for other, row in NAMESPACES.items() if name in row.called_by]:
        yield {"to": [in_namespace(target) for target in targets]}
    if facts.stores:
        ports = tuple(STORES[store] for store in facts.stores)
        yield {"to": [block(site.environment.network.cidr)], **listed("TCP", ports)}


def block(network: str) -> Rule:
    """Addresses outside the cluster."""
    return {"ip_block": {"cidr": network}}


def in_namespace(name: str) -> Rule:
    """The pods of a namespace."""
    return {"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": name}}}


def listed(protocol: str, ports: tuple[int, ...]) -> Rule:
    """The ports of a rule."""
    return {"ports": [{"protocol": protocol, "port": port} for port in ports]}
