"""The order of things in the cluster: each part uses, and waits for, only those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi

from infra.concern import Platform
from infra.on_cluster.access import provider
from infra.on_cluster.autoscaler import Autoscaler
from infra.on_cluster.cert_manager import CertManager
from infra.on_cluster.feature_server import FeatureServer
from infra.on_cluster.ingress import Ingress
from infra.on_cluster.keda import Keda
from infra.on_cluster.mlflow import Mlflow
from infra.on_cluster.monitoring import Monitoring
from infra.on_cluster.namespaces import Namespaces
from infra.on_cluster.operator import Operator
from infra.on_cluster.part import Part, Site
from infra.on_cluster.pipelines import Pipelines
from infra.on_cluster.secrets import Secrets
from infra.on_cluster.seldon import Seldon
from infra.on_cluster.spark import Spark

PARTS: Final[tuple[type[Part], ...]] = (
    Namespaces,
    CertManager,
    Secrets,
    Ingress,
    Monitoring,
    Keda,
    Seldon,
    Operator,
    Autoscaler,
    Spark,
    FeatureServer,
    Mlflow,
    Pipelines,
)
"""Every part that there is."""


def install(platform: Platform, parts: Sequence[type[Part]] = PARTS) -> Site:
    """Declare everything that the environment wants in its cluster.

    Args:
        platform: the environment, and what stands in AWS.
        parts: what there may be, in order.
    """
    site = Site(platform)
    ready = pulumi.ResourceOptions(provider=provider(site))
    for kind in parts:
        if site.wants(kind.component):
            site.add(kind(site, ready))
    return site
