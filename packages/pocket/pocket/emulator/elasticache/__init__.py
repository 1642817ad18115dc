"""ElastiCache: endpoints that answer, parameter groups, users and user groups, and changes.

moto has none of the groups, modifies a third of a replication group's settings and cannot delete a
subnet group.

Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/Welcome.html
"""

from __future__ import annotations

from moto.elasticache.responses import ElastiCacheResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import add_operations
from pocket.emulator.elasticache import (
    parameter_groups,
    replication_groups,
    servers,
    subnet_groups,
    tags,
    users,
)


def install(context: Context) -> None:
    """Put real servers behind ElastiCache, and give it the groups and changes that it lacks."""
    servers.install(context)
    for kind in (parameter_groups, subnet_groups, users):
        add_operations(ElastiCacheResponse, kind)
    replication_groups.take_changes(context)
    users.let_users_in(context)
    tags.follow_tags()
