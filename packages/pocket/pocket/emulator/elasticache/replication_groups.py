"""Changes to a replication group: moto takes a third of its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup
from moto.elasticache.responses import ElastiCacheResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import add, replace
from pocket.emulator.core.tables import Resource
from pocket.emulator.elasticache.faults import refusal
from pocket.emulator.elasticache.parameter_groups import parameter_group_of
from pocket.emulator.elasticache.servers import server_name
from pocket.emulator.elasticache.users import user_group_of

# ModifyReplicationGroup's parameters that only change what DescribeReplicationGroups shows.
_SHOWN = {
    "ReplicationGroupDescription": "description",
    "Engine": "engine",
    "EngineVersion": "engine_version",
    "CacheNodeType": "cache_node_type",
    "SnapshotRetentionLimit": "snapshot_retention_limit",
    "SnapshotWindow": "snapshot_window",
    "PreferredMaintenanceWindow": "preferred_maintenance_window",
    "NotificationTopicArn": "notification_topic_arn",
    "CacheParameterGroupName": "cache_parameter_group_name",
    "SecurityGroupIds": "security_group_ids",
    "AutoMinorVersionUpgrade": "auto_minor_version_upgrade",
    "TransitEncryptionEnabled": "transit_encryption_enabled",
    "TransitEncryptionMode": "transit_encryption_mode",
    "IpDiscovery": "ip_discovery",
    "ClusterMode": "cluster_mode",
}


def take_changes(context: Context) -> None:
    @replace(ElastiCacheResponse, "modify_replication_group")
    def modify(original: Callable[..., Any], self: ElastiCacheResponse) -> ActionResult:
        backend, asked = self.elasticache_backend, self._get_params()
        (group,) = backend.describe_replication_groups(asked["ReplicationGroupId"])
        _refuse_going_back(group, asked)
        name = asked.get("CacheParameterGroupName")
        if name:
            parameter_group_of(backend, name)
        for parameter, attribute in _SHOWN.items():
            if parameter in asked:
                setattr(group, attribute, _typed(asked[parameter], getattr(group, attribute)))
        for parameter, attribute in (
            ("AutomaticFailoverEnabled", "automatic_failover"),
            ("MultiAZEnabled", "multi_az"),
        ):
            wanted = self._get_bool_param(parameter)
            if wanted is not None:
                setattr(group, attribute, "enabled" if wanted else "disabled")
        _change_token(context, backend, group, asked)
        _change_user_groups(backend, group, asked)
        return ActionResult({"ReplicationGroup": group})

    for operation, step in (("increase_replica_count", 1), ("decrease_replica_count", -1)):
        add(ElastiCacheResponse, _replica_change(operation, step))


def _refuse_going_back(group: ReplicationGroup, asked: Resource) -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/VersionManagement.HowTo.html"""
    engine = asked.get("Engine") or group.engine
    if (group.engine, engine) == ("valkey", "redis"):
        raise refusal("InvalidParameterCombination", "Modifying valkey to redis is not supported.")
    version, standing = asked.get("EngineVersion"), group.engine_version
    if version and standing and engine == group.engine:
        wanted, there = (
            [int(part) for part in text.split(".") if part.isdigit()]
            for text in (version, standing)
        )
        if wanted < there[: len(wanted)]:
            raise refusal(
                "InvalidParameterCombination",
                f"Cannot modify {engine} from {standing} to {version}: no version is taken back.",
            )


def _typed(value: Any, former: Any) -> Any:
    """A query's text as the type that the attribute had."""
    if isinstance(former, bool) and isinstance(value, str):
        return value.lower() == "true"
    if isinstance(former, int) and isinstance(value, str):
        return int(value)
    return value


def _change_token(
    context: Context, backend: ElastiCacheBackend, group: ReplicationGroup, asked: Resource
) -> None:
    token = asked.get("AuthToken")
    if token:
        context.redis.set_password(server_name(backend, group.replication_group_id), token)
        group.auth_token_enabled = True


def _change_user_groups(
    backend: ElastiCacheBackend, group: ReplicationGroup, asked: Resource
) -> None:
    removed = set(asked.get("UserGroupIdsToRemove") or [])
    if str(asked.get("RemoveUserGroups", "")).lower() == "true":
        removed = set(group.user_group_ids)
    added = asked.get("UserGroupIdsToAdd") or []
    for name in added:
        user_group_of(backend, name)["ReplicationGroups"].append(group.replication_group_id)
    for name in removed:
        users = user_group_of(backend, name)["ReplicationGroups"]
        users[:] = [one for one in users if one != group.replication_group_id]
    group.user_group_ids = [
        *(name for name in group.user_group_ids if name not in removed),
        *added,
    ]


def _replica_change(operation: str, step: int) -> Callable[[ElastiCacheResponse], ActionResult]:
    def change(self: ElastiCacheResponse) -> ActionResult:
        backend, asked = self.elasticache_backend, self._get_params()
        (group,) = backend.describe_replication_groups(asked["ReplicationGroupId"])
        wanted = int(asked["NewReplicaCount"])
        (node_group, *_) = group.node_groups
        members = node_group["node_group_members"]
        if (wanted + 1 - len(members)) * step <= 0:
            raise refusal(
                "InvalidParameterValue", f"NewReplicaCount {wanted} does not fit {operation}."
            )
        while len(members) > wanted + 1:
            members.pop()
        while len(members) < wanted + 1:
            number = len(members) + 1
            name = f"{group.replication_group_id}-{number:03d}"
            members.append({**members[0], "cache_cluster_id": name, "current_role": "replica"})
        group.member_clusters[:] = [member["cache_cluster_id"] for member in members]
        return ActionResult({"ReplicationGroup": group})

    change.__name__ = operation
    return change
