"""The order of things in the cluster: what each part waits for."""

from __future__ import annotations

from dataclasses import replace

import pulumi

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
from infra.registry import Registry


def install(site: Site, *, registry: Registry) -> dict[str, Part]:
    """Declare everything that the environment wants in its cluster.

    Args:
        site: the environment.
        registry: where the operator's image is.

    Returns:
        the parts by name.
    """
    ready = pulumi.ResourceOptions(provider=provider(site))
    namespaces = Namespaces(site, ready)
    site = replace(site, namespaces=namespaces.made)
    certificates = CertManager(site, ready)
    secrets = Secrets(site, ready)
    ingress = Ingress(site, ready, issuer=certificates.issuer)
    made: list[Part] = [namespaces, certificates, secrets, ingress]
    observed: list[pulumi.Resource] = []
    if site.wants("monitoring"):
        monitoring = Monitoring(site, ready)
        made.append(monitoring)
        observed = [monitoring.chart]
    if site.wants("keda"):
        made.append(Keda(site, ready))
    scaled: list[pulumi.Resource] = [one.chart for one in made if isinstance(one, Keda)]
    if site.wants("seldon"):
        seldon = Seldon(site, ready, after=[ingress.door, certificates.issuer, *scaled])
        made.append(seldon)
        if site.wants("operator"):
            images = registry.images()
            made.append(Operator(site, ready, images=images, after=[seldon.chart, *observed]))
    if site.wants("autoscaler"):
        made.append(Autoscaler(site, ready, after=observed))
    if site.wants("spark"):
        made.append(Spark(site, ready, after=observed))
    if site.wants("feature_server"):
        made.append(FeatureServer(site, ready))
    if site.database is not None:
        made += on_database(site, ready, secrets.store, observed)
    return {part.part: part for part in made}


def on_database(
    site: Site,
    opts: pulumi.ResourceOptions,
    store: pulumi.Resource,
    observed: list[pulumi.Resource],
) -> list[Part]:
    """What keeps its state in Postgres."""
    assert site.database is not None
    made: list[Part] = []
    if site.wants("mlflow"):
        made.append(Mlflow(site, opts, database=site.database, store=store, after=observed))
    if site.wants("pipelines"):
        made.append(Pipelines(site, opts, database=site.database, store=store))
    return made
