"""EKS: clusters, managed node groups, and who may do what in them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pocket.provider import rules
from pocket.provider.requests import perform
from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Subject,
    Tags,
    Wait,
    id_part,
    joined,
    prop,
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.tagging import wanted_tags
from pocket.provider.values import UNKNOWN, Properties

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_TAGS = Tags(
    at_creation="tags",
    target="resourceArn",
    put_member="tags",
    remove_member="tagKeys",
    path="tags",
)


def _logging(subject: Subject) -> dict[str, Any]:
    wanted = subject.inputs.get("enabledClusterLogTypes") or []
    others = [kind for kind in LOG_TYPES if kind not in wanted]
    setups = [{"types": sorted(wanted), "enabled": True}] if wanted else []
    if others and subject.olds:
        setups.append({"types": others, "enabled": False})
    return {"clusterLogging": setups}


def _change(**params: Any) -> Call:
    return Call(operation="update_cluster_config", params={"name": the_id, **params}, properties=())


def _network(subject: Subject) -> dict[str, Any]:
    """What of the network can be changed: who reaches the endpoint, and where the control plane
    stands.
    """
    wanted, before = subject.inputs["vpcConfig"], subject.olds.get("vpcConfig") or {}
    keys = (
        "endpointPrivateAccess",
        "endpointPublicAccess",
        "publicAccessCidrs",
        "subnetIds",
        "securityGroupIds",
    )
    return {key: wanted[key] for key in keys if key in wanted and wanted[key] != before.get(key)}


def _cluster_outputs(subject: Subject, found: Any) -> Properties:
    setups = (found.get("logging") or {}).get("clusterLogging") or []
    issuer = ((found.get("identity") or {}).get("oidc") or {}).get("issuer")
    encryption = found.get("encryptionConfig") or []
    return {
        "enabledClusterLogTypes": sorted(
            kind for setup in setups if setup.get("enabled") for kind in setup["types"]
        ),
        "identities": [{"oidcs": [{"issuer": issuer}]}] if issuer else [],
        "certificateAuthority": found.get("certificateAuthority") or {},
        "encryptionConfig": encryption[0] if encryption else None,
        "status": found["status"],
    }


def _cluster_rules(inputs: Properties) -> Iterator[Problem]:
    network = inputs.get("vpcConfig")
    if isinstance(network, dict):
        subnets = network.get("subnetIds")
        if isinstance(subnets, list) and len(subnets) < 2:
            yield Problem("vpcConfig.subnetIds", "a cluster needs subnets in at least two zones")
        if network.get("endpointPublicAccess") is False and not network.get(
            "endpointPrivateAccess"
        ):
            yield Problem(
                "vpcConfig.endpointPrivateAccess",
                "one of endpointPrivateAccess and endpointPublicAccess must be true",
            )
    for index, kind in enumerate(inputs.get("enabledClusterLogTypes") or ()):
        if kind != UNKNOWN and kind not in LOG_TYPES:
            yield Problem(
                f"enabledClusterLogTypes[{index}]", f'"{kind}" is not one of {", ".join(LOG_TYPES)}'
            )


CLUSTER = ResourceType(
    token="aws:eks/cluster:Cluster",
    service="eks",
    create=Call(
        operation="create_cluster",
        params={
            "logging": lambda s: _logging(s) if s.inputs.get("enabledClusterLogTypes") else None
        },
    ),
    identity=prop("name"),
    read=Read(operation="describe_cluster", params={"name": the_id}, path="cluster"),
    delete=Call(operation="delete_cluster", params={"name": the_id}),
    wait=Wait(path="status", ready=("ACTIVE",), failed=("FAILED",)),
    name=Name(longest=100),
    names={"vpcConfig": "resourcesVpcConfig", "clusterId": "-"},
    facets=(
        Facet(
            properties=("version",),
            put=Call(operation="update_cluster_version", params={"name": the_id}),
            at_creation=False,
        ),
        Facet(
            properties=("enabledClusterLogTypes",),
            put=_change(logging=_logging),
            at_creation=False,
        ),
        Facet(
            properties=("vpcConfig",),
            put=_change(resourcesVpcConfig=_network),
            at_creation=False,
        ),
        Facet(
            properties=("accessConfig",),
            put=_change(
                accessConfig=lambda s: {
                    "authenticationMode": s.inputs["accessConfig"]["authenticationMode"]
                }
            ),
            at_creation=False,
        ),
        Facet(
            properties=("deletionProtection",),
            put=_change(deletionProtection=prop("deletionProtection")),
            at_creation=False,
        ),
        Facet(
            properties=("upgradePolicy",),
            put=_change(upgradePolicy=prop("upgradePolicy")),
            at_creation=False,
        ),
    ),
    local=("forceUpdateVersion", "defaultAddonsToRemoves"),
    hidden=("bootstrapSelfManagedAddons", "accessConfig"),
    filled=(
        "accessConfig",
        "kubernetesNetworkConfig",
        "upgradePolicy",
        "version",
        "zonalShiftConfig",
        "storageConfig",
        "computeConfig",
        "deletionProtection",
        "controlPlaneScalingConfig",
        "remoteNetworkConfig",
        "encryptionConfig",
    ),
    outputs=_cluster_outputs,
    tags=_TAGS,
    rules=(
        rules.text(
            "name",
            r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}",
            "a cluster's name is 1 to 100 letters, digits, hyphens and underscores",
        ),
        rules.text("version", r"1\.\d{2}", "a version is like 1.35"),
        _cluster_rules,
    ),
)

_NODE_GROUP = {"clusterName": id_part(0, ":"), "nodegroupName": id_part(1, ":")}


def _change_group(subject: Subject) -> None:
    parameters: dict[str, Any] = {}
    inputs, olds = subject.inputs, subject.olds
    for name in ("scalingConfig", "updateConfig"):
        if subject.changed(name) and inputs.get(name):
            parameters[name] = inputs[name]
    if subject.changed("labels"):
        wanted, before = inputs.get("labels") or {}, olds.get("labels") or {}
        parameters["labels"] = {
            "addOrUpdateLabels": wanted,
            "removeLabels": [key for key in before if key not in wanted],
        }
    if subject.changed("taints"):
        new, old = inputs.get("taints") or [], olds.get("taints") or []
        keys = {(taint["key"], taint["effect"]) for taint in new}
        parameters["taints"] = {
            "addOrUpdateTaints": new,
            "removeTaints": [taint for taint in old if (taint["key"], taint["effect"]) not in keys],
        }
    subject.client().update_nodegroup_config(
        **{key: value(subject) for key, value in _NODE_GROUP.items()}, **parameters
    )


def _group_rules(inputs: Properties) -> Iterator[Problem]:
    scaling = inputs.get("scalingConfig")
    if isinstance(scaling, dict):
        sizes = [scaling.get(key) for key in ("minSize", "desiredSize", "maxSize")]
        known = [size for size in sizes if isinstance(size, int)]
        if len(known) == 3 and known != sorted(known):
            yield Problem(
                "scalingConfig", f"minSize <= desiredSize <= maxSize does not hold: {sizes}"
            )
    update = inputs.get("updateConfig")
    if isinstance(update, dict) and {"maxUnavailable", "maxUnavailablePercentage"} <= set(update):
        yield Problem(
            "updateConfig", "only one of maxUnavailable and maxUnavailablePercentage may be given"
        )


NODE_GROUP = ResourceType(
    token="aws:eks/nodeGroup:NodeGroup",
    service="eks",
    create=Call(operation="create_nodegroup"),
    identity=joined(":", "clusterName", "nodeGroupName"),
    read=Read(operation="describe_nodegroup", params=_NODE_GROUP, path="nodegroup"),
    delete=Call(operation="delete_nodegroup", params=_NODE_GROUP),
    wait=Wait(
        path="status", ready=("ACTIVE",), failed=("CREATE_FAILED", "DELETE_FAILED", "DEGRADED")
    ),
    name=Name(property="nodeGroupName", longest=63, prefix="nodeGroupNamePrefix"),
    names={
        "nodeGroupName": "nodegroupName",
        "nodeRoleArn": "nodeRole",
        "arn": "nodegroupArn",
        "subnetIds": "subnets",
    },
    facets=(
        Facet(
            properties=("version", "releaseVersion", "launchTemplate"),
            put=Call(operation="update_nodegroup_version", params=_NODE_GROUP, only_changed=True),
            at_creation=False,
        ),
        Facet(
            properties=("scalingConfig", "updateConfig", "labels", "taints", "nodeRepairConfig"),
            put=_change_group,
            at_creation=False,
        ),
    ),
    local=("forceUpdateVersion", "nodeGroupNamePrefix"),
    filled=(
        "amiType",
        "capacityType",
        "diskSize",
        "instanceTypes",
        "releaseVersion",
        "remoteAccess",
        "updateConfig",
        "version",
        "nodeRepairConfig",
    ),
    hidden=("diskSize", "updateConfig", "nodeRepairConfig"),
    outputs=lambda subject, found: {
        "resources": [
            {
                "autoscalingGroups": (found.get("resources") or {}).get("autoScalingGroups") or [],
            }
        ],
    },
    tags=_TAGS,
    rules=(
        _group_rules,
        rules.text(
            "nodeGroupName",
            r"[0-9A-Za-z][A-Za-z0-9_-]{0,62}",
            "a node group's name is 1 to 63 letters, digits, hyphens and underscores",
        ),
    ),
)

_ADDON = {"clusterName": id_part(0, ":"), "addonName": id_part(1, ":")}

ADDON = ResourceType(
    token="aws:eks/addon:Addon",
    service="eks",
    create=Call(
        operation="create_addon", params={"resolveConflicts": prop("resolveConflictsOnCreate")}
    ),
    identity=joined(":", "clusterName", "addonName"),
    read=Read(operation="describe_addon", params=_ADDON, path="addon"),
    delete=Call(
        operation="delete_addon", params={**_ADDON, "preserve": lambda s: bool(s.get("preserve"))}
    ),
    wait=Wait(path="status", ready=("ACTIVE", "DEGRADED"), failed=("CREATE_FAILED",)),
    names={"arn": "addonArn"},
    facets=(
        Facet(
            properties=("addonVersion", "configurationValues", "serviceAccountRoleArn"),
            put=Call(
                operation="update_addon",
                params={**_ADDON, "resolveConflicts": prop("resolveConflictsOnUpdate")},
            ),
            at_creation=False,
        ),
    ),
    local=("preserve", "resolveConflictsOnCreate", "resolveConflictsOnUpdate"),
    filled=("addonVersion", "namespaceConfig"),
    hidden=("podIdentityAssociations", "namespaceConfig"),
    tags=_TAGS,
    rules=(
        rules.one_of("resolveConflictsOnCreate", ("NONE", "OVERWRITE")),
        rules.one_of("resolveConflictsOnUpdate", ("NONE", "OVERWRITE", "PRESERVE")),
        rules.text("addonVersion", r"v\d+\.\d+\.\d+.*", "a version is like v1.11.4-eksbuild.2"),
    ),
)


def _principal(subject: Subject) -> str:
    return subject.id.split(":", 1)[1]


_ENTRY = {"clusterName": id_part(0, ":"), "principalArn": _principal}

ACCESS_ENTRY = ResourceType(
    token="aws:eks/accessEntry:AccessEntry",
    service="eks",
    create=Call(operation="create_access_entry"),
    identity=joined(":", "clusterName", "principalArn"),
    read=Read(operation="describe_access_entry", params=_ENTRY, path="accessEntry"),
    delete=Call(operation="delete_access_entry", params=_ENTRY),
    names={"userName": "username"},
    facets=(
        Facet(
            properties=("kubernetesGroups", "userName"),
            put=Call(operation="update_access_entry", params=_ENTRY),
            at_creation=False,
        ),
    ),
    defaults={"type": "STANDARD"},
    filled=("userName",),
    tags=replace(_TAGS, identity=prop("accessEntryArn")),
    rules=(
        rules.one_of(
            "type",
            ("STANDARD", "EC2", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX"),
        ),
    ),
)

_POLICY = {
    "clusterName": id_part(0, "#"),
    "principalArn": id_part(1, "#"),
    "policyArn": id_part(2, "#"),
}


def _read_policy(subject: Subject) -> Properties | None:
    cluster, principal, policy = subject.id.split("#")
    client = subject.client()
    try:
        found = client.list_associated_access_policies(clusterName=cluster, principalArn=principal)
    except client.exceptions.ResourceNotFoundException:
        return None
    match = [each for each in found["associatedAccessPolicies"] if each["policyArn"] == policy]
    return {"clusterName": cluster, "principalArn": principal, **match[0]} if match else None


ACCESS_POLICY = ResourceType(
    token="aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    service="eks",
    create=Call(operation="associate_access_policy"),
    identity=joined("#", "clusterName", "principalArn", "policyArn"),
    read=_read_policy,
    delete=Call(operation="disassociate_access_policy", params=_POLICY),
    rules=(
        rules.text(
            "policyArn",
            r"arn:aws[a-z-]*:eks::aws:cluster-access-policy/\w+",
            "an access policy is like arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
        ),
    ),
)

_ASSOCIATION = {"clusterName": id_part(0, ","), "associationId": id_part(1, ",")}


def _find_pod_identity(subject: Subject) -> str | None:
    client, inputs = subject.client(), subject.inputs
    where = {key: inputs[key] for key in ("clusterName", "namespace", "serviceAccount")}
    try:
        found = client.list_pod_identity_associations(**where)["associations"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return f"{inputs['clusterName']},{found[0]['associationId']}" if found else None


def _create_pod_identity(subject: Subject) -> str:
    call = Call(operation="create_pod_identity_association", params={"tags": wanted_tags})
    response = perform(subject, call, tuple(subject.inputs))
    return f"{subject.inputs['clusterName']},{response['association']['associationId']}"


POD_IDENTITY = ResourceType(
    token="aws:eks/podIdentityAssociation:PodIdentityAssociation",
    service="eks",
    create=_create_pod_identity,
    find=_find_pod_identity,
    read=Read(
        operation="describe_pod_identity_association", params=_ASSOCIATION, path="association"
    ),
    delete=Call(operation="delete_pod_identity_association", params=_ASSOCIATION),
    facets=(
        Facet(
            properties=("roleArn", "targetRoleArn", "disableSessionTags"),
            put=Call(operation="update_pod_identity_association", params=_ASSOCIATION),
            at_creation=False,
        ),
    ),
    filled=("disableSessionTags", "policy"),
    tags=replace(_TAGS, identity=prop("associationArn")),
)

TYPES = (CLUSTER, NODE_GROUP, ADDON, ACCESS_ENTRY, ACCESS_POLICY, POD_IDENTITY)
