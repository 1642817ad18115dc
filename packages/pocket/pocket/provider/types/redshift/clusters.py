"""Clusters."""

from collections.abc import Iterator
from typing import Any

from pocket.provider import rules
from pocket.provider.resource import Call, Facet, Hook, Read, ResourceType, Subject, Wait, prop
from pocket.provider.shapes import Problem
from pocket.provider.types.redshift.words import (
    NODE_TYPES,
    OF_CLUSTER,
    RESERVED,
    SINGLE_REFUSED,
    tagged,
)
from pocket.provider.values import UNKNOWN, Properties


def _nodes(subject: Subject) -> int | None:
    return subject.inputs.get("numberOfNodes") if _cluster_type(subject) == "multi-node" else None


def _cluster_type(subject: Subject) -> str:
    return "multi-node" if int(subject.inputs.get("numberOfNodes") or 1) > 1 else "single-node"


def _encrypted(subject: Subject) -> bool | None:
    wanted = subject.inputs.get("encrypted")
    return None if wanted is None else str(wanted).lower() == "true"


def _resize(subject: Subject) -> None:
    parameters: dict[str, Any] = {
        "ClusterType": _cluster_type(subject),
        "NodeType": subject.inputs["nodeType"],
    }
    nodes = _nodes(subject)
    if nodes:
        parameters["NumberOfNodes"] = nodes
    subject.client().modify_cluster(ClusterIdentifier=subject.id, **parameters)


def _modify_roles(subject: Subject) -> None:
    wanted, before = (
        set(subject.inputs.get("iamRoles") or ()),
        set(subject.olds.get("iamRoles") or ()),
    )
    default = subject.inputs.get("defaultIamRoleArn")
    more = {"DefaultIamRoleArn": default} if default else {}
    subject.client().modify_cluster_iam_roles(
        ClusterIdentifier=subject.id,
        AddIamRoles=sorted(wanted - before),
        RemoveIamRoles=sorted(before - wanted),
        **more,
    )


def _delete_cluster(subject: Subject) -> None:
    snapshot = subject.get("finalSnapshotIdentifier")
    skip = bool(subject.get("skipFinalSnapshot", False)) or not snapshot
    more = {} if skip else {"FinalClusterSnapshotIdentifier": snapshot}
    subject.client().delete_cluster(
        ClusterIdentifier=subject.id, SkipFinalClusterSnapshot=skip, **more
    )


def _cluster_outputs(subject: Subject, found: Any) -> Properties:
    endpoint = found.get("Endpoint") or {}
    host, port = endpoint.get("Address"), endpoint.get("Port") or found.get("Port")
    groups = found.get("ClusterParameterGroups") or []
    return {
        "arn": subject.arn(f"cluster:{subject.id}"),
        "clusterType": "multi-node" if found.get("NumberOfNodes", 1) > 1 else "single-node",
        "databaseName": found.get("DBName"),
        "dnsName": host,
        "endpoint": f"{host}:{port}" if host else None,
        "port": port,
        "encrypted": "true" if found.get("Encrypted") else "false",
        "iamRoles": [role["IamRoleArn"] for role in found.get("IamRoles") or []],
        "vpcSecurityGroupIds": [
            group["VpcSecurityGroupId"] for group in found.get("VpcSecurityGroups") or []
        ],
        "clusterParameterGroupName": groups[0]["ParameterGroupName"] if groups else None,
        "multiAz": str(found.get("MultiAZ", "")).lower() in ("enabled", "true"),
        "availabilityZoneRelocationEnabled": found.get("AvailabilityZoneRelocationStatus")
        == "enabled",
        "manageMasterPassword": True if found.get("MasterPasswordSecretArn") else None,
    }


def _cluster_rules(inputs: Properties) -> Iterator[Problem]:
    node, count = inputs.get("nodeType"), inputs.get("numberOfNodes", 1)
    if node in SINGLE_REFUSED and count == 1:
        yield Problem("numberOfNodes", f"a cluster of {node} has at least 2 nodes")
    if inputs.get("clusterType") == "multi-node" and count == 1:
        yield Problem("numberOfNodes", "a multi-node cluster has at least 2 nodes")
    if inputs.get("clusterType") == "single-node" and isinstance(count, int) and count > 1:
        yield Problem("clusterType", f"a cluster of {count} nodes is multi-node")
    if inputs.get("masterPassword") and inputs.get("manageMasterPassword"):
        yield Problem("masterPassword", "leave it out where AWS manages it (manageMasterPassword)")
    if inputs.get("encrypted") == "false" and inputs.get("kmsKeyId"):
        yield Problem("encrypted", "must be true where kmsKeyId names a key")
    user = inputs.get("masterUsername")
    if isinstance(user, str) and user != UNKNOWN and user.lower() in RESERVED:
        yield Problem("masterUsername", f'"{user}" is a reserved word of Redshift')


_MODIFIED = (
    "allowVersionUpgrade",
    "automatedSnapshotRetentionPeriod",
    "availabilityZoneRelocationEnabled",
    "clusterParameterGroupName",
    "clusterVersion",
    "enhancedVpcRouting",
    "maintenanceTrackName",
    "manageMasterPassword",
    "manualSnapshotRetentionPeriod",
    "masterPassword",
    "masterPasswordSecretKmsKeyId",
    "multiAz",
    "port",
    "preferredMaintenanceWindow",
    "publiclyAccessible",
    "vpcSecurityGroupIds",
)


def _modify_encryption() -> Hook:
    return lambda subject: subject.client().modify_cluster(
        ClusterIdentifier=subject.id,
        Encrypted=bool(_encrypted(subject)),
        **({"KmsKeyId": key} if (key := subject.inputs.get("kmsKeyId")) else {}),
    )


CLUSTER = ResourceType(
    token="aws:redshift/cluster:Cluster",
    service="redshift",
    create=Call(
        operation="create_cluster",
        params={
            "ClusterType": _cluster_type,
            "NumberOfNodes": _nodes,
            "Encrypted": _encrypted,
        },
    ),
    identity=prop("clusterIdentifier"),
    read=Read(operation="describe_clusters", params=OF_CLUSTER, path="Clusters[0]"),
    delete=_delete_cluster,
    wait=Wait(
        path="ClusterStatus",
        ready=("available", "available, prep-for-resize", "available, resize-cleanup"),
        failed=("hardware-failure", "incompatible-network", "storage-full"),
    ),
    names={
        "databaseName": "DBName",
        "masterPassword": "MasterUserPassword",
        "availabilityZoneRelocationEnabled": "AvailabilityZoneRelocation",
        "multiAz": "MultiAZ",
        "encrypted": "-",
        "clusterType": "-",
        "numberOfNodes": "NumberOfNodes",
        "ownerAccount": "-",
        "snapshotIdentifier": "-",
    },
    facets=(
        Facet(
            properties=_MODIFIED,
            put=Call(operation="modify_cluster", params=OF_CLUSTER, only_changed=True),
            at_creation=False,
        ),
        Facet(
            properties=("nodeType", "numberOfNodes", "clusterType"), put=_resize, at_creation=False
        ),
        Facet(properties=("encrypted", "kmsKeyId"), put=_modify_encryption(), at_creation=False),
        Facet(properties=("iamRoles", "defaultIamRoleArn"), put=_modify_roles, at_creation=False),
    ),
    defaults={
        "allowVersionUpgrade": True,
        "automatedSnapshotRetentionPeriod": 1,
        "clusterVersion": "1.0",
        "encrypted": "true",
        "numberOfNodes": 1,
        "port": 5439,
        "publiclyAccessible": False,
        "skipFinalSnapshot": False,
    },
    local=("skipFinalSnapshot", "finalSnapshotIdentifier", "applyImmediately"),
    hidden=(
        "masterPassword",
        "manageMasterPassword",
        "masterPasswordWo",
        "masterPasswordWoVersion",
        "defaultIamRoleArn",
        "masterPasswordSecretKmsKeyId",
    ),
    secrets=("masterPassword", "masterPasswordWo"),
    filled=(
        "clusterType",
        "availabilityZone",
        "clusterParameterGroupName",
        "clusterSubnetGroupName",
        "databaseName",
        "enhancedVpcRouting",
        "iamRoles",
        "kmsKeyId",
        "maintenanceTrackName",
        "manualSnapshotRetentionPeriod",
        "masterUsername",
        "multiAz",
        "preferredMaintenanceWindow",
        "vpcSecurityGroupIds",
        "availabilityZoneRelocationEnabled",
        "aquaConfigurationStatus",
    ),
    normal={
        "preferredMaintenanceWindow": str.lower,
        "encrypted": lambda value: str(value).lower(),
        "kmsKeyId": lambda value: value.rsplit("/", 1)[-1],
    },
    outputs=_cluster_outputs,
    volatile=("masterPasswordSecretArn",),
    tags=tagged("cluster"),
    rules=(
        rules.one_of("nodeType", NODE_TYPES),
        rules.text(
            "clusterIdentifier",
            r"(?!.*--)[a-z][a-z0-9-]{0,61}[a-z0-9]|[a-z]",
            "the identifier is 1 to 63 lower-case letters, digits and hyphens, begins with a"
            " letter, and has no two hyphens in a row and none at the end",
        ),
        rules.text(
            "databaseName",
            r"[a-z_][a-z0-9_$]{0,63}",
            "a database's name is up to 64 lower-case letters, digits, underscores and dollar"
            " signs, and begins with a letter or underscore",
        ),
        rules.text(
            "masterUsername",
            r"[a-z_][a-z0-9_+.@-]{0,127}",
            "a user's name is up to 128 lower-case letters, digits and _ + . @ -, and begins with"
            " a letter or underscore",
        ),
        rules.password("masterPassword"),
        rules.number("automatedSnapshotRetentionPeriod", 0, 35),
        rules.number("numberOfNodes", 1, 100),
        rules.number("port", 1115, 65535),
        _cluster_rules,
    ),
)
