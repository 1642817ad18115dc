"""Lists are taken whole: all tags of several, all objects of many pages, and each of any list."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
import urllib3

from pocket.errors import DeploymentError
from pocket.provider.types import TABLE
from pocket.provider.values import plain
from pocket_testing.provider_cases import CASES
from pocket_testing.provider_cases.making import cache_users, groups, route_tables, subnets
from pocket_testing.provider_world import World

TAGGED = sorted(token for token, row in TABLE.items() if row.tags is not None)
BUCKET = "aws:s3/bucket:Bucket"


@pytest.mark.parametrize("token", TAGGED, ids=lambda token: token.rsplit(":", 1)[1])
def test_several_tags_come_and_go_at_once(token: str, world: World) -> None:
    inputs = CASES[token].inputs(world)
    made = world.create(token, {**inputs, "tags": {"a": "1", "bc": "2", "def": "3", "stays": "4"}})
    for tags in ({"stays": "4"}, {"a": "5", "bc": "6", "stays": "7"}, {}):
        wanted, failures = world.check(token, {**inputs, "tags": tags}, made.inputs)
        assert failures == []
        changed = world.update(made, wanted)
        world.made[:] = [changed if each is made else each for each in world.made]
        made = changed
        again = world.read(made)
        assert again is not None
        assert (plain(again.outputs).get("tags") or {}) == tags
        assert world.diff(again, wanted).changes == 1


def rule(port: int, *networks: str) -> dict[str, Any]:
    return {"protocol": "tcp", "fromPort": port, "toPort": port, "cidrBlocks": list(networks)}


def parameters(*names: str) -> list[list[dict[str, Any]]]:
    """Three parameters, the last of them alone, and the others again."""
    each = [{"name": name, "value": "1"} for name in names]
    return [each, each[2:], each[:2]]


def notice(threshold: int, *people: str) -> dict[str, Any]:
    return {
        "comparisonOperator": "GREATER_THAN",
        "notificationType": "ACTUAL",
        "threshold": threshold,
        "thresholdType": "PERCENTAGE",
        "subscriberEmailAddresses": [f"{name}@example.com" for name in people],
    }


def texts(form: str = "{}") -> list[list[str]]:
    """Three, the last alone, two of which one is new, and none of the former."""
    return [[form.format(letter) for letter in letters] for letters in ("abc", "c", "bc", "de")]


def taint(letter: str) -> dict[str, str]:
    return {"key": letter, "value": "v", "effect": "NO_SCHEDULE"}


Steps = list[Any] | Callable[[World], list[Any]]
PARTS: dict[tuple[str, str], Steps] = {
    ("ec2/securityGroup:SecurityGroup", "ingress"): [
        [rule(443, "10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"), rule(80, "10.0.0.0/16")],
        [rule(443, "10.2.0.0/16")],
        [rule(5432, "10.1.0.0/16"), rule(6379, "10.1.0.0/16"), rule(443, "10.2.0.0/16")],
        [],
    ],
    ("ec2/defaultSecurityGroup:DefaultSecurityGroup", "ingress"): [
        [rule(443, "10.0.0.0/16"), rule(80, "10.0.0.0/16"), rule(22, "10.0.0.0/16")],
        [rule(22, "10.0.0.0/16")],
        [],
    ],
    ("ec2/vpcEndpoint:VpcEndpoint", "routeTableIds"): lambda world: [
        (ids := route_tables(world, 3)),
        ids[2:],
        ids[:2],
    ],
    ("eks/accessEntry:AccessEntry", "kubernetesGroups"): texts(),
    ("eks/nodeGroup:NodeGroup", "taints"): [
        [taint(letter) for letter in letters] for letters in ("abc", "c", "de")
    ],
    ("eks/nodeGroup:NodeGroup", "labels"): [
        dict.fromkeys(letters, "v") for letters in ("abc", "c", "de")
    ],
    ("eks/cluster:Cluster", "enabledClusterLogTypes"): [
        ["api", "audit", "scheduler"],
        ["scheduler"],
        ["api", "audit", "authenticator", "controllerManager"],
        [],
    ],
    ("elasticache/parameterGroup:ParameterGroup", "parameters"): parameters(
        "timeout", "slowlog-max-len", "tcp-keepalive"
    ),
    ("elasticache/userGroup:UserGroup", "userIds"): lambda world: [
        (ids := cache_users(world, 3)),
        [ids[0], ids[2]],
        ids[:2],
    ],
    ("elasticache/replicationGroup:ReplicationGroup", "securityGroupIds"): lambda world: [
        (ids := groups(world, 3)),
        ids[2:],
        ids[:2],
    ],
    ("elasticache/subnetGroup:SubnetGroup", "subnetIds"): lambda world: [
        (ids := [each.id for each in subnets(world)]),
        ids[1:],
        ids,
    ],
    ("rds/parameterGroup:ParameterGroup", "parameters"): parameters(
        "log_connections", "log_disconnections", "rds.force_ssl"
    ),
    ("rds/instance:Instance", "vpcSecurityGroupIds"): lambda world: [
        (ids := groups(world, 3)),
        ids[2:],
        ids[:2],
    ],
    ("rds/instance:Instance", "enabledCloudwatchLogsExports"): [
        ["postgresql", "upgrade"],
        ["upgrade"],
        ["postgresql"],
    ],
    ("redshift/cluster:Cluster", "iamRoles"): texts("arn:aws:iam::123456789012:role/{}"),
    ("redshift/cluster:Cluster", "vpcSecurityGroupIds"): lambda world: [
        (ids := groups(world, 3)),
        ids[2:],
        ids[:2],
    ],
    ("redshift/parameterGroup:ParameterGroup", "parameters"): [
        [
            {"name": "require_ssl", "value": "true"},
            {"name": "query_group", "value": "a"},
            {"name": "use_fips_ssl", "value": "true"},
        ],
        [{"name": "query_group", "value": "b"}],
    ],
    ("glue/catalogTable:CatalogTable", "partitionKeys"): [
        [{"name": letter, "type": "string"} for letter in letters] for letters in ("abc", "c", "de")
    ],
    ("iam/openIdConnectProvider:OpenIdConnectProvider", "clientIdLists"): texts("{}.example.com"),
    ("iam/openIdConnectProvider:OpenIdConnectProvider", "thumbprintLists"): [
        ["a" * 40, "b" * 40, "c" * 40],
        ["c" * 40],
        ["d" * 40, "e" * 40],
    ],
    ("cloudwatch/metricAlarm:MetricAlarm", "alarmActions"): texts(
        "arn:aws:sns:us-east-1:123456789012:{}"
    ),
    ("budgets/budget:Budget", "notifications"): [
        [notice(50, "a", "b", "c"), notice(80, "a"), notice(100, "a")],
        [notice(100, "b", "d")],
        [notice(50, "e"), notice(80, "c", "d")],
    ],
}
"""What is changed of a list at once: several are added, several go, and the order says nothing."""


@pytest.mark.parametrize(
    ("token", "name"), PARTS, ids=[f"{token.rsplit(':', 1)[1]}.{name}" for token, name in PARTS]
)
def test_several_parts_come_and_go_at_once(token: str, name: str, world: World) -> None:
    token = f"aws:{token}"
    inputs = CASES[token].inputs(world)
    steps = PARTS[token.removeprefix("aws:"), name]
    first, *rest = steps(world) if callable(steps) else steps
    made = world.create(token, {**inputs, name: first})
    assert alike(made, name, first, world)
    for step in rest:
        wanted, failures = world.check(token, {**inputs, name: step}, made.inputs)
        assert failures == []
        changed = world.update(made, wanted)
        world.made[:] = [changed if each is made else each for each in world.made]
        made = changed
        assert alike(made, name, step, world)


def alike(made: Any, name: str, wanted: Any, world: World) -> bool:
    """Whether AWS has just the parts that are wanted."""
    again = world.read(made)
    assert again is not None
    there = plain(again.outputs).get(name) or type(wanted)()
    if isinstance(wanted, dict):
        return bool(there == wanted)
    assert len(there) == len(wanted), there
    for part in wanted:
        told = part.items() if isinstance(part, dict) else None
        assert any(
            each == part if told is None else all(same(each.get(k), v) for k, v in told)
            for each in there
        ), (part, there)
    return True


def same(one: Any, other: Any) -> bool:
    """Whether two values are one, whatever the order of a list."""
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(str, one)) == sorted(map(str, other))
    return bool(one == other or str(one) == str(other))


@pytest.fixture
def s3(endpoint: str) -> object:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.mark.long
@pytest.mark.parametrize("versioned", [True, False], ids=["versions", "objects"])
def test_a_bucket_of_more_than_a_page_goes(
    world: World, s3: object, endpoint: str, versioned: bool
) -> None:
    made = world.create(BUCKET, {"bucket": "many-pages", "forceDestroy": True})
    if versioned:
        s3.put_bucket_versioning(  # type: ignore[attr-defined]
            Bucket=made.id, VersioningConfiguration={"Status": "Enabled"}
        )

    # Not by a client: it takes as long to make a request as the server to answer it.
    scope = "Credential=test/20130524/us-east-1/s3/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    http = urllib3.PoolManager(maxsize=4, headers=signed)

    def put(number: int) -> None:
        key = "again" if versioned and number % 2 else f"rows/{number}"
        answer = http.request("PUT", f"{endpoint}/{made.id}/{key}", body=b"")
        assert answer.status == 200

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(1205)))
    if versioned:
        for number in range(0, 100, 2):
            s3.delete_object(Bucket=made.id, Key=f"rows/{number}")  # type: ignore[attr-defined]
    world.delete(made)
    assert world.read(made) is None


def test_an_object_that_may_not_go_is_named(world: World, s3: object) -> None:
    made = world.create(
        BUCKET, {"bucket": "locked", "forceDestroy": True, "objectLockEnabled": True}
    )
    s3.put_object(  # type: ignore[attr-defined]
        Bucket=made.id, Key="held", Body=b"", ObjectLockLegalHoldStatus="ON"
    )
    with pytest.raises(DeploymentError, match="held"):
        world.delete(made)
    s3.put_object_legal_hold(  # type: ignore[attr-defined]
        Bucket=made.id, Key="held", LegalHold={"Status": "OFF"}
    )
