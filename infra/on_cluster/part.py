"""What the parts of the cluster share: where they stand, how a chart is declared, and how its
values are written.

A chart's values are frozen dataclasses of the keys that this platform sets, not free mappings: a
key that does not exist would be ignored by Helm without a word, and the setting with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi_kubernetes import apiextensions
from pulumi_kubernetes.helm.v3 import Release, RepositoryOptsArgs

from contracts.environment import Environment
from infra.naming import Names

if TYPE_CHECKING:
    from infra.cluster import Cluster
    from infra.database import Database
    from infra.lake import Lake
    from infra.network import Network

TIMEOUT: Final = 900
"""Seconds that a release has to become ready."""
HISTORY: Final = 10
"""Revisions of a release that can be gone back to."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The environment that the cluster stands in, as far as its parts use it."""

    environment: Environment
    network: Network
    cluster: Cluster
    lake: Lake
    database: Database | None
    namespaces: Mapping[str, pulumi.Resource] = field(default_factory=dict)
    """The namespaces, once they are declared: what is in one waits for it."""

    @property
    def names(self) -> Names:
        """The environment's names."""
        return Names.of(self.environment)

    @property
    def replicas(self) -> int:
        """How many of each controller run."""
        return self.environment.on_cluster.replicas

    def wants(self, component: str) -> bool:
        """Whether a component is installed."""
        return component in self.environment.on_cluster.components


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart at one version, and where it comes from."""

    name: str
    repository: str
    version: str


def camel(name: str) -> str:
    """``replica_count`` as charts write it: ``replicaCount``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def as_values(value: object) -> Any:
    """Typed values as Helm takes them: names in camel case, what is None left out.

    A mapping's keys are a chart's own words (labels, environment variables) and stay as they are;
    a field whose chart key is not camel case names it in its metadata (``key``).
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {
            one.metadata.get("key", camel(one.name)): as_values(found)
            for one in fields(value)
            if (found := getattr(value, one.name)) is not None
        }
    if isinstance(value, Mapping):
        return {key: as_values(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_values(inner) for inner in value]
    return value


class Part(pulumi.ComponentResource):
    """One part of what runs in the cluster.

    Args:
        name: the part's name: of the component, and in the label ``millwright/part``.
        site: the environment that the cluster stands in.
        opts: the provider, and what must be there before.
    """

    def __init__(self, name: str, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"millwright:kubernetes:{type(self).__name__}", name, {}, opts)
        self.part = name
        self.site = site
        self.settings = site.environment.on_cluster

    def child(self, *after: pulumi.Resource, namespace: str = "") -> pulumi.ResourceOptions:
        """Options of an object here; what is in a namespace waits for it."""
        place = self.site.namespaces.get(namespace)
        before = [*after, place] if place else list(after)
        return pulumi.ResourceOptions(parent=self, depends_on=before or None)

    def labels(self) -> dict[str, str]:
        """Labels of every object here."""
        return {"app.kubernetes.io/managed-by": "millwright", "millwright/part": self.part}

    def meta(self, name: str, namespace: str = "", **labels: str) -> dict[str, Any]:
        """An object's metadata."""
        place = {"namespace": namespace} if namespace else {}
        return {"name": name, **place, "labels": {**self.labels(), **labels}}

    def release(
        self,
        name: str,
        chart: Chart,
        namespace: str,
        values: object = None,
        *,
        after: Sequence[pulumi.Resource] = (),
    ) -> Release:
        """A chart's release; a failed one is rolled back.

        Args:
            name: the release's name.
            chart: what is installed.
            namespace: where; it exists already.
            values: what differs from the chart's own values, as a dataclass.
            after: what must be there before.
        """
        return Release(
            name,
            name=name,
            chart=chart.name,
            version=chart.version,
            repository_opts=RepositoryOptsArgs(repo=chart.repository),
            namespace=namespace,
            create_namespace=False,
            values=as_values(values) if values is not None else {},
            atomic=True,
            cleanup_on_fail=True,
            max_history=HISTORY,
            timeout=TIMEOUT,
            opts=self.child(*after, namespace=namespace),
        )

    def custom(
        self,
        name: str,
        api_version: str,
        kind: str,
        spec: Mapping[str, Any],
        *,
        namespace: str = "",
        after: Sequence[pulumi.Resource] = (),
    ) -> pulumi.Resource:
        """An object of a kind that a chart has brought."""
        made: pulumi.Resource = apiextensions.CustomResource(
            name,
            api_version=api_version,
            kind=kind,
            metadata=self.meta(name, namespace),
            spec=spec,
            opts=self.child(*after, namespace=namespace),
        )
        return made
