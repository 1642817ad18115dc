"""What the parts of the cluster share: where they stand, how a chart is declared, and how its
values are written.

A chart's values are frozen dataclasses of the keys that this platform sets, not free mappings: a
key that does not exist would be ignored by Helm without a word, and the setting with it. So a test
compares them with ``values/<chart>.schema.json``: the keys that the chart has at our version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Final, TypeVar

import pulumi
from pulumi_kubernetes import apiextensions
from pulumi_kubernetes.helm.v3 import Release, RepositoryOptsArgs

from contracts.errors import InfrastructureError
from infra.concern import Outputs, Platform
from infra.naming import Names

TIMEOUT: Final = 900
"""Seconds that a release has to become ready."""
HISTORY: Final = 10
"""Revisions of a release that can be gone back to."""


class Site:
    """The environment that the cluster stands in, and the parts that are declared already.

    Args:
        platform: what stands in AWS.
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.environment = platform.environment
        self.names = Names.of(platform.environment)
        self._parts: dict[type[Part], Part] = {}

    @property
    def replicas(self) -> int:
        """How many of each controller run."""
        return self.environment.on_cluster.replicas

    def wants(self, component: str) -> bool:
        """Whether a component is installed; what belongs to none is installed always."""
        return not component or component in self.environment.on_cluster.components

    def add(self, part: Part) -> None:
        """Take in a part, for those after it."""
        self._parts[type(part)] = part

    def __getitem__(self, kind: type[AnyPart]) -> AnyPart:
        """A part that is there.

        Raises:
            InfrastructureError: it is not, or not yet.
        """
        part = self.get(kind)
        if part is None:
            raise InfrastructureError(
                f"{kind.__name__} is used before it is declared, or where it is not wanted",
                where="infra/on_cluster/install.py: PARTS",
                fix="Put it further up in the list, or ask for it with `get`.",
            )
        return part

    def get(self, kind: type[AnyPart]) -> AnyPart | None:
        """A part that not every cluster has."""
        part = self._parts.get(kind)
        return part if isinstance(part, kind) else None

    def ready(self, *kinds: type[Part]) -> list[pulumi.Resource]:
        """What to wait for, of those parts that are there."""
        parts = [part for kind in kinds if (part := self.get(kind)) is not None]
        return [resource for part in parts for resource in part.ready]

    def namespace(self, name: str) -> list[pulumi.Resource]:
        """What is in a namespace waits for it; those that Kubernetes brings are there."""
        return [part.made[name] for part in self._parts.values() if name in part.made]

    def outputs(self) -> Outputs:
        """What users find in the cluster: fields of ``PlatformOutputs``."""
        outputs: dict[str, pulumi.Input[object]] = {}
        for part in self._parts.values():
            outputs.update(part.outputs())
        return outputs


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
            key.metadata.get("key", camel(key.name)): as_values(inner)
            for key in fields(value)
            if (inner := getattr(value, key.name)) is not None
        }
    if isinstance(value, Mapping):
        return {key: as_values(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_values(inner) for inner in value]
    return value


class Part(pulumi.ComponentResource):
    """One part of what runs in the cluster.

    Args:
        site: the environment that the cluster stands in.
        opts: the provider.
    """

    part: ClassVar[str]
    """The part's name: of the component, and in the label ``millwright/part``."""
    component: ClassVar[str] = ""
    """Of which component of ``on_cluster.components`` it is; empty: every cluster has it."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"millwright:kubernetes:{type(self).__name__}", self.part, {}, opts)
        self.site = site
        self.settings = site.environment.on_cluster
        self.ready: list[pulumi.Resource] = []
        """What others wait for."""
        self.made: dict[str, pulumi.Resource] = {}
        """The namespaces that it made."""

    def outputs(self) -> Outputs:
        """What users of the environment are given."""
        return {}

    def child(self, *after: pulumi.Resource, namespace: str = "") -> pulumi.ResourceOptions:
        """Options of an object here; what is in a namespace waits for it."""
        before = [*after, *self.site.namespace(namespace)]
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


AnyPart = TypeVar("AnyPart", bound=Part)


def service(namespace: str, name: str, port: int, **more: object) -> Mapping[str, object]:
    """A service of the cluster: ``contracts.environment.on_cluster.ServiceOutputs``."""
    return {"namespace": namespace, "service": name, "port": port, **more}
