"""ElastiCache: endpoints that answer, replicas as asked, and deletions that end.

moto makes up an address that nobody listens on, forgets the number of replicas when it is given as
`NumCacheClusters`, and leaves a replication group `deleting` for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.elasticache.exceptions import (
    InvalidParameterCombinationException,
    InvalidParameterValueException,
)
from moto.elasticache.models import (
    CacheCluster,
    ElastiCacheBackend,
    ReplicationGroup,
    elasticache_backends,
)

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace

_HOST = "127.0.0.1"
_REDIS_ENGINES = ("redis", "valkey")


def install(context: Context) -> None:
    """Put a Redis behind every replication group and cache cluster."""
    _replication_groups(context)
    _cache_clusters(context)
    _resume()


def _resume() -> None:
    """Start again the Redis servers of groups and clusters that were there before a restart."""
    for _, _, backend in elasticache_backends.iter_backends():
        assert isinstance(backend, ElastiCacheBackend)
        backend.describe_replication_groups()
        backend.describe_cache_clusters()


def _replication_groups(context: Context) -> None:
    @replace(ElastiCacheBackend, "create_replication_group")
    def create(
        original: Callable[..., Any], backend: ElastiCacheBackend, **asked: Any
    ) -> ReplicationGroup:
        _check_token(asked)
        clusters = asked.get("num_cache_clusters")
        if clusters and not asked.get("replicas_per_node_group"):
            asked["replicas_per_node_group"] = clusters - 1
        group: ReplicationGroup = original(backend, **asked)
        try:
            port = context.redis.start(
                server_name(backend, group.replication_group_id), password=asked.get("auth_token")
            )
        except Exception:
            del backend.replication_groups[group.replication_group_id]
            raise
        _point_at(group, port)
        return group

    @replace(ElastiCacheBackend, "describe_replication_groups")
    def describe(
        original: Callable[..., Any],
        backend: ElastiCacheBackend,
        replication_group_id: str | None = None,
    ) -> list[ReplicationGroup]:
        groups: list[ReplicationGroup] = original(backend, replication_group_id)
        for group in groups:  # the server may have been restarted with this process
            if group.status != "deleting":
                port = context.redis.start(server_name(backend, group.replication_group_id))
                _point_at(group, port)
        return groups

    @replace(ElastiCacheBackend, "delete_replication_group")
    def delete(
        original: Callable[..., Any], backend: ElastiCacheBackend, *given: Any, **asked: Any
    ) -> ReplicationGroup:
        group: ReplicationGroup = original(backend, *given, **asked)
        context.redis.stop(server_name(backend, group.replication_group_id))
        backend.replication_groups.pop(group.replication_group_id, None)
        backend.tagging_service.delete_all_tags_for_resource(group.arn)
        return group


def _member(group: ReplicationGroup, name: str | None) -> Any:
    """A node of a replication group, as DescribeCacheClusters shows it."""
    return {
        "CacheClusterId": name,
        "ARN": group.arn.replace(":replicationgroup:", ":cluster:"),
        "ReplicationGroupId": group.replication_group_id,
        "Engine": group.engine,
        "EngineVersion": group.engine_version,
        "CacheNodeType": group.cache_node_type,
        "CacheClusterStatus": group.status,
        "NumCacheNodes": 1,
    }


def _cache_clusters(context: Context) -> None:
    @replace(ElastiCacheBackend, "create_cache_cluster")
    def create(
        original: Callable[..., Any], backend: ElastiCacheBackend, **asked: Any
    ) -> CacheCluster:
        _check_token(asked)
        cluster: CacheCluster = original(backend, **asked)
        if cluster.engine in _REDIS_ENGINES:
            port = context.redis.start(
                server_name(backend, cluster.cache_cluster_id), password=asked.get("auth_token")
            )
            _point_nodes_at(cluster, port)
        return cluster

    @replace(ElastiCacheBackend, "describe_cache_clusters")
    def describe(
        original: Callable[..., Any],
        backend: ElastiCacheBackend,
        cache_cluster_id: str | None = None,
    ) -> list[CacheCluster]:
        for group in backend.replication_groups.values():
            if cache_cluster_id in group.member_clusters:
                return [_member(group, cache_cluster_id)]
        clusters: list[CacheCluster] = original(backend, cache_cluster_id)
        for cluster in clusters:
            if cluster.engine in _REDIS_ENGINES and cluster.cache_cluster_status != "deleting":
                server = server_name(backend, cluster.cache_cluster_id)
                _point_nodes_at(cluster, context.redis.start(server))
        return clusters

    @replace(ElastiCacheBackend, "delete_cache_cluster")
    def delete(
        original: Callable[..., Any], backend: ElastiCacheBackend, cache_cluster_id: str
    ) -> CacheCluster:
        cluster: CacheCluster = original(backend, cache_cluster_id)
        context.redis.stop(server_name(backend, cache_cluster_id))
        backend.cache_clusters.pop(cache_cluster_id, None)
        backend.tagging_service.delete_all_tags_for_resource(cluster.arn)
        return cluster


def server_name(backend: ElastiCacheBackend, identifier: str) -> str:
    """What the Redis server behind a replication group or cache cluster is called."""
    return f"{backend.account_id}-{backend.region_name}-{identifier}"


def _check_token(asked: dict[str, Any]) -> None:
    token = asked.get("auth_token")
    if token is None:
        return
    if not asked.get("transit_encryption_enabled"):
        raise InvalidParameterCombinationException(
            "To use an AuthToken, TransitEncryptionEnabled must be true."
        )
    if not 16 <= len(token) <= 128:
        raise InvalidParameterValueException(
            "Invalid AuthToken provided: it must be 16 to 128 characters long."
        )


def _point_at(group: ReplicationGroup, port: int) -> None:
    """Put the Redis server's address where the group's description shows endpoints.

    One server stands for primary and replicas: what is written is read everywhere.
    """
    endpoint = {"address": _HOST, "port": port}
    group.port = port
    if group.cluster_enabled:
        group.configuration_endpoint = endpoint
    for node_group in group.node_groups:
        if not group.cluster_enabled:
            node_group.update(
                primary_endpoint=endpoint,
                reader_endpoint=endpoint,
                primary_endpoint_address=_HOST,
                reader_endpoint_address=_HOST,
                port=port,
            )
        for member in node_group["node_group_members"]:
            member["read_endpoint"] = endpoint


def _point_nodes_at(cluster: CacheCluster, port: int) -> None:
    cluster.port = port
    cluster.cache_nodes = [  # type: ignore[attr-defined]
        {
            "cache_node_id": "0001",
            "cache_node_status": "available",
            "cache_node_create_time": cluster.cache_cluster_create_time,
            "endpoint": {"address": _HOST, "port": port},
            "parameter_group_status": "in-sync",
            "customer_availability_zone": cluster.preferred_availability_zone,
        }
    ]
