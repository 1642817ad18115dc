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

from infra.on_cluster.part import Part, Site

Security = Literal["privileged", "baseline", "restricted"]
Rule = dict[str, Any]

STORES: Final = {"postgres": 5432, "redis": 6379, "warehouse": 5439, "files": 2049}
"""What the database subnets and mount targets listen to."""
EVERYWHERE: Final = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a namespace needs."""

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


NAMESPACES: Final[dict[str, Facts]] = {
    "istio-system": Facts(
        security="baseline",
        called_by=("serving",),
        webhooks=(15017,),
        open_ports=(80, 443, 15021),
    ),
    "cert-manager": Facts(security="restricted", webhooks=(10250,)),
    "external-secrets": Facts(security="restricted", webhooks=(10250,)),
    "seldon-system": Facts(security="baseline", component="seldon", webhooks=(4443,)),
    "millwright": Facts(security="restricted", component="operator"),
    "monitoring": Facts(
        # The node exporter reads the node's own files.
        security="privileged",
        component="monitoring",
        called_by=("millwright", "keda"),
        webhooks=(10250,),
    ),
    "keda": Facts(security="restricted", component="keda", webhooks=(6443, 9443)),
    "spark-operator": Facts(security="restricted", component="spark", webhooks=(9443,)),
    "spark": Facts(security="baseline", component="spark", stores=("warehouse", "files")),
    "kubeflow": Facts(
        security="baseline",
        component="pipelines",
        webhooks=(8443,),
        stores=("postgres", "warehouse", "redis", "files"),
    ),
    "training": Facts(security="baseline", stores=("warehouse", "files")),
    "serving": Facts(
        security="baseline",
        called_by=("istio-system", "seldon-system", "millwright"),
        stores=("redis",),
    ),
    "features": Facts(
        security="baseline",
        component="feature_server",
        called_by=("serving", "kubeflow"),
        stores=("redis", "warehouse"),
    ),
    "mlflow": Facts(
        security="baseline",
        component="mlflow",
        called_by=("kubeflow", "training", "millwright", "istio-system"),
        stores=("postgres",),
    ),
}
"""Every namespace of the platform."""


class Namespaces(Part):
    """The namespaces with their labels, quotas and network policies."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__("namespaces", site, opts)
        self.made = {
            name: self._namespace(name, facts)
            for name, facts in NAMESPACES.items()
            if not facts.component or site.wants(facts.component)
        }
        self.register_outputs({})

    def _namespace(self, name: str, facts: Facts) -> core.Namespace:
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
        for policy, spec in policies(name, facts, self.site):
            networking.NetworkPolicy(
                f"{name}-{policy}",
                metadata=self.meta(policy, name),
                spec=spec,
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


def policies(name: str, facts: Facts, site: Site) -> Iterator[tuple[str, Rule]]:
    """A namespace's network policies by name: closed, then opened where its row says so."""
    yield "deny-all", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    yield "allow-dns", outwards([in_namespace("kube-system")], ("UDP", 53), ("TCP", 53))
    yield "allow-inside", both([{"podSelector": {}}])
    # The Kubernetes API and AWS answer at addresses that nobody can list.
    yield "allow-https", outwards([block(EVERYWHERE)], ("TCP", 443))
    if site.wants("monitoring"):
        yield "allow-scraping", inwards([in_namespace("monitoring")])
    if name == "monitoring":
        yield "allow-reaching-targets", outwards([{"namespaceSelector": {}}])
    if facts.called_by:
        yield "allow-callers", inwards([in_namespace(one) for one in facts.called_by])
    if targets := [other for other, row in NAMESPACES.items() if name in row.called_by]:
        yield "allow-calling", outwards([in_namespace(one) for one in targets])
    vpc = site.environment.network.cidr
    if facts.webhooks:
        yield "allow-webhooks", inwards([block(vpc)], *tcp(facts.webhooks))
    if facts.open_ports:
        allowed = site.environment.on_cluster.load_balancer_networks or (vpc,)
        sources = [block(one) for one in dict.fromkeys((*allowed, vpc))]
        yield "allow-load-balancer", inwards(sources, *tcp(facts.open_ports))
    if facts.stores:
        ports = tuple(STORES[store] for store in facts.stores)
        yield "allow-stores", outwards([block(vpc)], *tcp(ports))


def tcp(ports: tuple[int, ...]) -> list[tuple[str, int]]:
    """TCP ports, as the rules take them."""
    return [("TCP", port) for port in ports]


def block(network: str) -> Rule:
    """Addresses outside the cluster."""
    return {"ipBlock": {"cidr": network}}


def in_namespace(name: str) -> Rule:
    """The pods of a namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def inwards(peers: list[Rule], *ports: tuple[str, int]) -> Rule:
    """A policy that lets some in."""
    return {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": peers, **listed(ports)}],
    }


def outwards(peers: list[Rule], *ports: tuple[str, int]) -> Rule:
    """A policy that lets pods out to some."""
    return {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [{"to": peers, **listed(ports)}],
    }


def both(peers: list[Rule]) -> Rule:
    """A policy that lets pods talk to some, both ways."""
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peers}],
        "egress": [{"to": peers}],
    }


def listed(ports: tuple[tuple[str, int], ...]) -> Rule:
    """The ports of a rule; none are all of them."""
    found = [{"protocol": protocol, "port": port} for protocol, port in ports]
    return {"ports": found} if found else {}
