"""ElastiCache: replication groups and what they stand on."""

from collections.abc import Iterator
from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
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
from pocket.provider.values import Properties

_GROUP = {"ReplicationGroupId": the_id}


def _tagged(kind: str) -> Tags:
    def arn(subject: Subject) -> str:
        return subject.arn(f"{kind}:{subject.id}")

    return Tags(
        put="add_tags_to_resource",
        remove="remove_tags_from_resource",
        target="ResourceName",
        identity=arn,
        read=Read(operation="list_tags_for_resource", params={"ResourceName": arn}, path="TagList"),
    )


GROUP_NAME = rules.text(
    "name",
    r"(?!.*--)[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]|[A-Za-z]",
    "the name is letters, digits and hyphens, begins with a letter, and has no two hyphens in a row"
    " and none at the end",
)

SUBNET_GROUP = ResourceType(
    token="aws:elasticache/subnetGroup:SubnetGroup",
    service="elasticache",
    create=Call(operation="create_cache_subnet_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_cache_subnet_groups",
        params={"CacheSubnetGroupName": the_id},
        path="CacheSubnetGroups[0]",
    ),
    delete=Call(operation="delete_cache_subnet_group", params={"CacheSubnetGroupName": the_id}),
    name=Name(lower=True),
    names={"name": "CacheSubnetGroupName", "description": "CacheSubnetGroupDescription"},
    facets=(
        Facet(
            properties=("subnetIds", "description"),
            put=Call(
                operation="modify_cache_subnet_group", params={"CacheSubnetGroupName": the_id}
            ),
            at_creation=False,
        ),
    ),
    defaults={"description": "Managed by Pulumi"},
    outputs=lambda subject, found: {
        "arn": found.get("ARN") or subject.arn(f"subnetgroup:{subject.id}"),
        "subnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]],
    },
    tags=_tagged("subnetgroup"),
    rules=(GROUP_NAME, rules.at_least_items("subnetIds", 1, "a cache stands in a subnet")),
)


def _put_parameters(subject: Subject) -> None:
    client, name = subject.client(), subject.id
    wanted = {p["name"]: p["value"] for p in subject.inputs.get("parameters") or ()}
    before = {p["name"]: p["value"] for p in subject.olds.get("parameters") or ()}
    changed = [
        {"ParameterName": key, "ParameterValue": value}
        for key, value in wanted.items()
        if before.get(key) != value
    ]
    gone = [{"ParameterName": key} for key in before if key not in wanted]
    if changed:
        client.modify_cache_parameter_group(
            CacheParameterGroupName=name, ParameterNameValues=changed
        )
    if gone:
        client.reset_cache_parameter_group(CacheParameterGroupName=name, ParameterNameValues=gone)


def _read_parameters(subject: Subject) -> Properties:
    pages = subject.client().get_paginator("describe_cache_parameters")
    found = [
        parameter
        for page in pages.paginate(CacheParameterGroupName=subject.id, Source="user")
        for parameter in page["Parameters"]
    ]
    return {
        "parameters": [{"name": p["ParameterName"], "value": p["ParameterValue"]} for p in found]
    }


PARAMETER_GROUP = ResourceType(
    token="aws:elasticache/parameterGroup:ParameterGroup",
    service="elasticache",
    create=Call(operation="create_cache_parameter_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_cache_parameter_groups",
        params={"CacheParameterGroupName": the_id},
        path="CacheParameterGroups[0]",
    ),
    delete=Call(
        operation="delete_cache_parameter_group", params={"CacheParameterGroupName": the_id}
    ),
    name=Name(lower=True),
    names={"name": "CacheParameterGroupName", "family": "CacheParameterGroupFamily", "arn": "ARN"},
    facets=(Facet(properties=("parameters",), put=_put_parameters, read=_read_parameters),),
    defaults={"description": "Managed by Pulumi"},
    tags=_tagged("parametergroup"),
    rules=(
        GROUP_NAME,
        rules.one_of(
            "family",
            [
                "valkey7",
                "valkey8",
                "redis7",
                "redis6.x",
                "redis5.0",
                "redis4.0",
                "memcached1.6",
                "memcached1.5",
            ],
        ),
    ),
)


def _modify_group(subject: Subject) -> None:
    """Number of caches: up and down have calls of their own, and count replicas."""
    client, wanted = subject.client(), int(subject.inputs.get("numCacheClusters") or 1)
    before = int(subject.olds.get("numCacheClusters") or 1)
    if wanted == before:
        return
    change = client.increase_replica_count if wanted > before else client.decrease_replica_count
    change(ReplicationGroupId=subject.id, NewReplicaCount=wanted - 1, ApplyImmediately=True)


def _put_user_groups(subject: Subject) -> None:
    wanted, before = (
        set(subject.inputs.get("userGroupIds") or ()),
        set(subject.olds.get("userGroupIds") or ()),
    )
    parameters: dict[str, Any] = {"ApplyImmediately": True}
    if wanted - before:
        parameters["UserGroupIdsToAdd"] = sorted(wanted - before)
    if before - wanted:
        parameters["UserGroupIdsToRemove"] = sorted(before - wanted)
    subject.client().modify_replication_group(ReplicationGroupId=subject.id, **parameters)


def _put_users(subject: Subject) -> None:
    wanted, before = (
        set(subject.inputs.get("userIds") or ()),
        set(subject.olds.get("userIds") or ()),
    )
    more = {
        key: sorted(users)
        for key, users in (("UserIdsToAdd", wanted - before), ("UserIdsToRemove", before - wanted))
        if users
    }
    subject.client().modify_user_group(UserGroupId=subject.id, **more)


def _delete_group(subject: Subject) -> None:
    snapshot = subject.get("finalSnapshotIdentifier")
    more = {"FinalSnapshotIdentifier": snapshot} if snapshot else {}
    subject.client().delete_replication_group(ReplicationGroupId=subject.id, **more)


def _group_outputs(subject: Subject, found: Any) -> Properties:
    groups = found.get("NodeGroups") or []
    primary = (groups[0].get("PrimaryEndpoint") if groups else None) or {}
    reader = (groups[0].get("ReaderEndpoint") if groups else None) or {}
    whole = found.get("ConfigurationEndpoint") or {}
    members = found.get("MemberClusters") or []
    return {
        "arn": found.get("ARN") or subject.arn(f"replicationgroup:{subject.id}"),
        "clusterEnabled": bool(found.get("ClusterEnabled")),
        "configurationEndpointAddress": whole.get("Address"),
        "primaryEndpointAddress": primary.get("Address"),
        "readerEndpointAddress": reader.get("Address"),
        "port": whole.get("Port") or primary.get("Port") or subject.get("port"),
        "description": found.get("Description"),
        "memberClusters": members,
        "numCacheClusters": len(members) or subject.get("numCacheClusters"),
        "numNodeGroups": len(groups) or 1,
        "automaticFailoverEnabled": found.get("AutomaticFailover") in ("enabled", "enabling"),
        "multiAzEnabled": found.get("MultiAZ") == "enabled",
        "engineVersionActual": subject.get("engineVersion"),
        "replicasPerNodeGroup": subject.get("replicasPerNodeGroup"),
    }


def _replication_rules(inputs: Properties) -> Iterator[Problem]:
    count = inputs.get("numCacheClusters")
    shards = inputs.get("numNodeGroups")
    if inputs.get("automaticFailoverEnabled") and count == 1:
        yield Problem("numCacheClusters", "automatic failover needs at least 2 caches")
    if inputs.get("multiAzEnabled") and inputs.get("automaticFailoverEnabled") is False:
        yield Problem("multiAzEnabled", "several zones need automaticFailoverEnabled")
    if count is not None and shards is not None:
        yield Problem(
            "numNodeGroups", "only one of numCacheClusters and numNodeGroups may be given"
        )
    if inputs.get("authToken") and inputs.get("transitEncryptionEnabled") is False:
        yield Problem("authToken", "a token needs transitEncryptionEnabled")
    if inputs.get("userGroupIds") and inputs.get("transitEncryptionEnabled") is False:
        yield Problem("userGroupIds", "users need transitEncryptionEnabled")
    if inputs.get("authToken") and inputs.get("userGroupIds"):
        yield Problem("authToken", "only one of authToken and userGroupIds may be given")


_MODIFIED = (
    "automaticFailoverEnabled",
    "autoMinorVersionUpgrade",
    "description",
    "engine",
    "engineVersion",
    "maintenanceWindow",
    "multiAzEnabled",
    "nodeType",
    "notificationTopicArn",
    "parameterGroupName",
    "securityGroupIds",
    "snapshotRetentionLimit",
    "snapshotWindow",
    "transitEncryptionEnabled",
    "transitEncryptionMode",
    "clusterMode",
    "ipDiscovery",
    "authToken",
    "logDeliveryConfigurations",
)

REPLICATION_GROUP = ResourceType(
    token="aws:elasticache/replicationGroup:ReplicationGroup",
    service="elasticache",
    create=Call(operation="create_replication_group"),
    identity=prop("replicationGroupId"),
    read=Read(operation="describe_replication_groups", params=_GROUP, path="ReplicationGroups[0]"),
    delete=_delete_group,
    wait=Wait(path="Status", ready=("available",), failed=("create-failed",)),
    name=Name(property="replicationGroupId", longest=40, lower=True),
    names={
        "description": "ReplicationGroupDescription",
        "nodeType": "CacheNodeType",
        "parameterGroupName": "CacheParameterGroupName",
        "subnetGroupName": "CacheSubnetGroupName",
        "securityGroupNames": "CacheSecurityGroupNames",
        "maintenanceWindow": "PreferredMaintenanceWindow",
        "multiAzEnabled": "MultiAZEnabled",
        "preferredCacheClusterAzs": "PreferredCacheClusterAZs",
        "logDeliveryConfigurations": "LogDeliveryConfigurations",
        "logDeliveryConfigurations.destination": "-",
        "nodeGroupConfigurations.replicaAvailabilityZones": "ReplicaAvailabilityZones",
        "clusterMode": "ClusterMode",
    },
    facets=(
        Facet(
            properties=_MODIFIED,
            put=Call(
                operation="modify_replication_group",
                params={**_GROUP, "ApplyImmediately": True},
                only_changed=True,
            ),
            at_creation=False,
        ),
        Facet(properties=("numCacheClusters",), put=_modify_group, at_creation=False),
        Facet(properties=("userGroupIds",), put=_put_user_groups, at_creation=False),
    ),
    defaults={"engine": "redis", "autoMinorVersionUpgrade": True},
    local=("applyImmediately", "finalSnapshotIdentifier", "authTokenUpdateStrategy"),
    hidden=(
        "port",  # an endpoint on this machine listens where there is room
        "authToken",
        "authTokenWo",
        "engine",
        "engineVersion",
        "maintenanceWindow",
        "parameterGroupName",
        "securityGroupIds",
        "subnetGroupName",
        "preferredCacheClusterAzs",
        "autoMinorVersionUpgrade",
        "snapshotWindow",
        "notificationTopicArn",
        "logDeliveryConfigurations",
        "userGroupIds",
        "networkType",
        "ipDiscovery",
        "transitEncryptionMode",
    ),
    secrets=("authToken", "authTokenWo"),
    filled=(
        "atRestEncryptionEnabled",
        "clusterMode",
        "dataTieringEnabled",
        "engineVersion",
        "globalReplicationGroupId",
        "ipDiscovery",
        "kmsKeyId",
        "maintenanceWindow",
        "multiAzEnabled",
        "networkType",
        "nodeGroupConfigurations",
        "nodeType",
        "numCacheClusters",
        "numNodeGroups",
        "parameterGroupName",
        "port",
        "replicasPerNodeGroup",
        "securityGroupIds",
        "snapshotWindow",
        "subnetGroupName",
        "transitEncryptionEnabled",
        "transitEncryptionMode",
        "automaticFailoverEnabled",
        "durability",
    ),
    outputs=_group_outputs,
    tags=_tagged("replicationgroup"),
    rules=(
        rules.one_of("engine", ("redis", "valkey")),
        rules.at_most("replicationGroupId", 40),
        rules.text(
            "replicationGroupId",
            r"(?!.*--)[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]|[A-Za-z]",
            "the id is at most 40 letters, digits and hyphens, begins with a letter, and has no two"
            " hyphens in a row and none at the end",
        ),
        rules.text(
            "nodeType", r"cache\.[a-z0-9]+\.[a-z0-9]+", "a node type is like cache.t4g.micro"
        ),
        rules.number("snapshotRetentionLimit", 0, 35),
        rules.number("numCacheClusters", 1, 6),
        rules.number("port", 1, 65535),
        rules.text(
            "authToken",
            r"[!#-.0-?A-~]{16,128}",
            "a token has 16 to 128 printable characters without spaces, quotes, / and @",
        ),
        _replication_rules,
    ),
)

USER = ResourceType(
    token="aws:elasticache/user:User",
    service="elasticache",
    create=Call(operation="create_user"),
    identity=prop("userId"),
    read=Read(operation="describe_users", params={"UserId": the_id}, path="Users[0]"),
    delete=Call(operation="delete_user", params={"UserId": the_id}),
    wait=Wait(path="Status", ready=("active",)),
    names={"authenticationMode.passwordCount": "-", "arn": "ARN"},
    facets=(
        Facet(
            properties=("accessString", "authenticationMode", "passwords", "noPasswordRequired"),
            put=Call(operation="modify_user", params={"UserId": the_id}, only_changed=True),
            at_creation=False,
        ),
    ),
    hidden=("authenticationMode", "passwords", "noPasswordRequired", "passwordsWo"),
    secrets=("passwords", "passwordsWo"),
    filled=("authenticationMode", "noPasswordRequired"),
    tags=_tagged("user"),
    rules=(
        rules.one_of("engine", ("redis", "valkey", "REDIS", "VALKEY")),
        rules.text("accessString", r"(on|off)\b.*", "an access string begins with on or off"),
    ),
    normal={"engine": str.lower},
)

USER_GROUP = ResourceType(
    token="aws:elasticache/userGroup:UserGroup",
    service="elasticache",
    create=Call(operation="create_user_group"),
    identity=prop("userGroupId"),
    read=Read(
        operation="describe_user_groups", params={"UserGroupId": the_id}, path="UserGroups[0]"
    ),
    delete=Call(operation="delete_user_group", params={"UserGroupId": the_id}),
    wait=Wait(path="Status", ready=("active",)),
    names={"arn": "ARN"},
    facets=(Facet(properties=("userIds",), put=_put_users, at_creation=False),),
    tags=_tagged("usergroup"),
    rules=(rules.one_of("engine", ("redis", "valkey", "REDIS", "VALKEY")),),
    normal={"engine": str.lower},
)

TYPES = (SUBNET_GROUP, PARAMETER_GROUP, REPLICATION_GROUP, USER, USER_GROUP)
