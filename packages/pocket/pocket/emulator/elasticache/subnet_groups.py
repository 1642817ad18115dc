"""Subnet groups can be changed and deleted: moto only makes them."""

from __future__ import annotations

from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.models import CacheSubnetGroup
from moto.elasticache.responses import ElastiCacheResponse

from pocket.emulator.elasticache.faults import refusal


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
        raise refusal("CacheSubnetGroupInUse", f"Cache subnet group {name} is currently in use.")
    del backend.cache_subnet_groups[name]
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    return EmptyResult()
