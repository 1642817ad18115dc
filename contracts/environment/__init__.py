"""The environment document: one AWS environment, as a person writes it in ``Pulumi.<name>.yaml``;
and what it gives to those who use it, once it stands.

A concern has a module here, with its settings and its outputs; this module puts them together. A
``tier`` settles the defaults that differ between a laptop and production (what may be deleted, how
many of each thing, how long things are kept), so that a development environment is ten lines and a
production one states only what is particular to it. Whatever a tier settles can be written out, and
then it holds.

Everything that AWS would refuse an hour into a deployment and that can be known beforehand is
refused here, before anything starts: a network without room for its subnets, node types that do not
exist, days that CloudWatch does not offer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self, get_args

import yaml
from pydantic import Field, field_validator, model_validator

from contracts.document import Document
from contracts.environment.budget import BudgetSettings
from contracts.environment.cache import CacheOutputs, CacheSettings
from contracts.environment.cluster import ClusterOutputs, ClusterSettings
from contracts.environment.database import DatabaseOutputs, DatabaseSettings
from contracts.environment.fields import DAY, AccountId, Name, Region, Section, Tier
from contracts.environment.file_system import FileSystemOutputs, FileSystemSettings
from contracts.environment.identity import IdentitySettings
from contracts.environment.keys import KeysSettings
from contracts.environment.lake import CatalogOutputs, LakeOutputs, LakeSettings
from contracts.environment.limits import LIMITS, distinct, taggable
from contracts.environment.network import NetworkOutputs, NetworkSettings
from contracts.environment.observability import ObservabilitySettings
from contracts.environment.on_cluster import OnClusterSettings, ServiceOutputs
from contracts.environment.online_store import OnlineStoreOutputs, OnlineStoreSettings
from contracts.environment.registry import RegistrySettings
from contracts.environment.retention import RetentionSettings
from contracts.environment.stream import StreamOutputs, StreamSettings
from contracts.environment.warehouse import WarehouseOutputs, WarehouseSettings
from contracts.errors import DocumentError
from contracts.yaml_files import DocumentLoader

__all__ = ["DAY", "TIERS", "Environment", "PlatformOutputs"]

IMAGES: Final = {"operator": ("operator", "runtime"), "pipelines": ("pipelines",)}
"""Which of Millwright's images a component runs."""
CONFIG_KEY: Final = "config.millwright:environment"
"""Where the document stands in a ``Pulumi.<name>.yaml``."""


class Environment(Document):
    """One AWS environment: everything ``millwright up`` and ``pulumi up`` make."""

    name: Name = Field(max_length=16)
    """The environment's name: the stack's, and part of every resource's name."""
    tier: Tier
    """What it is for; it settles the defaults of protection, retention and redundancy."""
    account: AccountId
    """The AWS account it belongs to; anything else is refused before the first call."""
    region: Region
    """The AWS region it lives in."""
    tags: dict[str, str] = Field(default_factory=dict, max_length=40)
    """Tags put on everything, such as the team and the cost centre."""
    retention: RetentionSettings = RetentionSettings()
    network: NetworkSettings = NetworkSettings()
    keys: KeysSettings = KeysSettings()
    lake: LakeSettings = LakeSettings()
    warehouse: WarehouseSettings = WarehouseSettings()
    online_store: OnlineStoreSettings = OnlineStoreSettings()
    cache: CacheSettings = CacheSettings()
    cluster: ClusterSettings = ClusterSettings()
    on_cluster: OnClusterSettings = OnClusterSettings()
    registry: RegistrySettings = RegistrySettings()
    identity: IdentitySettings = IdentitySettings()
    file_system: FileSystemSettings = FileSystemSettings()
    stream: StreamSettings = StreamSettings()
    database: DatabaseSettings = DatabaseSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    budget: BudgetSettings = BudgetSettings()

    @field_validator("tags")
    @classmethod
    def taken_by_every_service(cls, value: dict[str, str]) -> dict[str, str]:
        """AWS keeps ``aws:`` and we keep ``millwright:``; IAM knows no case in keys."""
        for key, text in value.items():
            if key.lower().startswith(("aws:", "millwright:")) or key.lower() == "name":
                raise ValueError(f"{key!r} is kept for AWS or Millwright; choose another key")
            keys, values = LIMITS["tag key"], LIMITS["tag value"]
            if not keys.holds(len(key)) or not values.holds(len(text)):
                raise ValueError(
                    f"{key!r}: a tag has a key of {keys.least} to {keys.most} characters, "
                    f"a value to {values.most}"
                )
            taggable(key)
            taggable(text)
        distinct(value, "the key")
        return value

    @model_validator(mode="after")
    def has_what_the_cluster_needs(self) -> Self:
        """MLflow and Pipelines keep what they know in Postgres; our own images are pulled."""
        if not self.on_cluster.enabled:
            return self
        components = self.on_cluster.components
        keepers = [name for name in ("mlflow", "pipelines") if name in components]
        if keepers and not self.database.enabled:
            raise ValueError(
                f"on_cluster.components: {' and '.join(keepers)} need database.enabled"
            )
        for component, images in IMAGES.items():
            missing = [image for image in images if image not in self.registry.repositories]
            if component in components and missing:
                raise ValueError(
                    f"on_cluster.components: {component} needs a repository named "
                    f"{' and one named '.join(missing)} in registry.repositories"
                )
        return self

    @model_validator(mode="after")
    def faces_the_internet_somewhere(self) -> Self:
        """A load balancer that the internet reaches stands in public subnets."""
        existing, wanted = self.network.existing, self.on_cluster
        outside = wanted.enabled and wanted.load_balancer == "internet"
        if existing and outside and not existing.public_subnets:
            raise ValueError(
                "network.existing.public_subnets: on_cluster.load_balancer faces the internet "
                "and needs some"
            )
        return self

    @classmethod
    def sections(cls) -> Iterator[tuple[str, type[Section]]]:
        """The concerns' settings by key."""
        for key, field in cls.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                yield key, field.annotation

    @classmethod
    def settled(cls, value: object) -> object:
        """A document with its tier's defaults filled in; what is wrong in it stays for pydantic."""
        if not isinstance(value, Mapping) or not isinstance(value.get("tier"), str):
            return value
        settled = dict(value)
        for key, section in cls.sections():
            defaults = section.tiers.get(value["tier"], {})
            written = value.get(key, {})
            if defaults and isinstance(written, Mapping):
                settled[key] = {**defaults, **written}
        return settled

    @classmethod
    def parse(cls, value: object, *, where: str = "") -> Self:
        """As every document, with the tier's defaults under what is written."""
        return super().parse(cls.settled(value), where=where)

    @classmethod
    def read(cls, path: Path, *, loader: type[yaml.SafeLoader] = DocumentLoader) -> Self:
        """The document in a ``Pulumi.<name>.yaml``, whose scalars ``loader`` reads.

        Raises:
            DocumentError: the file is missing or wrong, or its name is not the environment's.
        """
        environment = cls.load(path, key=CONFIG_KEY, loader=loader)
        if path.name != f"Pulumi.{environment.name}.yaml":
            raise DocumentError(
                f"the environment is named {environment.name!r}",
                where=f"{path}: {CONFIG_KEY}.name",
                fix=f"Name it as the file does, or the file Pulumi.{environment.name}.yaml",
            )
        return environment


TIERS: Final[dict[str, dict[str, dict[str, object]]]] = {
    tier: {
        key: section.tiers[tier] for key, section in Environment.sections() if tier in section.tiers
    }
    for tier in get_args(Tier)
}
"""What each tier settles, by section; a section that is written holds key by key."""


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
