"""EKS's add-ons, access entries and pod identity associations, and updates that can be followed.

moto has clusters, node groups and Fargate profiles only. What belongs to a cluster here is kept
in tables by (cluster, name) and goes with it; each kind is a few lines of facts (`_Kind`) and the
code for all kinds is the same.

Source: https://docs.aws.amazon.com/eks/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import moto.eks.urls as urls
from moto.core.responses import ActionResult, EmptyResult
from moto.eks.exceptions import (
    InvalidParameterException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse

from pocket.emulator.context import Context
from pocket.emulator.patching import add, replace
from pocket.emulator.tables import Resource, arn, table

_ADDONS: Mapping[str, str] = {
    "vpc-cni": "v1.19.5-eksbuild.1",
    "coredns": "v1.11.4-eksbuild.2",
    "kube-proxy": "v1.32.3-eksbuild.2",
    "aws-ebs-csi-driver": "v1.44.0-eksbuild.1",
    "aws-efs-csi-driver": "v2.1.8-eksbuild.1",
    "eks-pod-identity-agent": "v1.3.7-eksbuild.2",
    "metrics-server": "v0.7.2-eksbuild.3",
    "amazon-cloudwatch-observability": "v4.0.0-eksbuild.1",
    "snapshot-controller": "v8.2.0-eksbuild.1",
    "eks-node-monitoring-agent": "v1.2.0-eksbuild.1",
}
_VERSIONS: Mapping[str, tuple[str, str, str]] = {
    "1.31": ("2024-09-26", "2025-11-26", "2026-11-26"),
    "1.32": ("2025-01-23", "2026-03-23", "2027-03-23"),
    "1.33": ("2025-05-29", "2026-07-29", "2027-07-29"),
    "1.34": ("2025-10-02", "2026-12-02", "2027-12-02"),
    "1.35": ("2026-01-27", "2027-03-27", "2028-03-27"),
}
"""Kubernetes releases on EKS: from when, and the ends of standard and of extended support."""
_ENTRY_TYPES = ("STANDARD", "FARGATE_LINUX", "EC2_LINUX", "EC2_WINDOWS", "EC2", "HYBRID_LINUX")
_ACCESS_POLICY = re.compile(r"arn:[\w-]+:eks::aws:cluster-access-policy/Amazon\w+")
_ROLE = re.compile(r"arn:[\w-]+:iam::\d{12}:role/.+")
_PRINCIPAL = re.compile(r"arn:[\w-]+:(iam::\d{12}:(role|user)/.+|sts::\d{12}:.+)")
_PATHS = (
    *(
        "{0}/clusters/(?P<name>[^/]+)/" + path
        for collection in ("addons", "access-entries", "pod-identity-associations", "updates")
        for path in (f"{collection}$", f"{collection}/(?P<rest>.+)$")
    ),
    "{0}/clusters/(?P<name>[^/]+)/node-groups/(?P<nodegroupName>[^/]+)/update-version$",
    "{0}/addons/supported-versions$",
    "{0}/cluster-versions$",
)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One kind of thing in a cluster: its table, and how a missing one is called."""

    table: str
    word: str


_ADDON = _Kind(table="eks_addons", word="addon")
_ENTRY = _Kind(table="eks_access_entries", word="access entry")
_ASSOCIATION = _Kind(table="eks_pod_identities", word="pod identity association")
_UPDATE = _Kind(table="eks_updates", word="update")


def install(context: Context) -> None:
    """Give EKS the kinds that it lacks."""
    for path in _PATHS:
        urls.url_paths[path] = urls.response.dispatch
    for operation in _OPERATIONS:
        add(EKSResponse, operation)
    _follow_clusters(context)
    _follow_tags()


# -- what all kinds share
# ---------------------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


def _cluster(request: EKSResponse) -> str:
    """The cluster named in the path, which must exist."""
    name = str(request._get_param("clusterName") or request._get_param("name"))
    request.eks_backend.describe_cluster(name)
    return name


def _named(request: EKSResponse, parameter: str) -> str:
    return unquote(str(request._get_param(parameter)))


def _key(cluster: str, name: str) -> str:
    return f"{cluster}\n{name}"


def _all(backend: EKSBackend, kind: _Kind, cluster: str) -> list[Resource]:
    return [
        one for key, one in table(backend, kind.table).items() if key.startswith(f"{cluster}\n")
    ]


def _find(backend: EKSBackend, kind: _Kind, cluster: str, name: str) -> Resource:
    found = table(backend, kind.table).get(_key(cluster, name))
    if found is None:
        raise ResourceNotFoundException(
            clusterName=cluster,
            nodegroupName=None,
            message=f"No {kind.word} found for name: {name} in cluster {cluster}.",
        )
    return found


def _keep(backend: EKSBackend, kind: _Kind, cluster: str, name: str, made: Resource) -> Resource:
    if _key(cluster, name) in table(backend, kind.table):
        raise ResourceInUseException(
            clusterName=cluster,
            nodegroupName=None,
            message=f"The {kind.word} {name} already exists in cluster {cluster}.",
        )
    table(backend, kind.table)[_key(cluster, name)] = made
    return made


def _remove(backend: EKSBackend, kind: _Kind, cluster: str, name: str) -> Resource:
    found = _find(backend, kind, cluster, name)
    del table(backend, kind.table)[_key(cluster, name)]
    return found


def _refuse(message: str) -> InvalidParameterException:
    return InvalidParameterException(message=message)


def _change(request: EKSResponse, resource: Resource, parameters: tuple[str, ...]) -> None:
    """Take over those of the parameters that were given."""
    for parameter in parameters:
        value = request._get_param(parameter)
        if value is not None:
            resource[parameter] = value
    resource["modifiedAt"] = _now()


def _update(backend: EKSBackend, cluster: str, kind: str, params: Mapping[str, Any]) -> Resource:
    """A finished update, which DescribeUpdate finds again."""
    update: Resource = {
        "id": str(uuid.uuid4()),
        "status": "Successful",
        "type": kind,
        "params": [{"type": name, "value": str(value)} for name, value in params.items() if value],
        "createdAt": _now(),
        "errors": [],
    }
    return _keep(backend, _UPDATE, cluster, update["id"], update)


# -- add-ons
# ----------------------------------------------------------------------------------------


def create_addon(self: EKSResponse) -> ActionResult:
    cluster, name = _cluster(self), _named(self, "addonName")
    if name not in _ADDONS:
        raise _refuse(f"Addon {name} specified is not supported; supported: {', '.join(_ADDONS)}")
    role = self._get_param("serviceAccountRoleArn")
    if role and not _ROLE.fullmatch(role):
        raise _refuse(f"Invalid role ARN: {role}")
    backend = self.eks_backend
    addon: Resource = {
        "addonName": name,
        "clusterName": cluster,
        "status": "ACTIVE",
        "addonVersion": self._get_param("addonVersion") or _ADDONS[name],
        "health": {"issues": []},
        "addonArn": arn(backend, "eks", f"addon/{cluster}/{name}/{uuid.uuid4()}"),
        "createdAt": _now(),
        "modifiedAt": _now(),
        "serviceAccountRoleArn": role,
        "tags": self._get_param("tags") or {},
        "configurationValues": self._get_param("configurationValues"),
        "publisher": "eks",
        "owner": "aws",
    }
    _keep(backend, _ADDON, cluster, name, addon)
    addon["podIdentityAssociations"] = [
        _associate(backend, cluster, "kube-system", one["serviceAccount"], one["roleArn"], {})[
            "associationArn"
        ]
        for one in self._get_param("podIdentityAssociations") or []
    ]
    return ActionResult({"addon": addon})


def addon_place(self: EKSResponse) -> tuple[dict[str, Resource], str]:
    """Where the add-on is that a request names: its table, and its key."""
    return table(self.eks_backend, _ADDON.table), _key(_cluster(self), _named(self, "addonName"))


def describe_addon(self: EKSResponse) -> ActionResult:
    cluster = _cluster(self)
    addon = _find(self.eks_backend, _ADDON, cluster, _named(self, "addonName"))
    return ActionResult({"addon": addon})


def list_addons(self: EKSResponse) -> ActionResult:
    addons = _all(self.eks_backend, _ADDON, _cluster(self))
    return ActionResult({"addons": [addon["addonName"] for addon in addons]})


def update_addon(self: EKSResponse) -> ActionResult:
    cluster, backend = _cluster(self), self.eks_backend
    addon = _find(backend, _ADDON, cluster, _named(self, "addonName"))
    changed = ("addonVersion", "serviceAccountRoleArn", "configurationValues")
    _change(self, addon, changed)
    params = {
        "AddonVersion": self._get_param("addonVersion"),
        "ServiceAccountRoleArn": self._get_param("serviceAccountRoleArn"),
        "ConfigurationValues": self._get_param("configurationValues"),
        "ResolveConflicts": self._get_param("resolveConflicts"),
    }
    return ActionResult({"update": _update(backend, cluster, "AddonUpdate", params)})


def delete_addon(self: EKSResponse) -> ActionResult:
    cluster = _cluster(self)
    addon = _remove(self.eks_backend, _ADDON, cluster, _named(self, "addonName"))
    return ActionResult({"addon": {**addon, "status": "DELETING"}})


def describe_addon_versions(self: EKSResponse) -> ActionResult:
    wanted = self._get_param("addonName")
    version = self._get_param("kubernetesVersion")
    addons = [
        {
            "addonName": name,
            "type": "infra-management",
            "publisher": "eks",
            "owner": "aws",
            "addonVersions": [
                {
                    "addonVersion": release,
                    "architecture": ["amd64", "arm64"],
                    "compatibilities": [
                        {
                            "clusterVersion": version or "1.32",
                            "platformVersions": ["*"],
                            "defaultVersion": True,
                        }
                    ],
                    "requiresConfiguration": False,
                }
            ],
        }
        for name, release in _ADDONS.items()
        if wanted in (None, name)
    ]
    return ActionResult({"addons": addons})


# -- access entries
# ---------------------------------------------------------------------------------


def create_access_entry(self: EKSResponse) -> ActionResult:
    cluster, backend = _cluster(self), self.eks_backend
    principal, kind = self._get_param("principalArn"), self._get_param("type") or "STANDARD"
    if not _PRINCIPAL.fullmatch(principal):
        raise _refuse(f"The principalArn parameter format is not valid: {principal}")
    if kind not in _ENTRY_TYPES:
        raise _refuse(f"The type {kind} is not one of {', '.join(_ENTRY_TYPES)}")
    groups = self._get_param("kubernetesGroups") or []
    if any(group.startswith("system:") for group in groups):
        raise _refuse("The kubernetes group name must not start with system:")
    entry: Resource = {
        "clusterName": cluster,
        "principalArn": principal,
        "kubernetesGroups": groups,
        "accessEntryArn": arn(
            backend,
            "eks",
            f"access-entry/{cluster}/{principal.split(':', 5)[5]}/{uuid.uuid4()}",
        ),
        "createdAt": _now(),
        "modifiedAt": _now(),
        "tags": self._get_param("tags") or {},
        "username": self._get_param("username") or principal,
        "type": kind,
        "policies": {},
    }
    return ActionResult({"accessEntry": _keep(backend, _ENTRY, cluster, principal, entry)})


def describe_access_entry(self: EKSResponse) -> ActionResult:
    return ActionResult({"accessEntry": _entry(self)})


def list_access_entries(self: EKSResponse) -> ActionResult:
    policy = self._get_param("associatedPolicyArn")
    entries = _all(self.eks_backend, _ENTRY, _cluster(self))
    names = [one["principalArn"] for one in entries if not policy or policy in one["policies"]]
    return ActionResult({"accessEntries": names})


def update_access_entry(self: EKSResponse) -> ActionResult:
    entry = _entry(self)
    _change(self, entry, ("kubernetesGroups", "username"))
    return ActionResult({"accessEntry": entry})


def delete_access_entry(self: EKSResponse) -> EmptyResult:
    _remove(self.eks_backend, _ENTRY, _cluster(self), _named(self, "principalArn"))
    return EmptyResult()


def associate_access_policy(self: EKSResponse) -> ActionResult:
    entry, policy = _entry(self), self._get_param("policyArn")
    scope = self._get_param("accessScope") or {}
    if not _ACCESS_POLICY.fullmatch(policy):
        raise _refuse(f"The policyArn parameter format is not valid: {policy}")
    if scope.get("type") == "namespace" and not scope.get("namespaces"):
        raise _refuse("An access scope of the type namespace needs namespaces")
    associated = {
        "policyArn": policy,
        "accessScope": {"namespaces": [], **scope},
        "associatedAt": _now(),
        "modifiedAt": _now(),
    }
    entry["policies"][policy] = associated
    return ActionResult(
        {
            "clusterName": entry["clusterName"],
            "principalArn": entry["principalArn"],
            "associatedAccessPolicy": associated,
        }
    )


def disassociate_access_policy(self: EKSResponse) -> EmptyResult:
    entry, policy = _entry(self), _named(self, "policyArn")
    if entry["policies"].pop(policy, None) is None:
        raise ResourceNotFoundException(
            clusterName=entry["clusterName"],
            message=f"The policy {policy} is not associated with {entry['principalArn']}.",
        )
    return EmptyResult()


def list_associated_access_policies(self: EKSResponse) -> ActionResult:
    entry = _entry(self)
    return ActionResult(
        {
            "clusterName": entry["clusterName"],
            "principalArn": entry["principalArn"],
            "associatedAccessPolicies": list(entry["policies"].values()),
        }
    )


def _entry(request: EKSResponse) -> Resource:
    principal = _named(request, "principalArn")
    return _find(request.eks_backend, _ENTRY, _cluster(request), principal)


# -- pod identity associations
# ----------------------------------------------------------------------


def create_pod_identity_association(self: EKSResponse) -> ActionResult:
    association = _associate(
        self.eks_backend,
        _cluster(self),
        self._get_param("namespace"),
        self._get_param("serviceAccount"),
        self._get_param("roleArn"),
        self._get_param("tags") or {},
    )
    _change(self, association, ("disableSessionTags", "targetRoleArn", "policy"))
    return ActionResult({"association": association})


def _associate(
    backend: EKSBackend,
    cluster: str,
    namespace: str,
    account: str,
    role: str,
    tags: dict[str, str],
) -> Resource:
    if not _ROLE.fullmatch(role or ""):
        raise _refuse(f"Invalid role ARN: {role}")
    for other in _all(backend, _ASSOCIATION, cluster):
        if (other["namespace"], other["serviceAccount"]) == (namespace, account):
            raise ResourceInUseException(
                clusterName=cluster,
                message="Association already exists: "
                f"{other['associationId']} for {namespace}/{account}",
            )
    name = f"a-{uuid.uuid4().hex[:17]}"
    association: Resource = {
        "clusterName": cluster,
        "namespace": namespace,
        "serviceAccount": account,
        "roleArn": role,
        "associationArn": arn(backend, "eks", f"podidentityassociation/{cluster}/{name}"),
        "associationId": name,
        "tags": tags,
        "createdAt": _now(),
        "modifiedAt": _now(),
        "disableSessionTags": False,
    }
    return _keep(backend, _ASSOCIATION, cluster, name, association)


def describe_pod_identity_association(self: EKSResponse) -> ActionResult:
    return ActionResult({"association": _association(self)})


def list_pod_identity_associations(self: EKSResponse) -> ActionResult:
    wanted = {
        name: self._get_param(name)
        for name in ("namespace", "serviceAccount")
        if self._get_param(name)
    }
    found = [
        one
        for one in _all(self.eks_backend, _ASSOCIATION, _cluster(self))
        if all(one[name] == value for name, value in wanted.items())
    ]
    return ActionResult({"associations": found})


def update_pod_identity_association(self: EKSResponse) -> ActionResult:
    association = _association(self)
    _change(self, association, ("roleArn", "disableSessionTags", "targetRoleArn", "policy"))
    return ActionResult({"association": association})


def delete_pod_identity_association(self: EKSResponse) -> ActionResult:
    name = _named(self, "associationId")
    return ActionResult(
        {"association": _remove(self.eks_backend, _ASSOCIATION, _cluster(self), name)}
    )


def _association(request: EKSResponse) -> Resource:
    name = _named(request, "associationId")
    return _find(request.eks_backend, _ASSOCIATION, _cluster(request), name)


# -- updates of clusters
# ----------------------------------------------------------------------------


def describe_update(self: EKSResponse) -> ActionResult:
    update = _find(self.eks_backend, _UPDATE, _cluster(self), _named(self, "updateId"))
    return ActionResult({"update": update})


def list_updates(self: EKSResponse) -> ActionResult:
    updates = _all(self.eks_backend, _UPDATE, _cluster(self))
    return ActionResult({"updateIds": [update["id"] for update in updates]})


def describe_cluster_versions(self: EKSResponse) -> ActionResult:
    wanted = self.querystring.get("clusterVersions") or list(_VERSIONS)
    days = {
        version: [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in _VERSIONS[version]]
        for version in wanted
        if version in _VERSIONS
    }
    found = [
        {
            "clusterVersion": version,
            "clusterType": "eks",
            "defaultVersion": version == max(_VERSIONS),
            "releaseDate": released,
            "endOfStandardSupportDate": standard,
            "endOfExtendedSupportDate": extended,
            "versionStatus": _support(standard, extended),
        }
        for version, (released, standard, extended) in days.items()
    ]
    return ActionResult({"clusterVersions": found})


def _support(standard: datetime, extended: datetime) -> str:
    if _now() < standard:
        return "STANDARD_SUPPORT"
    return "EXTENDED_SUPPORT" if _now() < extended else "UNSUPPORTED"


def update_cluster_version(self: EKSResponse) -> ActionResult:
    name, version = _cluster(self), self._get_param("version")
    self.eks_backend.clusters[name].version = version
    update = _update(self.eks_backend, name, "VersionUpdate", {"Version": version})
    return ActionResult({"update": update})


def update_nodegroup_version(self: EKSResponse) -> ActionResult:
    name = _cluster(self)
    group = self.eks_backend.describe_nodegroup(name, _named(self, "nodegroupName"))
    for parameter, attribute in (("version", "version"), ("releaseVersion", "release_version")):
        if self._get_param(parameter):
            setattr(group, attribute, self._get_param(parameter))
    params = {"Version": self._get_param("version")}
    return ActionResult({"update": _update(self.eks_backend, name, "VersionUpdate", params)})


def _follow_clusters(context: Context) -> None:
    """What belongs to a cluster goes with it, and its first administrator gets an access entry."""

    @replace(EKSBackend, "delete_cluster")
    def delete(original: Callable[..., Any], backend: EKSBackend, name: str) -> Any:
        cluster = original(backend, name)
        for kind in (_ADDON, _ENTRY, _ASSOCIATION, _UPDATE):
            rows = table(backend, kind.table)
            for key in [key for key in rows if key.startswith(f"{name}\n")]:
                del rows[key]
        return cluster

    @replace(EKSResponse, "create_cluster")
    def create(original: Callable[..., Any], self: EKSResponse) -> ActionResult:
        answer: ActionResult = original(self)
        cluster = self.eks_backend.clusters[self._get_param("name")]
        access = self._get_param("accessConfig") or {}
        cluster.access_config = {  # type: ignore[attr-defined]
            "authenticationMode": access.get("authenticationMode") or "CONFIG_MAP",
            "bootstrapClusterCreatorAdminPermissions": access.get(
                "bootstrapClusterCreatorAdminPermissions", True
            ),
        }
        for parameter, attribute in (
            ("upgradePolicy", "upgrade_policy"),
            ("deletionProtection", "deletion_protection"),
            ("zonalShiftConfig", "zonal_shift_config"),
        ):
            if self._get_param(parameter) is not None:
                setattr(cluster, attribute, self._get_param(parameter))
        return answer


def _follow_tags() -> None:
    """Tags of node groups, add-ons, access entries and associations, by their ARN."""

    def tags_of(backend: EKSBackend, resource: str) -> dict[str, str] | None:
        for cluster in backend.clusters.values():
            parts: list[Any] = [*cluster.nodegroups.values(), *cluster.fargate_profiles.values()]
            for part in parts:
                if resource in (getattr(part, "arn", ""), getattr(part, "fargate_profile_arn", "")):
                    part.tags = part.tags or {}
                    own: dict[str, str] = part.tags
                    return own
        for kind, field in (
            (_ADDON, "addonArn"),
            (_ENTRY, "accessEntryArn"),
            (_ASSOCIATION, "associationArn"),
        ):
            for one in table(backend, kind.table).values():
                if one[field] == resource:
                    tags: dict[str, str] = one["tags"]
                    return tags
        return None

    @replace(EKSBackend, "tag_resource")
    def tag(
        original: Callable[..., Any], backend: EKSBackend, resource_arn: str, tags: dict[str, str]
    ) -> None:
        own = tags_of(backend, resource_arn)
        if own is None:
            original(backend, resource_arn, tags)
        else:
            own.update(tags)

    @replace(EKSBackend, "untag_resource")
    def untag(
        original: Callable[..., Any], backend: EKSBackend, resource_arn: str, tag_keys: Any
    ) -> None:
        own = tags_of(backend, resource_arn)
        if own is None:
            original(backend, resource_arn, tag_keys)
        else:
            for key in tag_keys if isinstance(tag_keys, list) else [tag_keys]:
                own.pop(key, None)

    @replace(EKSBackend, "list_tags_for_resource")
    def list_tags(
        original: Callable[..., Any], backend: EKSBackend, resource_arn: str
    ) -> dict[str, str]:
        own = tags_of(backend, resource_arn)
        tags: dict[str, str] = original(backend, resource_arn) if own is None else own
        return tags


_OPERATIONS = (
    create_addon,
    describe_addon,
    list_addons,
    update_addon,
    delete_addon,
    describe_addon_versions,
    create_access_entry,
    describe_access_entry,
    list_access_entries,
    update_access_entry,
    delete_access_entry,
    associate_access_policy,
    disassociate_access_policy,
    list_associated_access_policies,
    create_pod_identity_association,
    describe_pod_identity_association,
    list_pod_identity_associations,
    update_pod_identity_association,
    delete_pod_identity_association,
    describe_update,
    list_updates,
    describe_cluster_versions,
    update_cluster_version,
    update_nodegroup_version,
)
