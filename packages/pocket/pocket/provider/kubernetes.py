"""``kubernetes`` as far as a preview needs it: what would be installed is checked and compared.

Nothing is ever installed from here. Charts and kustomizations are resolved by Pulumi's own
Kubernetes provider when it applies them to a real cluster; a second resolver would be another
Helm, and would differ from it. So this one answers previews from what is declared, finds what the
Kubernetes API would refuse, and refuses to act with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from pocket.errors import DeploymentError
from pocket.provider.values import UNKNOWN, Properties, from_struct, plain, to_struct

VERSION: Final = "4.34.0"
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
CLUSTER_WIDE: Final = frozenset(
    {
        *("Namespace", "StorageClass", "PriorityClass", "ClusterRole", "ClusterRoleBinding"),
        *("CustomResourceDefinition", "ClusterIssuer", "ClusterSecretStore"),
        *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "PersistentVolume"),
    }
)
"""Kinds that are in no namespace."""
LABEL_NAMES: Final = frozenset({"Namespace", "Service"})
"""Kinds whose names are DNS labels; others' are DNS subdomains."""
COLONS: Final = frozenset({"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})
"""Kinds whose names are only path segments."""
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
RELEASE_NAME_LENGTH: Final = 53
IDENTITY: Final = ("apiVersion", "kind", "metadata.name", "metadata.namespace", "name", "namespace")
"""What makes an object another object."""

Problem = tuple[str, str]
"""A property and what is wrong with it."""


class KubernetesProvider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider of previews."""

    def GetPluginInfo(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        olds, news = plain(from_struct(request.olds)), plain(from_struct(request.news))
        changed = sorted(key for key in {*olds, *news} if olds.get(key) != news.get(key))
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changed else response.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key == "clusterIdentifier"],
        )

    def Configure(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        token = token_of(request.urn)
        news = from_struct(request.news)
        if token != RELEASE and ":" in token:
            # As Pulumi's own provider does: the type says what the object is.
            version, kind = token.split(":")[1:3]
            news |= {"apiVersion": version.removeprefix("core/"), "kind": kind}
        found = plain(news)
        problems = release_problems(found) if token == RELEASE else list(object_problems(found))
        return provider_pb2.CheckResponse(
            inputs=to_struct(news),
            failures=[
                provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in problems
            ],
        )

    def Diff(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        olds = plain(from_struct(request.old_inputs or request.olds))
        news = plain(from_struct(request.news))
        ignored = set(request.ignoreChanges)
        paths = [path for path in differing(olds, news) if path.split(".")[0] not in ignored]
        replaces = [path for path in paths if path in IDENTITY]
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if paths else response.DIFF_NONE,
            diffs=sorted({path.split(".")[0] for path in paths}),
            replaces=sorted({path.split(".")[0] for path in replaces}),
            detailedDiff={
                path: provider_pb2.PropertyDiff(
                    kind=provider_pb2.PropertyDiff.UPDATE_REPLACE
                    if path in replaces
                    else provider_pb2.PropertyDiff.UPDATE,
                    inputDiff=True,
                )
                for path in paths
            },
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces),
        )

    def Create(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        return refuse(request.urn)

    def Update(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        return refuse(request.urn)

    def Read(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return refuse(request.urn)

    def Delete(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return refuse(request.urn)

    def Cancel(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return empty_pb2.Empty()


def refuse(urn: str) -> NoReturn:
    """Say that nothing is done in a cluster from here."""
    raise DeploymentError(
        "the embedded engine reaches no cluster: it shows what would be installed, and "
        "installs nothing",
        where=urn,
        fix="Use the Pulumi CLI (`pulumi up -s <environment>`), or set on_cluster.enabled to "
        "false in the environment's document.",
    )


def token_of(urn: str) -> str:
    """The resource type in a URN."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def release_problems(inputs: Properties) -> list[Problem]:
    """What is wrong with a chart's release."""
    problems: list[Problem] = []
    for key in ("chart", "version", "namespace"):
        if not inputs.get(key):
            problems.append((key, "a release names its chart, its version and its namespace"))
    chart, repository = str(inputs.get("chart", "")), inputs.get("repositoryOpts") or {}
    if not chart.startswith("oci://") and not repository.get("repo"):
        problems.append(("repositoryOpts.repo", f"where the chart {chart} comes from is missing"))
    name = inputs.get("name", "")
    if isinstance(name, str) and name != UNKNOWN and not is_release_name(name):
        problems.append(
            ("name", f"{name!r}: a release's name is a DNS label of at most 53 characters")
        )
    return problems


def is_release_name(name: str) -> bool:
    """Helm leaves room in a DNS label for what charts append."""
    return len(name) <= RELEASE_NAME_LENGTH and LABEL.fullmatch(name) is not None


def object_problems(inputs: Properties) -> Iterator[Problem]:
    """What the Kubernetes API would refuse of an object, as far as its metadata says."""
    kind = inputs.get("kind", "")
    metadata = inputs.get("metadata") or {}
    name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
    if not name:
        yield "metadata.name", f"a {kind} has a name, so that it can be found again"
    elif name != UNKNOWN and kind not in COLONS:
        pattern = LABEL if kind in LABEL_NAMES else SUBDOMAIN
        if not pattern.fullmatch(name):
            yield "metadata.name", f"{name!r}: lower-case letters, digits, hyphens and dots"
    if not namespace and kind not in CLUSTER_WIDE:
        yield "metadata.namespace", f"the {kind} {name!r} is in no namespace"
    if namespace and kind in CLUSTER_WIDE:
        yield "metadata.namespace", f"a {kind} is in no namespace"
    for key, value in (metadata.get("labels") or {}).items():
        if value != UNKNOWN and not LABEL_VALUE.fullmatch(str(value)):
            yield f"metadata.labels.{key}", f"{value!r} is not a label's value"


def differing(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The paths at which two values differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from differing(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path
