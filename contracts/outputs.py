"""What an environment gives to the rooms that use it: the only thing they know about
infrastructure.

``infra`` exports it as the stack's outputs; ``data``, ``pipelines`` and ``serving`` read it. A
value that is a secret is not in it: only where the secret is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field

from contracts.document import Document


class LakeOutputs(Document):
    """Object storage: bucket names."""

    raw: str
    curated: str
    artifacts: str
    key_arn: str


class WarehouseOutputs(Document):
    """Redshift, reached through its Data API."""

    cluster_identifier: str = ""
    """The provisioned cluster; empty where the warehouse is serverless."""
    workgroup: str = ""
    """The serverless workgroup; empty where the warehouse is provisioned."""
    database: str
    user: str
    secret_arn: str
    """The Secrets Manager secret with the administrator's password."""
    role_arn: str
    """The role with which COPY and UNLOAD reach the lake."""
    endpoint: str = ""


class OnlineStoreOutputs(Document):
    """DynamoDB: the tables' names by purpose."""

    tables: dict[str, str] = Field(default_factory=dict)


class CacheOutputs(Document):
    """The in-memory store."""

    host: str
    port: int
    tls: bool
    secret_arn: str = ""
    """The Secrets Manager secret with the AUTH token; empty where there is none."""


class ClusterOutputs(Document):
    """Kubernetes."""

    name: str
    endpoint: str
    oidc_issuer: str = ""


class CatalogOutputs(Document):
    """Glue and Athena: SQL over the lake."""

    databases: dict[str, str]
    """Glue databases by bucket."""
    workgroup: str


class FileSystemOutputs(Document):
    """EFS."""

    id: str
    access_points: dict[str, str]
    """Access points' ids by workload."""


class StreamOutputs(Document):
    """Kinesis."""

    name: str
    arn: str


class DatabaseOutputs(Document):
    """Postgres; its administrator's password is in the secret."""

    host: str
    port: int
    user: str
    secret_arn: str


class NetworkOutputs(Document):
    """The VPC."""

    vpc_id: str
    public_subnet_ids: tuple[str, ...]
    private_subnet_ids: tuple[str, ...]
    database_subnet_ids: tuple[str, ...]


class ServiceOutputs(Document):
    """A service of the environment, and the ways to reach it.

    At least one way is there: an address that answers from outside, or a Kubernetes service, which
    a command reaches through a port-forward that it opens and closes itself.
    """

    url: str = ""
    """Where it answers directly, without a trailing slash; empty where only the cluster has an
    address for it."""
    namespace: str = ""
    service: str = ""
    """The Kubernetes service's name."""
    port: int = 0
    """The Kubernetes service's port; 0 outside a cluster."""


class PlatformOutputs(Document):
    """One environment, as its users see it."""

    environment: str
    region: str
    account_id: str
    network: NetworkOutputs
    lake: LakeOutputs
    warehouse: WarehouseOutputs
    online_store: OnlineStoreOutputs
    cache: CacheOutputs
    cluster: ClusterOutputs
    catalog: CatalogOutputs | None = None
    file_system: FileSystemOutputs | None = None
    stream: StreamOutputs | None = None
    database: DatabaseOutputs | None = None
    alarms_topic_arn: str = ""
    """Where alarms are published; empty where there are none."""
    registries: dict[str, str]
    """Container repositories' URLs by image name."""
    tracking: ServiceOutputs | None = None
    """MLflow: tracking and the model registry."""
    pipelines: ServiceOutputs | None = None
    """The Kubeflow Pipelines API."""
    gateway: ServiceOutputs | None = None
    """The front door of everything that is served: paths begin with ``/seldon/``."""
    namespaces: dict[str, str] = Field(default_factory=dict)
    """Kubernetes namespaces by purpose: ``pipelines``, ``models``, ``operator`` and so on."""
    images: dict[str, str] = Field(default_factory=dict)
    """Images by name, each a reference with its digest (``repository@sha256:…``)."""
    roles: dict[str, str]
    """IAM role ARNs by workload."""
    key_arns: dict[str, str]
    """KMS key ARNs by class of data."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The outputs that ``up`` wrote (JSON is YAML)."""
        return cls.load(path)
