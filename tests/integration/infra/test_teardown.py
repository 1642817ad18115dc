"""What a cluster and the services leave behind is taken apart, and nothing that is others'.

A small stack stands in a network; then what controllers make in a cluster is made by hand, with
the tags that they write, for this cluster and for another one in the same network.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from account.inventory import Leftover
from account.leftovers import Leftovers
from account.teardown import Footprint, clear, examine
from cli.main import main
from contracts.errors import InfrastructureError, UsageError
from laptop.removal import destroy
from laptop.stack import Stack
from pocket import engine
from project.handle import Project
from tests.integration.infra.conftest import connected
from tests.integration.infra.standing import Standing

CLUSTER = "millwright-local-cluster"
PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

own = {"millwright:environment": "local", "millwright:concern": "network"}
provider = aws.Provider("own", region="eu-central-1", default_tags={"tags": own})
options = pulumi.ResourceOptions(provider=provider)
vpc = aws.ec2.Vpc("vpc", cidr_block="10.7.0.0/16", opts=options)
subnets = [
    aws.ec2.Subnet(zone, vpc_id=vpc.id, cidr_block=f"10.7.{number}.0/24",
                   availability_zone=f"eu-central-1{zone}", opts=options)
    for number, zone in enumerate("ab")
]
nodes = aws.ec2.SecurityGroup("nodes", vpc_id=vpc.id, opts=options)
trust = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "eks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }],
})
role = aws.iam.Role("role", name="teardown", assume_role_policy=trust, opts=options)
aws.eks.Cluster("cluster", name="millwright-local-cluster", role_arn=role.arn,
                vpc_config={"subnet_ids": [one.id for one in subnets]}, opts=options)
aws.s3.Bucket("raw", bucket="teardown-raw", force_destroy=True, opts=options)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    program = tmp_path_factory.mktemp("program")
    (program / "__main__.py").write_text(PROGRAM)
    with connected(Standing(tmp_path_factory.mktemp("teardown"), program=program)) as made:
        yield Stack(Project(made.project))


@pytest.fixture(scope="module")
def leftovers(stack: Stack) -> Leftovers:
    return Leftovers(stack.project)


class Controllers:
    """What makes things in a cluster, and in which network."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        ec2 = self.ec2 = boto3.client("ec2", region_name="eu-central-1")
        (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.7.0.0/16"]}])["Vpcs"]
        self.vpc = vpc["VpcId"]
        inside = [{"Name": "vpc-id", "Values": [self.vpc]}]
        self.subnets = [one["SubnetId"] for one in ec2.describe_subnets(Filters=inside)["Subnets"]]
        self.groups = ec2.describe_security_groups(Filters=inside)["SecurityGroups"]

    def tags(self, **more: str) -> list[dict[str, str]]:
        return [{"Key": key.replace("__", "/"), "Value": value} for key, value in more.items()]

    def specified(self, kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        return [{"ResourceType": kind, "Tags": pairs}]

    def make(self) -> set[str]:
        """One of each; the ids, or names."""
        owned = {f"kubernetes.io/cluster/{self.cluster}": "owned"}
        group = self.ec2.create_security_group(
            GroupName=f"k8s-traffic-{self.cluster}",
            Description="[k8s] shared by load balancers",
            VpcId=self.vpc,
            TagSpecifications=self.specified(
                "security-group", {"elbv2.k8s.aws/cluster": self.cluster}
            ),
        )["GroupId"]
        (nodes,) = (one for one in self.groups if one["GroupName"].startswith("nodes"))
        self.ec2.authorize_security_group_ingress(
            GroupId=nodes["GroupId"],
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": 443,
                    "ToPort": 443,
                    "UserIdGroupPairs": [{"GroupId": group}],
                }
            ],
        )
        volume = self.ec2.create_volume(
            AvailabilityZone="eu-central-1a",
            Size=1,
            TagSpecifications=self.specified(
                "volume",
                {**owned, "KubernetesCluster": self.cluster, "ebs.csi.aws.com/cluster": "true"},
            ),
        )["VolumeId"]
        interface = self.ec2.create_network_interface(
            SubnetId=self.subnets[0],
            Groups=[group],
            TagSpecifications=self.specified(
                "network-interface", {"cluster.k8s.amazonaws.com/name": self.cluster}
            ),
        )["NetworkInterface"]["NetworkInterfaceId"]
        log = f"/aws/eks/{self.cluster}/cluster"
        boto3.client("logs", region_name="eu-central-1").create_log_group(logGroupName=log)
        return {group, volume, interface, log, *self._balance(owned, group)}

    def _balance(self, owned: dict[str, str], group: str) -> set[str]:
        short = self.cluster.removeprefix("millwright-").removesuffix("-cluster")
        balancers = boto3.client("elbv2", region_name="eu-central-1")
        mark = [{"Key": "elbv2.k8s.aws/cluster", "Value": self.cluster}]
        balancer = balancers.create_load_balancer(
            Name=f"k8s-{short}", Subnets=self.subnets, SecurityGroups=[group], Tags=mark
        )["LoadBalancers"][0]
        targets = balancers.create_target_group(
            Name=f"k8s-{short}", Protocol="HTTP", Port=80, VpcId=self.vpc, Tags=mark
        )["TargetGroups"][0]
        balancers.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": targets["TargetGroupArn"]}],
        )
        boto3.client("elb", region_name="eu-central-1").create_load_balancer(
            LoadBalancerName=f"classic-{short}",
            Listeners=[
                {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 80},
            ],
            Subnets=self.subnets[:1],
            SecurityGroups=[group],
            Tags=[{"Key": key, "Value": value} for key, value in owned.items()],
        )
        return {f"k8s-{short}", f"classic-{short}"}


def names(found: list[Leftover]) -> set[str]:
    return {one.id for one in found}


def test_destroy_takes_apart_what_the_cluster_made_and_nothing_else(
    stack: Stack, leftovers: Leftovers
) -> None:
    engine.up(stack.workspace)
    boto3.client("s3", region_name="eu-central-1").put_object(
        Bucket="teardown-raw", Key="data", Body=b"1"
    )
    theirs = Controllers("millwright-other-cluster")
    left_to_others = theirs.make()
    ours = Controllers(CLUSTER).make()

    # As on AWS: what the cluster made stops the network's deletion.
    with pytest.raises(Exception, match="DependencyViolation"):
        theirs.ec2.delete_security_group(GroupId=next(one for one in ours if "sg-" in one))
    with pytest.raises(Exception, match="DependencyViolation"):
        theirs.ec2.delete_subnet(SubnetId=theirs.subnets[0])

    found = leftovers.left()
    made = {one.leftover.id for one in found if one.maker != "the program"}
    assert made == ours

    removed = [one.leftover for one in leftovers.clear()]
    assert names(removed) == ours
    assert len(removed) == len(ours) + 1, "the target group has its balancer's name"
    there = names(Standing.found(stack.project.folder).there())
    assert left_to_others <= there
    assert not ours & there
    assert {one.maker for one in leftovers.left()} == {"the program"}, "the stack still stands"


def test_a_sweep_leaves_alone_what_runs(stack: Stack, leftovers: Leftovers) -> None:
    eks = boto3.client("eks", region_name="eu-central-1")
    eks.create_nodegroup(
        clusterName=CLUSTER,
        nodegroupName="system",
        subnets=Controllers(CLUSTER).subnets,
        nodeRole="arn:aws:iam::123456789012:role/teardown",
    )
    with pytest.raises(UsageError, match="has nodes"):
        leftovers.sweep()
    eks.delete_nodegroup(clusterName=CLUSTER, nodegroupName="system")
    assert leftovers.sweep() == []


def test_the_command_shows_what_is_left_and_by_whom(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(stack.project.folder))

    def sweep(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["millwright", "--json", "sweep", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    log = f"/aws/lambda/{CLUSTER}-drain"
    boto3.client("logs", region_name="eu-central-1").create_log_group(logGroupName=log)
    code, shown, _ = sweep("local")
    assert code == 1, "the stack still stands"
    left = {one["what"]: one["made_by"] for one in json.loads(shown)["left"]}
    assert left[f"logs log-group {log}"] == "a service"
    assert left[f"eks cluster {CLUSTER}"] == "the program"
    _, shown, _ = sweep("local", "--clear", "--yes")
    assert json.loads(shown)["removed"] == [f"logs log-group {log}"]

    # An account that we cannot sign in to is not swept, and not said to be empty.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    code, _, said = sweep("dev")
    assert code == 2
    assert "Sign in to the account 111111111111" in said


def test_last_snapshots_are_listed_where_they_are_wanted(
    stack: Stack, leftovers: Leftovers
) -> None:
    redshift = boto3.client("redshift", region_name="eu-central-1")
    redshift.create_cluster(
        ClusterIdentifier="w",
        NodeType="ra3.large",
        MasterUsername="admin",
        ManageMasterPassword=True,
    )
    final = "millwright-local-warehouse-final"  # Redshift copies the cluster's tags, if it has any
    redshift.delete_cluster(
        ClusterIdentifier="w",
        SkipFinalClusterSnapshot=False,
        FinalClusterSnapshotIdentifier=final,
    )
    snapshot = Leftover("redshift", "snapshot", final)
    careful = replace(leftovers.footprint, keeps_snapshots=True)
    wanted = [one for one in examine(stack.project.aws(), careful) if one.kept]
    assert [(str(one), one.kept) for one in wanted] == [
        (str(snapshot), "retention.final_snapshots")
    ]
    assert str(snapshot) in [str(one) for one in leftovers.left() if not one.kept]
    redshift.delete_cluster_snapshot(SnapshotIdentifier=final)


def test_destroy_proves_that_nothing_is_left(stack: Stack, leftovers: Leftovers) -> None:
    _remove_everything_of("millwright-other-cluster")  # they move out of our network
    volumes = Controllers(CLUSTER)
    volumes.ec2.create_volume(
        AvailabilityZone="eu-central-1a",
        Size=1,
        TagSpecifications=volumes.specified("volume", {"KubernetesCluster": CLUSTER}),
    )
    rds = boto3.client("rds", region_name="eu-central-1")
    mark = [{"Key": "millwright:environment", "Value": "local"}]
    rds.create_db_parameter_group(
        DBParameterGroupName="forgotten",
        DBParameterGroupFamily="postgres17",
        Description="-",
        Tags=mark,
    )
    with pytest.raises(InfrastructureError, match="forgotten"):
        destroy(stack, leftovers, lambda event: None)
    assert stack.resources() == ()
    rds.delete_db_parameter_group(DBParameterGroupName="forgotten")
    assert leftovers.left() == []
    done = destroy(stack, leftovers, lambda event: None)
    assert (done.cleared, done.kept, done.stopped) == ((), (), ("cloud",))


def _remove_everything_of(cluster: str) -> None:

    footprint = Footprint(
        environment="other",
        cluster=cluster,
        owners=frozenset({cluster}),
        keeps_snapshots=True,
        keeps_disks=True,
    )
    removed = clear(boto3.Session(region_name="eu-central-1"), footprint)
    assert ("ec2", "volume") not in {(one.leftover.service, one.leftover.kind) for one in removed}
    assert ("elb", "classic-loadbalancer") in {
        (one.leftover.service, one.leftover.kind) for one in removed
    }
