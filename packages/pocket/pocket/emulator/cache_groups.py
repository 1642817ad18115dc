"""ElastiCache's parameter groups, users and user groups, and changes to what exists.

moto has none of the groups, modifies a third of a replication group's settings and cannot delete a
subnet group. The users of a replication group's user group are the ACL of the Redis behind it, with
their passwords and access strings; who signs in with an IAM role is let in with any password, for
Redis itself cannot check AWS's token.

Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.models import (
    CacheSubnetGroup,
    ElastiCacheBackend,
    ReplicationGroup,
    User,
)
from moto.elasticache.responses import ElastiCacheResponse

from pocket.emulator.cache import server_name
from pocket.emulator.context import Context
from pocket.emulator.patching import add, replace
from pocket.emulator.tables import Resource, arn, table
from pocket.errors import ProcessError

_FAMILIES = (
    "redis6.x",
    "redis7",
    "valkey7",
    "valkey8",
    "memcached1.6",
)

# name -> (default, data type, allowed values, static or dynamic)
_PARAMETERS: dict[str, tuple[str, str, str, str]] = {
    "activedefrag": ("no", "string", "yes,no", "immediate"),
    "activerehashing": ("yes", "string", "yes,no", "requires-reboot"),
    "appendonly": ("no", "string", "yes,no", "immediate"),
    "client-output-buffer-limit-normal-hard-limit": ("0", "integer", "0-", "immediate"),
    "cluster-enabled": ("no", "string", "yes,no", "requires-reboot"),
    "databases": ("16", "integer", "1-1200000", "requires-reboot"),
    "lazyfree-lazy-eviction": ("no", "string", "yes,no", "immediate"),
    "maxmemory-policy": (
        "volatile-lru",
        "string",
        (
            "volatile-lru,allkeys-lru,volatile-lfu,allkeys-lfu,volatile-random,allkeys-random,"
            "volatile-ttl,noeviction"
        ),
        "immediate",
    ),
    "maxmemory-samples": ("3", "integer", "1-", "immediate"),
    "notify-keyspace-events": ("", "string", "", "immediate"),
    "reserved-memory-percent": ("25", "integer", "0-100", "immediate"),
    "slowlog-log-slower-than": ("10000", "integer", "-1-", "immediate"),
    "slowlog-max-len": ("128", "integer", "0-", "immediate"),
    "tcp-keepalive": ("300", "integer", "0-", "immediate"),
    "timeout": ("0", "integer", "0,20-", "immediate"),
}

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


def install(context: Context) -> None:
    """Give ElastiCache the groups and changes that it lacks."""
    for operation in _OPERATIONS:
        add(ElastiCacheResponse, operation)
    _modify_replication_group(context)
    _let_users_in(context)
    _tagging()


def _fault(code: str, message: str) -> ElastiCacheException:
    return ElastiCacheException(code, message)


# -- parameter groups
# -------------------------------------------------------------------------------


def _parameter_groups(backend: ElastiCacheBackend) -> dict[str, Resource]:
    groups = table(backend, "parameter_groups")
    if not groups:
        for family in _FAMILIES:
            _new_parameter_group(backend, f"default.{family}", family, f"Default for {family}")
    return groups


def _new_parameter_group(
    backend: ElastiCacheBackend, name: str, family: str, description: str
) -> Resource:
    group = {
        "CacheParameterGroupName": name,
        "CacheParameterGroupFamily": family,
        "Description": description,
        "IsGlobal": False,
        "ARN": arn(backend, "elasticache", f"parametergroup:{name}"),
        "values": {},
    }
    table(backend, "parameter_groups")[name] = group
    return group


def _parameter_group(backend: ElastiCacheBackend, name: str) -> Resource:
    group = _parameter_groups(backend).get(name)
    if group is None:
        raise _fault("CacheParameterGroupNotFound", f"CacheParameterGroup {name} not found.")
    return group


def create_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    backend, asked = self.elasticache_backend, self._get_params()
    name, family = asked["CacheParameterGroupName"].lower(), asked["CacheParameterGroupFamily"]
    if name in _parameter_groups(backend):
        raise _fault(
            "CacheParameterGroupAlreadyExists", f"Cache parameter group {name} already exists."
        )
    if family not in _FAMILIES:
        raise _fault(
            "InvalidParameterValue",
            f"CacheParameterGroupFamily {family} is not a valid parameter group family.",
        )
    group = _new_parameter_group(backend, name, family, asked["Description"])
    backend.tagging_service.tag_resource(group["ARN"], asked.get("Tags") or [])
    return ActionResult({"CacheParameterGroup": group})


def describe_cache_parameter_groups(self: ElastiCacheResponse) -> ActionResult:
    backend, name = self.elasticache_backend, self._get_param("CacheParameterGroupName")
    groups = [_parameter_group(backend, name)] if name else [*_parameter_groups(backend).values()]
    return ActionResult({"CacheParameterGroups": groups})


def modify_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    asked = self._get_params()
    group = _parameter_group(self.elasticache_backend, asked["CacheParameterGroupName"])
    _refuse_default(group)
    changes = {
        item["ParameterName"]: item["ParameterValue"] for item in asked["ParameterNameValues"]
    }
    for name, value in changes.items():
        _check_parameter(name, value)
    group["values"].update(changes)
    return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})


def reset_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    asked = self._get_params()
    group = _parameter_group(self.elasticache_backend, asked["CacheParameterGroupName"])
    _refuse_default(group)
    if self._get_bool_param("ResetAllParameters"):
        group["values"].clear()
    for item in asked.get("ParameterNameValues") or []:
        group["values"].pop(item["ParameterName"], None)
    return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})


def describe_cache_parameters(self: ElastiCacheResponse) -> ActionResult:
    asked = self._get_params()
    group = _parameter_group(self.elasticache_backend, asked["CacheParameterGroupName"])
    parameters = [
        {
            "ParameterName": name,
            "ParameterValue": group["values"].get(name, default),
            "Source": "user" if name in group["values"] else "system",
            "DataType": kind,
            "AllowedValues": allowed,
            "IsModifiable": True,
            "MinimumEngineVersion": "6.0.0",
            "ChangeType": change,
        }
        for name, (default, kind, allowed, change) in _PARAMETERS.items()
    ]
    source = asked.get("Source")
    return ActionResult(
        {"Parameters": [item for item in parameters if source in (None, item["Source"])]}
    )


def delete_cache_parameter_group(self: ElastiCacheResponse) -> EmptyResult:
    backend, name = self.elasticache_backend, self._get_param("CacheParameterGroupName")
    group = _parameter_group(backend, name)
    _refuse_default(group)
    users = [
        one.replication_group_id
        for one in backend.replication_groups.values()
        if one.cache_parameter_group_name == name
    ]
    if users:
        raise _fault(
            "InvalidCacheParameterGroupState",
            f"Cache parameter group {name} is used by {', '.join(users)}.",
        )
    del _parameter_groups(backend)[name]
    backend.tagging_service.delete_all_tags_for_resource(group["ARN"])
    return EmptyResult()


def _refuse_default(group: Resource) -> None:
    if group["CacheParameterGroupName"].startswith("default."):
        raise _fault("InvalidParameterValue", "A default cache parameter group cannot be changed.")


def _check_parameter(name: str, value: str) -> None:
    if name not in _PARAMETERS:
        raise _fault("InvalidParameterValue", f"Unknown parameter: {name}")
    _, kind, allowed, _ = _PARAMETERS[name]
    choices = allowed.split(",") if allowed else []
    if kind == "string" and choices and value not in choices:
        raise _fault(
            "InvalidParameterValue", f"The value {value} of {name} is not one of {allowed}."
        )
    if kind == "integer" and not value.removeprefix("-").isdigit():
        raise _fault("InvalidParameterValue", f"The value {value} of {name} is not an integer.")


# -- subnet groups
# ----------------------------------------------------------------------------------


def modify_cache_subnet_group(self: ElastiCacheResponse) -> ActionResult:
    backend, asked = self.elasticache_backend, self._get_params()
    (group,) = backend.describe_cache_subnet_groups(asked["CacheSubnetGroupName"])
    changed = CacheSubnetGroup(
        account_id=backend.account_id,
        region_name=backend.region_name,
        cache_subnet_group_name=group.cache_subnet_group_name,
        cache_subnet_group_description=asked.get("CacheSubnetGroupDescription")
        or group.cache_subnet_group_description,
        subnet_ids=asked.get("SubnetIds") or group.subnet_ids,
        tags=group.tags,
    )
    backend.cache_subnet_groups[group.cache_subnet_group_name] = changed
    return ActionResult({"CacheSubnetGroup": changed})


def delete_cache_subnet_group(self: ElastiCacheResponse) -> EmptyResult:
    backend, name = self.elasticache_backend, self._get_param("CacheSubnetGroupName")
    (group,) = backend.describe_cache_subnet_groups(name)
    used = [*backend.replication_groups.values(), *backend.cache_clusters.values()]
    if any(one.cache_subnet_group_name == name for one in used):
        raise _fault("CacheSubnetGroupInUse", f"Cache subnet group {name} is currently in use.")
    del backend.cache_subnet_groups[name]
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    return EmptyResult()


# -- users and user groups
# --------------------------------------------------------------------------


def modify_user(self: ElastiCacheResponse) -> ActionResult:
    asked = self._get_params()
    (user,) = self.elasticache_backend.describe_users(asked["UserId"])
    mode = asked.get("AuthenticationMode") or {}
    passwords = asked.get("Passwords") or mode.get("Passwords")
    if passwords:
        if any(not 16 <= len(password) <= 128 for password in passwords):
            raise _fault(
                "InvalidParameterValue", "Passwords length must be between 16-128 characters."
            )
        user.passwords, user.no_password_required = passwords, False
        user.authentication_type = "password"
    if self._get_bool_param("NoPasswordRequired") or mode.get("Type") == "no-password-required":
        user.passwords, user.no_password_required = [], True
    if asked.get("AccessString"):
        user.access_string = asked["AccessString"]
    if asked.get("AppendAccessString"):
        user.access_string += f" {asked['AppendAccessString']}"
    return ActionResult(user)


def _user_group(backend: ElastiCacheBackend, name: str) -> Resource:
    group = table(backend, "user_groups").get(name)
    if group is None:
        raise _fault("UserGroupNotFound", f"User group {name} not found.")
    return group


def create_user_group(self: ElastiCacheResponse) -> ActionResult:
    backend, asked = self.elasticache_backend, self._get_params()
    name = asked["UserGroupId"]
    if name in table(backend, "user_groups"):
        raise _fault("UserGroupAlreadyExists", f"User group {name} already exists.")
    group = {
        "UserGroupId": name,
        "Status": "active",
        "Engine": asked["Engine"].lower(),
        "UserIds": [],
        "MinimumEngineVersion": "6.0",
        "ReplicationGroups": [],
        "ServerlessCaches": [],
        "ARN": arn(backend, "elasticache", f"usergroup:{name}"),
    }
    _set_users(backend, group, asked.get("UserIds") or [])
    table(backend, "user_groups")[name] = group
    backend.tagging_service.tag_resource(group["ARN"], asked.get("Tags") or [])
    return ActionResult(group)


def describe_user_groups(self: ElastiCacheResponse) -> ActionResult:
    backend, name = self.elasticache_backend, self._get_param("UserGroupId")
    groups = [_user_group(backend, name)] if name else [*table(backend, "user_groups").values()]
    return ActionResult({"UserGroups": groups})


def modify_user_group(self: ElastiCacheResponse) -> ActionResult:
    backend, asked = self.elasticache_backend, self._get_params()
    group = _user_group(backend, asked["UserGroupId"])
    removed = asked.get("UserIdsToRemove") or []
    kept = [user for user in group["UserIds"] if user not in removed]
    _set_users(backend, group, [*kept, *(asked.get("UserIdsToAdd") or [])])
    return ActionResult(group)


def delete_user_group(self: ElastiCacheResponse) -> ActionResult:
    backend = self.elasticache_backend
    group = _user_group(backend, self._get_param("UserGroupId"))
    if group["ReplicationGroups"]:
        raise _fault(
            "InvalidUserGroupState",
            f"User group {group['UserGroupId']} is used by {group['ReplicationGroups']}.",
        )
    _set_users(backend, group, None)
    del table(backend, "user_groups")[group["UserGroupId"]]
    backend.tagging_service.delete_all_tags_for_resource(group["ARN"])
    return ActionResult({**group, "Status": "deleting"})


def _set_users(backend: ElastiCacheBackend, group: Resource, wanted: list[str] | None) -> None:
    """Let the group hold these users (None: no more group); Redis OSS needs one named default."""
    users = [backend.users[name] for name in wanted or [] if name in backend.users]
    missing = sorted(set(wanted or []) - {user.id for user in users})
    if missing:
        raise _fault("UserNotFound", f"User {', '.join(missing)} not found.")
    names = [user.name for user in users]
    if len(set(names)) < len(names):
        raise _fault("DuplicateUserName", "A user group cannot have two users of the same name.")
    if wanted is not None and group["Engine"] == "redis" and "default" not in names:
        raise _fault("DefaultUserRequired", "A user group needs a user with the name default.")
    for user in backend.users.values():
        others = [name for name in user.user_group_ids if name != group["UserGroupId"]]
        user.user_group_ids = [*others, *([group["UserGroupId"]] if user in users else [])]
    group["UserIds"] = [user.id for user in users]


# -- users as Redis's ACL
# ---------------------------------------------------------------------------


def _let_users_in(context: Context) -> None:
    """Whenever users, their groups or a replication group change, so does the ACL behind it."""

    @replace(ElastiCacheBackend, "create_replication_group")
    def create(
        original: Callable[..., Any], backend: ElastiCacheBackend, **asked: Any
    ) -> ReplicationGroup:
        groups = asked.get("user_group_ids") or []
        found = [_user_group(backend, name) for name in groups]
        if found and not asked.get("transit_encryption_enabled"):
            raise _fault(
                "InvalidParameterCombination",
                "User group based access control requires encryption-in-transit to be enabled.",
            )
        made: ReplicationGroup = original(backend, **asked)
        for group in found:
            group["ReplicationGroups"].append(made.replication_group_id)
        _apply_users(context, backend, made)
        return made

    @replace(ElastiCacheBackend, "delete_replication_group")
    def delete(
        original: Callable[..., Any], backend: ElastiCacheBackend, *given: Any, **asked: Any
    ) -> ReplicationGroup:
        gone: ReplicationGroup = original(backend, *given, **asked)
        for group in table(backend, "user_groups").values():
            users = group["ReplicationGroups"]
            users[:] = [one for one in users if one != gone.replication_group_id]
        return gone

    for operation in ("modify_user", "modify_user_group", "modify_replication_group"):

        @replace(ElastiCacheResponse, operation)
        def change(original: Callable[..., Any], self: ElastiCacheResponse) -> ActionResult:
            backend = self.elasticache_backend
            before = {name: user.access_string for name, user in backend.users.items()}
            answer: ActionResult = original(self)
            try:
                for group in list(backend.replication_groups.values()):
                    _apply_users(context, backend, group)
            except ElastiCacheException:
                for name, access in before.items():
                    backend.users[name].access_string = access
                raise
            return answer


def _apply_users(context: Context, backend: ElastiCacheBackend, group: ReplicationGroup) -> None:
    """
    Raises:
        ElastiCacheException: Redis does not take an access string.
    """
    names = [
        user for each in group.user_group_ids for user in _user_group(backend, each)["UserIds"]
    ]
    rules = [_rules(backend.users[name]) for name in names if name in backend.users]
    if rules and not any(rule.startswith("default ") for rule in rules):
        rules.insert(0, "default off")
    try:
        context.redis.set_users(server_name(backend, group.replication_group_id), rules)
    except ProcessError as failure:
        raise _fault("InvalidParameterValue", f"{failure.what}: {failure.where}") from failure


def _rules(user: User) -> str:
    """A user as Redis's configuration has it; passwords by their digest."""
    digests = [f"#{hashlib.sha256(one.encode()).hexdigest()}" for one in user.passwords]
    return " ".join([user.name, *(digests or ["nopass"]), user.access_string])


# -- changes to a replication group
# -----------------------------------------------------------------


def _modify_replication_group(context: Context) -> None:
    @replace(ElastiCacheResponse, "modify_replication_group")
    def modify(original: Callable[..., Any], self: ElastiCacheResponse) -> ActionResult:
        backend, asked = self.elasticache_backend, self._get_params()
        (group,) = backend.describe_replication_groups(asked["ReplicationGroupId"])
        name = asked.get("CacheParameterGroupName")
        if name:
            _parameter_group(backend, name)
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
        _user_group(backend, name)["ReplicationGroups"].append(group.replication_group_id)
    for name in removed:
        users = _user_group(backend, name)["ReplicationGroups"]
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
            raise _fault(
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


# -- tags
# -------------------------------------------------------------------------------------------


def _tagging() -> None:
    """The new kinds take tags like the others, and the Tagging API sees them."""

    @replace(ElastiCacheBackend, "iter_tagged_resources")
    def tagged(
        original: Callable[..., Any], backend: ElastiCacheBackend
    ) -> Iterator[TaggedResource]:
        yield from original(backend)
        for kind, resource_type in (
            ("parameter_groups", "elasticache:parametergroup"),
            ("user_groups", "elasticache:usergroup"),
        ):
            for resource in list(table(backend, kind).values()):
                tags = backend.tagging_service.get_tag_dict_for_resource(resource["ARN"])
                yield TaggedResource(resource["ARN"], tags, resource_type)

    @replace(ElastiCacheBackend, "list_tags_for_resource")
    def list_tags(
        original: Callable[..., Any], backend: ElastiCacheBackend, resource: str
    ) -> dict[str, list[dict[str, str]]]:
        if ":parametergroup:" in resource or ":usergroup:" in resource:
            return backend.tagging_service.list_tags_for_resource(resource)
        tags: dict[str, list[dict[str, str]]] = original(backend, resource)
        return tags


_OPERATIONS = (
    create_cache_parameter_group,
    describe_cache_parameter_groups,
    modify_cache_parameter_group,
    reset_cache_parameter_group,
    describe_cache_parameters,
    delete_cache_parameter_group,
    modify_cache_subnet_group,
    delete_cache_subnet_group,
    modify_user,
    create_user_group,
    describe_user_groups,
    modify_user_group,
    delete_user_group,
)
