"""With a delay, things are in the making for a while; AWS's waiters and ours wait for them."""

from __future__ import annotations

import functools
import importlib
import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pocket import emulator as cloud
from pocket import engine
from pocket.emulator.transitions import ROWS
from pocket.supervisor import Supervisor
from tests.integration.infra.conftest import connected
from tests.integration.infra.standing import Standing

ROLE = "arn:aws:iam::123456789012:role/platform"
PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

tags = {"millwright:environment": "local"}
provider = aws.Provider("own", region="eu-central-1", default_tags={"tags": tags})
options = pulumi.ResourceOptions(provider=provider)
trust = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "eks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }],
})
role = aws.iam.Role("role", name="slow", assume_role_policy=trust, opts=options)
vpc = aws.ec2.Vpc("vpc", cidr_block="10.9.0.0/16", opts=options)
subnets = [
    aws.ec2.Subnet(zone, vpc_id=vpc.id, cidr_block=f"10.9.{number}.0/24",
                   availability_zone=f"eu-central-1{zone}", opts=options)
    for number, zone in enumerate("ab")
]
ids = [one.id for one in subnets]
address = aws.ec2.Eip("nat", domain="vpc", opts=options)
nat = aws.ec2.NatGateway("nat", allocation_id=address.id, subnet_id=ids[0], opts=options)
cluster = aws.eks.Cluster("k", name="slow", role_arn=role.arn, vpc_config={"subnet_ids": ids},
                          opts=options)
aws.eks.NodeGroup("n", cluster_name=cluster.name, node_group_name="n", node_role_arn=role.arn,
                  subnet_ids=ids, opts=options,
                  scaling_config={"min_size": 1, "max_size": 2, "desired_size": 1})
aws.eks.Addon("cni", cluster_name=cluster.name, addon_name="vpc-cni", opts=options)
files = aws.efs.FileSystem("files", encrypted=True, opts=options)
aws.efs.MountTarget("files", file_system_id=files.id, subnet_id=ids[0], opts=options)
group = aws.elasticache.SubnetGroup("c", name="slow", subnet_ids=ids, opts=options)
aws.elasticache.ReplicationGroup("c", replication_group_id="slow", description="-", opts=options,
                                 subnet_group_name=group.name, node_type="cache.t4g.micro")
aws.kinesis.Stream("s", name="slow", shard_count=1, retention_period=48, opts=options)
"""
FOREVER = 3600.0
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """An environment whose cloud takes its time when told to."""
    program = tmp_path_factory.mktemp("program")
    (program / "__main__.py").write_text(PROGRAM)
    with connected(Standing(tmp_path_factory.mktemp("slow"), program=program)) as standing:
        yield standing


@pytest.fixture
def client(slow: Standing) -> Client:
    return functools.cache(boto3.client)


@pytest.fixture
def delay(slow: Standing) -> Iterator[Callable[[float], None]]:
    """Says how many seconds things are in the making from now on."""

    def set_to(seconds: float) -> None:
        request = urllib.request.Request(
            f"{os.environ['AWS_ENDPOINT_URL']}/_pocket/delay",
            data=json.dumps({"seconds": seconds}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()

    yield set_to
    set_to(0)


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def test_a_cluster_takes_node_groups_once_it_is_there(
    client: Client, delay: Callable[[float], None]
) -> None:
    eks, nodes = client("eks"), {"clusterName": "k", "nodegroupName": "n"}
    network = {"subnetIds": ["subnet-1", "subnet-2"]}
    delay(FOREVER)
    made = eks.create_cluster(name="k", roleArn=ROLE, resourcesVpcConfig=network)["cluster"]
    assert made["status"] == "CREATING"
    with refused("InvalidRequestException"):
        eks.create_nodegroup(**nodes, subnets=["subnet-1"], nodeRole=ROLE)
    delay(0)
    eks.get_waiter("cluster_active").wait(name="k")

    delay(FOREVER)
    group = eks.create_nodegroup(**nodes, subnets=["subnet-1"], nodeRole=ROLE)["nodegroup"]
    addon = eks.create_addon(clusterName="k", addonName="vpc-cni")["addon"]
    assert (group["status"], addon["status"]) == ("CREATING", "CREATING")
    with refused("ResourceInUseException"):
        eks.update_nodegroup_config(**nodes, scalingConfig={"maxSize": 3})
    delay(0)
    eks.get_waiter("nodegroup_active").wait(**nodes)
    eks.get_waiter("addon_active").wait(clusterName="k", addonName="vpc-cni")

    delay(FOREVER)
    eks.update_nodegroup_config(**nodes, scalingConfig={"maxSize": 3})
    assert eks.describe_nodegroup(**nodes)["nodegroup"]["status"] == "UPDATING"
    delay(0)
    delay(FOREVER)
    eks.delete_nodegroup(**nodes)
    assert eks.describe_nodegroup(**nodes)["nodegroup"]["status"] == "DELETING"
    delay(0)
    eks.get_waiter("nodegroup_deleted").wait(**nodes)
    eks.delete_cluster(name="k")
    eks.get_waiter("cluster_deleted").wait(name="k")


@pytest.mark.long
def test_stores_are_made_changed_and_removed_in_their_time(
    client: Client, delay: Callable[[float], None]
) -> None:
    redshift, rds, cache = client("redshift"), client("rds"), client("elasticache")
    names = {
        "warehouse": {"ClusterIdentifier": "w"},
        "database": {"DBInstanceIdentifier": "d"},
        "group": {"ReplicationGroupId": "c"},
    }
    warehouse, database, group = names.values()

    def states() -> list[str]:
        return [
            redshift.describe_clusters(**warehouse)["Clusters"][0]["ClusterStatus"],
            rds.describe_db_instances(**database)["DBInstances"][0]["DBInstanceStatus"],
            cache.describe_replication_groups(**group)["ReplicationGroups"][0]["Status"],
        ]

    delay(FOREVER)
    redshift.create_cluster(
        **warehouse, NodeType="ra3.large", MasterUsername="a", ManageMasterPassword=True
    )
    rds.create_db_instance(
        **database,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        MasterUsername="a",
        MasterUserPassword="Password12345",
        AllocatedStorage=20,
    )
    cache.create_replication_group(**group, ReplicationGroupDescription="-")
    assert states() == ["creating"] * 3
    with refused("InvalidClusterState"):
        redshift.modify_cluster(**warehouse, PubliclyAccessible=False)
    with refused("InvalidDBInstanceState"):
        rds.modify_db_instance(**database, AllocatedStorage=30)
    with refused("InvalidReplicationGroupState"):
        cache.modify_replication_group(**group, ReplicationGroupDescription="x")
    delay(0)
    assert states() == ["available"] * 3

    delay(FOREVER)
    redshift.modify_cluster(**warehouse, PubliclyAccessible=False)
    rds.modify_db_instance(**database, AllocatedStorage=30)
    cache.modify_replication_group(**group, ReplicationGroupDescription="x")
    assert states() == ["modifying"] * 3
    delay(0)
    assert states() == ["available"] * 3

    delay(FOREVER)
    redshift.delete_cluster(**warehouse, SkipFinalClusterSnapshot=True)
    rds.delete_db_instance(**database, SkipFinalSnapshot=True)
    cache.delete_replication_group(**group)
    assert states() == ["deleting"] * 3
    delay(0)
    redshift.get_waiter("cluster_deleted").wait(**warehouse)
    rds.get_waiter("db_instance_deleted").wait(**database)
    cache.get_waiter("replication_group_deleted").wait(**group)


@pytest.mark.long
def test_the_provider_waits(slow: Standing, delay: Callable[[float], None]) -> None:
    """What depends on what is still in the making is not made before; nothing is left after."""
    delay(0.4)
    engine.up(slow.workspace)
    assert engine.up(slow.workspace).changes == ()
    engine.destroy(slow.workspace)
    assert slow.there() == []


@pytest.mark.long
def test_a_restart_in_between_ends_what_was_passing(
    slow: Standing,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    delay: Callable[[float], None],
) -> None:
    kinesis, firehose = client("kinesis"), client("firehose")
    delay(FOREVER)
    kinesis.create_stream(StreamName="s", ShardCount=1)
    summary = kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
    assert summary["StreamStatus"] == "CREATING"
    with refused("ResourceInUseException"):
        kinesis.increase_stream_retention_period(StreamName="s", RetentionPeriodHours=48)
    firehose.create_delivery_stream(
        DeliveryStreamName="f",
        ExtendedS3DestinationConfiguration={"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b"},
    )
    stream = firehose.describe_delivery_stream(DeliveryStreamName="f")
    assert stream["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "CREATING"

    Supervisor(slow.root).stop(cloud.NAME)  # in order: the state is written
    again = cloud.start(slow.root, region="eu-central-1")  # without a delay
    for name, value in cloud.environment(again).items():
        monkeypatch.setenv(name, value)
    summary = boto3.client("kinesis").describe_stream_summary(StreamName="s")
    assert summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"
    stream = boto3.client("firehose").describe_delivery_stream(DeliveryStreamName="f")
    assert stream["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "ACTIVE"


@pytest.mark.long
def test_every_row_names_methods_that_there_are() -> None:
    """Those of requests' classes may be the local cloud's own, added when it runs."""
    for row in ROWS:
        module, _, name = row.owner.partition(":")
        if module.endswith("models"):
            owner = getattr(importlib.import_module(module), name)
            missing = [
                each for each in (*row.made, *row.changed, *row.deleted) if not hasattr(owner, each)
            ]
            assert missing == [], row.owner
