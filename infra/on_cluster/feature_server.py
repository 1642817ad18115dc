"""Feast's feature server: features by key over HTTP, from DynamoDB, as of the last materialization.

Its registry is a file in the artifacts bucket. A feature view's table is one of the environment's
``online_store.tables`` of the same name (with the key ``entity_id``, as Feast wants it), so that
the server's role names every table that it may read.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
import yaml
from pulumi_kubernetes.core import v1 as core

from infra.lake import Lake
from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(
    name="feast-feature-server",
    repository="https://feast-helm-charts.storage.googleapis.com",
    version="0.66.0",
)
NAMESPACE: Final = "features"
SERVICE_ACCOUNT: Final = "feature-server"


@dataclass(frozen=True, kw_only=True)
class FeatureServerAccount:
    """The one that AWS knows by pod identity; the chart does not make it."""

    name: str = SERVICE_ACCOUNT


@dataclass(frozen=True, kw_only=True)
class FeatureServerPod:
    """What the pod may do to its node: nothing."""

    run_as_non_root: bool = True
    seccomp_profile: dict[str, str] = field(default_factory=lambda: {"type": "RuntimeDefault"})


@dataclass(frozen=True, kw_only=True)
class FeatureServerContainer:
    """What the process may do in the pod."""

    allow_privilege_escalation: bool = False
    capabilities: dict[str, list[str]] = field(default_factory=lambda: {"drop": ["ALL"]})


@dataclass(frozen=True, kw_only=True)
class FeatureServerValues:
    """Of feast-charts/feast-feature-server."""

    replica_count: int
    feature_store: pulumi.Input[str] = field(metadata={"key": "feature_store_yaml_base64"})
    resources: dict[str, dict[str, str]] = field(
        default_factory=lambda: {
            "requests": {"cpu": "250m", "memory": "512Mi"},
            "limits": {"memory": "1Gi"},
        }
    )
    service_account: FeatureServerAccount = field(default_factory=FeatureServerAccount)
    pod_security_context: FeatureServerPod = field(default_factory=FeatureServerPod)
    security_context: FeatureServerContainer = field(default_factory=FeatureServerContainer)


class FeatureServer(Part):
    """The server and the account it runs as."""

    part = "feature-server"
    component = "feature_server"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        account = core.ServiceAccount(
            SERVICE_ACCOUNT,
            metadata=self.meta(SERVICE_ACCOUNT, NAMESPACE),
            opts=self.child(namespace=NAMESPACE),
        )
        bucket = site.platform[Lake].buckets["artifacts"].bucket
        values = FeatureServerValues(
            replica_count=site.replicas, feature_store=bucket.apply(self._feature_store)
        )
        self.release("feature-server", CHART, NAMESPACE, values, after=[account])
        self.register_outputs({})

    def _feature_store(self, bucket: str) -> str:
        """Feast's ``feature_store.yaml``, as the chart takes it."""
        document: dict[str, Any] = {
            "project": "millwright",
            "provider": "aws",
            "registry": f"s3://{bucket}/feast/registry.db",
            "online_store": {
                "type": "dynamodb",
                "region": self.site.environment.region,
                "table_name_template": f"{self.site.names.name()}-{{table_name}}",
            },
            "entity_key_serialization_version": 3,
        }
        return base64.b64encode(yaml.safe_dump(document, sort_keys=False).encode()).decode()
