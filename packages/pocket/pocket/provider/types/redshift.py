"""Redshift: provisioned clusters, what they stand on, and their audit logs."""

from collections.abc import Iterator
from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Hook,
    Name,
    Read,
    ResourceType,
    Subject,
    Tags,
    Wait,
    prop,
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import UNKNOWN, Properties

NODE_TYPES = [
    "ra3.large",
    "ra3.xlplus",
    "ra3.4xlarge",
    "ra3.16xlarge",
    "dc2.large",
    "dc2.8xlarge",
    "ds2.xlarge",
    "ds2.8xlarge",
    "rg.xlarge",
    "rg.4xlarge",
]
_SINGLE_REFUSED = ("ra3.4xlarge", "ra3.16xlarge", "dc2.8xlarge", "ds2.8xlarge", "rg.4xlarge")
_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "authorization",
        "between",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "column",
        "constraint",
        "create",
        "cross",
        "current_date",
        "default",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "in",
        "inner",
        "into",
        "is",
        "join",
        "leading",
        "left",
        "like",
        "limit",
        "new",
        "not",
        "null",
        "off",
        "offset",
        "old",
        "on",
        "only",
        "open",
        "or",
        "order",
        "outer",
        "primary",
        "references",
        "right",
        "select",
        "session_user",
        "some",
        "sysdate",
        "system",
        "table",
        "tag",
        "then",
        "to",
        "top",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "when",
        "where",
        "with",
    ]
)
_CLUSTER = {"ClusterIdentifier": the_id}


def _tagged(kind: str) -> Tags:
    """Redshift's tags: added and removed by ARN, read in the description."""

    def arn(subject: Subject) -> str:
        return subject.arn(f"{kind}:{subject.id}")

    return Tags(put="create_tags", remove="delete_tags", target="ResourceName", identity=arn)


def _arn(kind: str) -> Any:
    return lambda subject, found: {"arn": subject.arn(f"{kind}:{subject.id}")}


GROUP_NAME = rules.text(
    "name",
    r"(?!.*--)(?!default$)[a-z][a-z0-9.-]*[a-z0-9]|[a-z]",
    "the name is lower-case letters, digits and hyphens, begins with a letter and has no two"
    " hyphens in a row",
)

SUBNET_GROUP = ResourceType(
    token="aws:redshift/subnetGroup:SubnetGroup",
    service="redshift",
    create=Call(operation="create_cluster_subnet_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_cluster_subnet_groups",
        params={"ClusterSubnetGroupName": the_id},
        path="ClusterSubnetGroups[0]",
    ),
    delete=Call(operation="delete_cluster_subnet_group", params={"ClusterSubnetGroupName": the_id}),
    name=Name(lower=True),
    names={"name": "ClusterSubnetGroupName"},
    facets=(
        Facet(
            properties=("subnetIds", "description"),
            put=Call(
                operation="modify_cluster_subnet_group",
                params={"ClusterSubnetGroupName": the_id},
            ),
            at_creation=False,
        ),
    ),
    defaults={"description": "Managed by Pulumi"},
    outputs=lambda subject, found: {
        **_arn("subnetgroup")(subject, found),
        "subnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]],
    },
    tags=_tagged("subnetgroup"),
    rules=(
        GROUP_NAME,
        rules.at_least_items("subnetIds", 1, "a cluster stands in a subnet"),
    ),
)


def _put_parameters(subject: Subject) -> None:
    """Write the parameters that changed, and reset those no longer wanted."""
    client, name = subject.client(), subject.id
    wanted = {p["name"]: p["value"] for p in subject.inputs.get("parameters") or ()}
    before = {p["name"]: p["value"] for p in subject.olds.get("parameters") or ()}
    changed = [
        {"ParameterName": key, "ParameterValue": value, "ApplyType": "static"}
        for key, value in wanted.items()
        if before.get(key) != value
    ]
    gone = [{"ParameterName": key} for key in before if key not in wanted]
    if changed:
        client.modify_cluster_parameter_group(ParameterGroupName=name, Parameters=changed)
    if gone:
        client.reset_cluster_parameter_group(ParameterGroupName=name, Parameters=gone)


def _read_parameters(subject: Subject) -> Properties:
    pages = subject.client().get_paginator("describe_cluster_parameters")
    found = [
        parameter
        for page in pages.paginate(ParameterGroupName=subject.id, Source="user")
        for parameter in page["Parameters"]
        if parameter.get("Source") == "user"
    ]
    return {
        "parameters": [{"name": p["ParameterName"], "value": p["ParameterValue"]} for p in found]
    }


PARAMETER_GROUP = ResourceType(
    token="aws:redshift/parameterGroup:ParameterGroup",
    service="redshift",
    create=Call(operation="create_cluster_parameter_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_cluster_parameter_groups",
        params={"ParameterGroupName": the_id},
        path="ParameterGroups[0]",
    ),
    delete=Call(operation="delete_cluster_parameter_group", params={"ParameterGroupName": the_id}),
    name=Name(lower=True),
    names={"name": "ParameterGroupName", "family": "ParameterGroupFamily"},
    facets=(Facet(properties=("parameters",), put=_put_parameters, read=_read_parameters),),
    defaults={"description": "Managed by Pulumi"},
    outputs=_arn("parametergroup"),
    tags=_tagged("parametergroup"),
    rules=(GROUP_NAME, rules.one_of("family", ("redshift-1.0", "redshift-2.0"))),
)


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
    if node in _SINGLE_REFUSED and count == 1:
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
    if isinstance(user, str) and user != UNKNOWN and user.lower() in _RESERVED:
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
    read=Read(operation="describe_clusters", params=_CLUSTER, path="Clusters[0]"),
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
            put=Call(operation="modify_cluster", params=_CLUSTER, only_changed=True),
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
    tags=_tagged("cluster"),
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


def _logging_outputs(subject: Subject, found: Any) -> Properties:
    return {
        "clusterIdentifier": subject.id,
        "logDestinationType": found.get("LogDestinationType")
        or ("s3" if found.get("BucketName") else None),
        "s3KeyPrefix": found.get("S3KeyPrefix") or None,
    }


_ENABLE_LOGGING = Call(
    operation="enable_logging", params={"ClusterIdentifier": prop("clusterIdentifier")}
)

LOGGING = ResourceType(
    token="aws:redshift/logging:Logging",
    setting=True,
    service="redshift",
    create=_ENABLE_LOGGING,
    identity=prop("clusterIdentifier"),
    read=Read(
        operation="describe_logging_status",
        params=_CLUSTER,
        path="LoggingEnabled && @",
    ),
    delete=Call(operation="disable_logging", params=_CLUSTER),
    facets=(
        Facet(
            properties=("bucketName", "logDestinationType", "logExports", "s3KeyPrefix"),
            put=_ENABLE_LOGGING,
            at_creation=False,
        ),
    ),
    outputs=_logging_outputs,
    filled=("logDestinationType", "s3KeyPrefix"),
    hidden=("logDestinationType", "logExports"),
    rules=(
        lambda inputs: (
            [Problem("bucketName", "logs that go to S3 need a bucketName")]
            if inputs.get("logDestinationType", "s3") == "s3"
            and "bucketName" not in inputs
            and "logExports" not in inputs
            else ()
        ),
    ),
)

TYPES = (SUBNET_GROUP, PARAMETER_GROUP, CLUSTER, LOGGING)
