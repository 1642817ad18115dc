"""ElastiCache: the in-memory store, one primary and its replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_aws import elasticache

from contracts.environment import Environment
from infra.alarm import Alarm
from infra.concern import AwsConcern, DataClass, Outputs, Platform, days
from infra.keys import Keys
from infra.network import Network

PORT: Final = 6379
PARAMETER_FAMILIES: Final = {
    ("valkey", "7"): "default.valkey7",
    ("valkey", "8"): "default.valkey8",
    ("redis", "6"): "default.redis6.x",
    ("redis", "7"): "default.redis7",
}


class Cache(AwsConcern):
    """The replication group; where there are replicas, a lost zone is survived."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("cache", platform)
        environment, network = platform.environment, platform[Network]
        settings, retention = environment.cache, environment.retention
        name = self.names.name("cache")
        group = network.security_group(self, "cache", "ElastiCache", PORT)
        subnets = elasticache.SubnetGroup(
            "subnets",
            name=name,
            description="Database subnets",
            subnet_ids=network.subnet_ids("database"),
            tags=self.tags(name),
            opts=self.child(),
        )
        self.group = elasticache.ReplicationGroup(
            "group",
            replication_group_id=name,
            description=f"Millwright {environment.name}",
            engine=settings.engine,
            engine_version=settings.version,
            parameter_group_name=PARAMETER_FAMILIES[settings.engine, settings.version[0]],
            node_type=settings.node_type,
            num_cache_clusters=1 + settings.replicas,
            automatic_failover_enabled=settings.replicas > 0,
            multi_az_enabled=settings.replicas > 0,
            at_rest_encryption_enabled=True,
            kms_key_id=platform[Keys].arns["cache"],
            transit_encryption_enabled=settings.tls,
            port=PORT,
            subnet_group_name=subnets.name,
            security_group_ids=[group.id],
            snapshot_retention_limit=days(retention.backups),
            final_snapshot_identifier=f"{name}-final" if retention.final_snapshots else None,
            user_group_ids=[self._users()] if settings.users else None,
            auto_minor_version_upgrade=True,
            apply_immediately=not retention.protect,
            tags=self.tags(name),
            opts=self.child(holds_data=True),
        )
        self.register_outputs({})

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """What is cached."""
        return {"cache": DataClass(services=("elasticache",))}

    def alarms(self) -> list[Alarm]:
        """A cache that is full or overworked."""
        return [
            Alarm(
                name=f"cache-{name}",
                description=text,
                namespace="AWS/ElastiCache",
                metric=metric,
                dimensions={"ReplicationGroupId": self.group.replication_group_id},
                threshold=85.0,
            )
            for name, metric, text in (
                ("busy", "EngineCPUUtilization", "ElastiCache's engine is at its limit"),
                ("full", "DatabaseMemoryUsagePercentage", "ElastiCache's memory is nearly full"),
            )
        ]

    def outputs(self) -> Outputs:
        """Where clients connect."""
        return {
            "cache": {
                "host": self.group.primary_endpoint_address,
                "port": self.group.port.apply(lambda port: port or PORT),
                "tls": self.environment.cache.tls,
            }
        }

    def _users(self) -> pulumi.Output[str]:
        """Users signing in with their IAM role; the default user, who needs no password, is off."""
        settings = self.environment.cache
        off = elasticache.User(
            "default",
            user_id=self.names.name("default-off"),
            user_name="default",
            engine=settings.engine,
            access_string="off -@all",
            authentication_mode={"type": "no-password-required"},
            tags=self.tags(self.names.name("default-off")),
            opts=self.child(),
        )
        users = [
            elasticache.User(
                user,
                # ElastiCache wants the same id and name where IAM signs in.
                user_id=self.names.name(user),
                user_name=self.names.name(user),
                engine=settings.engine,
                access_string="on ~* +@all -@dangerous",
                authentication_mode={"type": "iam"},
                tags=self.tags(self.names.name(user)),
                opts=self.child(),
            )
            for user in settings.users
        ]
        name = self.names.name("cache")
        group = elasticache.UserGroup(
            "users",
            user_group_id=name,
            engine=settings.engine,
            user_ids=[user.user_id for user in (off, *users)],
            tags=self.tags(name),
            opts=self.child(),
        )
        return group.user_group_id
