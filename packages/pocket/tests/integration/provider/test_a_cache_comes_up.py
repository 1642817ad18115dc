"""A cache whose engine comes up stays the same cache: what is in it is not lost."""

from __future__ import annotations

import redis

from pocket_testing.provider_cases import CASES
from pocket_testing.provider_world import Resource, World

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"


def address(made: Resource) -> redis.Redis:
    return redis.Redis(made["primaryEndpointAddress"], int(made["port"]))


def test_redis_becomes_valkey_in_place(world: World) -> None:
    inputs = {
        **CASES[GROUP].inputs(world),
        "engine": "redis",
        "engineVersion": "7.1",
        "transitEncryptionEnabled": False,
        "parameterGroupName": "default.redis7",
    }
    made = world.create(GROUP, inputs)
    address(made).set("kept", "yes")
    valkey = {"engine": "valkey", "engineVersion": "8.0", "parameterGroupName": "default.valkey8"}
    changed = world.update(made, {**inputs, **valkey})
    assert changed.id == made.id
    assert address(changed).get("kept") == b"yes"
    client = world.provider.aws.client("elasticache")
    (told,) = client.describe_replication_groups(ReplicationGroupId=made.id)["ReplicationGroups"]
    assert told["Engine"] == "valkey"
    back = world.diff(changed, inputs)
    assert list(back.replaces) == ["engine", "engineVersion"]


def test_its_connections_are_encrypted_in_place(world: World) -> None:
    plain = {**CASES[GROUP].inputs(world), "engineVersion": "8.0"}
    made = world.create(GROUP, {**plain, "transitEncryptionEnabled": False})
    changed = world.update(made, {**plain, "transitEncryptionEnabled": True})
    assert changed.id == made.id
    again = world.read(changed)
    assert again is not None
    assert again["transitEncryptionEnabled"] is True
