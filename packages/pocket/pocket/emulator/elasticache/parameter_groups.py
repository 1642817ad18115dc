"""ElastiCache's parameter groups, which moto lacks."""

from __future__ import annotations

from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.models import ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse

from pocket.emulator.core.tables import Resource, arn, table
from pocket.emulator.elasticache.faults import refusal

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


def parameter_group_of(backend: ElastiCacheBackend, name: str) -> Resource:
    group = _parameter_groups(backend).get(name)
    if group is None:
        raise refusal("CacheParameterGroupNotFound", f"CacheParameterGroup {name} not found.")
    return group


def create_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    backend, asked = self.elasticache_backend, self._get_params()
    name, family = asked["CacheParameterGroupName"].lower(), asked["CacheParameterGroupFamily"]
    if name in _parameter_groups(backend):
        raise refusal(
            "CacheParameterGroupAlreadyExists", f"Cache parameter group {name} already exists."
        )
    if family not in _FAMILIES:
        raise refusal(
            "InvalidParameterValue",
            f"CacheParameterGroupFamily {family} is not a valid parameter group family.",
        )
    group = _new_parameter_group(backend, name, family, asked["Description"])
    backend.tagging_service.tag_resource(group["ARN"], asked.get("Tags") or [])
    return ActionResult({"CacheParameterGroup": group})


def describe_cache_parameter_groups(self: ElastiCacheResponse) -> ActionResult:
    backend, name = self.elasticache_backend, self._get_param("CacheParameterGroupName")
    groups = [parameter_group_of(backend, name)] if name else [*_parameter_groups(backend).values()]
    return ActionResult({"CacheParameterGroups": groups})


def modify_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    asked = self._get_params()
    group = parameter_group_of(self.elasticache_backend, asked["CacheParameterGroupName"])
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
    group = parameter_group_of(self.elasticache_backend, asked["CacheParameterGroupName"])
    _refuse_default(group)
    if self._get_bool_param("ResetAllParameters"):
        group["values"].clear()
    for item in asked.get("ParameterNameValues") or []:
        group["values"].pop(item["ParameterName"], None)
    return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})


def describe_cache_parameters(self: ElastiCacheResponse) -> ActionResult:
    asked = self._get_params()
    group = parameter_group_of(self.elasticache_backend, asked["CacheParameterGroupName"])
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
    group = parameter_group_of(backend, name)
    _refuse_default(group)
    users = [
        one.replication_group_id
        for one in backend.replication_groups.values()
        if one.cache_parameter_group_name == name
    ]
    if users:
        raise refusal(
            "InvalidCacheParameterGroupState",
            f"Cache parameter group {name} is used by {', '.join(users)}.",
        )
    del _parameter_groups(backend)[name]
    backend.tagging_service.delete_all_tags_for_resource(group["ARN"])
    return EmptyResult()


def _refuse_default(group: Resource) -> None:
    if group["CacheParameterGroupName"].startswith("default."):
        raise refusal("InvalidParameterValue", "A default cache parameter group cannot be changed.")


def _check_parameter(name: str, value: str) -> None:
    if name not in _PARAMETERS:
        raise refusal("InvalidParameterValue", f"Unknown parameter: {name}")
    _, kind, allowed, _ = _PARAMETERS[name]
    choices = allowed.split(",") if allowed else []
    if kind == "string" and choices and value not in choices:
        raise refusal(
            "InvalidParameterValue", f"The value {value} of {name} is not one of {allowed}."
        )
    if kind == "integer" and not value.removeprefix("-").isdigit():
        raise refusal("InvalidParameterValue", f"The value {value} of {name} is not an integer.")
