"""Users and user groups, and the ACL that they are in the Redis behind a replication group.

A user has its passwords and its access string there; who signs in with an IAM role is let in with
any password, for Redis itself cannot check AWS's token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup, User
from moto.elasticache.responses import ElastiCacheResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace
from pocket.emulator.core.tables import Resource, arn, table
from pocket.emulator.elasticache.faults import refusal
from pocket.emulator.elasticache.servers import server_name
from pocket.errors import ProcessError


def modify_user(self: ElastiCacheResponse) -> ActionResult:
    asked = self._get_params()
    (user,) = self.elasticache_backend.describe_users(asked["UserId"])
    mode = asked.get("AuthenticationMode") or {}
    passwords = asked.get("Passwords") or mode.get("Passwords")
    if passwords:
        if any(not 16 <= len(password) <= 128 for password in passwords):
            raise refusal(
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


def user_group_of(backend: ElastiCacheBackend, name: str) -> Resource:
    group = table(backend, "user_groups").get(name)
    if group is None:
        raise refusal("UserGroupNotFound", f"User group {name} not found.")
    return group


def create_user_group(self: ElastiCacheResponse) -> ActionResult:
    backend, asked = self.elasticache_backend, self._get_params()
    name = asked["UserGroupId"]
    if name in table(backend, "user_groups"):
        raise refusal("UserGroupAlreadyExists", f"User group {name} already exists.")
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
    groups = [user_group_of(backend, name)] if name else [*table(backend, "user_groups").values()]
    return ActionResult({"UserGroups": groups})


def modify_user_group(self: ElastiCacheResponse) -> ActionResult:
    backend, asked = self.elasticache_backend, self._get_params()
    group = user_group_of(backend, asked["UserGroupId"])
    removed = asked.get("UserIdsToRemove") or []
    kept = [user for user in group["UserIds"] if user not in removed]
    _set_users(backend, group, [*kept, *(asked.get("UserIdsToAdd") or [])])
    return ActionResult(group)


def delete_user_group(self: ElastiCacheResponse) -> ActionResult:
    backend = self.elasticache_backend
    group = user_group_of(backend, self._get_param("UserGroupId"))
    if group["ReplicationGroups"]:
        raise refusal(
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
        raise refusal("UserNotFound", f"User {', '.join(missing)} not found.")
    names = [user.name for user in users]
    if len(set(names)) < len(names):
        raise refusal("DuplicateUserName", "A user group cannot have two users of the same name.")
    if wanted is not None and group["Engine"] == "redis" and "default" not in names:
        raise refusal("DefaultUserRequired", "A user group needs a user with the name default.")
    for user in backend.users.values():
        others = [name for name in user.user_group_ids if name != group["UserGroupId"]]
        user.user_group_ids = [*others, *([group["UserGroupId"]] if user in users else [])]
    group["UserIds"] = [user.id for user in users]


def let_users_in(context: Context) -> None:
    """Whenever users, their groups or a replication group change, so does the ACL behind it."""

    @replace(ElastiCacheBackend, "create_replication_group")
    def create(
        original: Callable[..., Any], backend: ElastiCacheBackend, **asked: Any
    ) -> ReplicationGroup:
        groups = asked.get("user_group_ids") or []
        found = [user_group_of(backend, name) for name in groups]
        if found and not asked.get("transit_encryption_enabled"):
            raise refusal(
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
        user for each in group.user_group_ids for user in user_group_of(backend, each)["UserIds"]
    ]
    rules = [_rules(backend.users[name]) for name in names if name in backend.users]
    if rules and not any(rule.startswith("default ") for rule in rules):
        rules.insert(0, "default off")
    try:
        context.redis.set_users(server_name(backend, group.replication_group_id), rules)
    except ProcessError as failure:
        raise refusal("InvalidParameterValue", f"{failure.what}: {failure.where}") from failure


def _rules(user: User) -> str:
    """A user as Redis's configuration has it; passwords by their digest."""
    digests = [f"#{hashlib.sha256(one.encode()).hexdigest()}" for one in user.passwords]
    return " ".join([user.name, *(digests or ["nopass"]), user.access_string])
