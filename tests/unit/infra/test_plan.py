"""What every environment is made of: counts, URNs and outputs, frozen.

A URN that changes is a resource replaced: for a database, its data lost. So the URNs are golden
files, and changing one takes ``UPDATE_GOLDEN=1`` and a reviewer who sees the difference.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.outputs import PlatformOutputs

GOLDEN = Path(__file__).parent / "golden"
ENVIRONMENTS = sorted(
    path.name.split(".")[1] for path in Path(__file__).resolve().parents[3].glob("Pulumi.*.yaml")
)


OPERATOR = "millwright:kubernetes:Operator$"


def compare(file: str, lines: list[str]) -> None:
    """Compare with the golden file, or write it where that is asked for."""
    path = GOLDEN / file
    text = "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_resources_by_type(name: str, planned: Callable) -> None:
    counts = Counter(one.type for one in planned(name).resources if OPERATOR not in one.urn)
    compare(f"{name}.types.txt", [f"{count:4} {kind}" for kind, count in sorted(counts.items())])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_urns(name: str, planned: Callable) -> None:
    urns = [resource.urn for resource in planned(name).resources]
    assert len(set(urns)) == len(urns)
    # The operator's objects are its own files', which have their own tests.
    compare(f"{name}.urns.txt", [urn for urn in urns if OPERATOR not in urn])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_outputs_are_the_contract(name: str, planned: Callable) -> None:
    outputs = PlatformOutputs.parse(planned(name).outputs)
    assert outputs.environment == name
    assert outputs.roles.keys() >= {"pipelines", "training", "serving", "feature_server"}
    assert outputs.cache.tls == (name != "local")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_one_explicit_provider_serves_everything(name: str, planned: Callable) -> None:
    plan = planned(name)
    (provider,) = plan.of("pulumi:providers:aws")
    made = [one for one in plan.resources if one.type.startswith("aws:")]
    assert {one.provider.rsplit("::", 1)[0] for one in made} == {provider.urn}
    assert not {"accessKey", "secretKey", "endpoints"} & provider.inputs.keys()


def test_adding_a_zone_moves_nothing(planned_from: Callable) -> None:
    def subnets(*zones: str) -> dict[str, str]:
        found = planned_from(network={"zones": list(zones)}).of("ec2/subnet:Subnet")
        return {one.urn: one.inputs["cidrBlock"] for one in found}

    two, three = subnets("a", "c"), subnets("c", "b", "a")
    assert len(two) == 6
    assert len(three) == 9
    assert two.items() <= three.items()


@pytest.mark.parametrize(("nat", "gateways", "routes"), [("none", 0, 1), ("single", 1, 3)])
def test_nat_by_setting(nat: str, gateways: int, routes: int, planned_from: Callable) -> None:
    plan = planned_from(network={"nat": nat})
    assert len(plan.of("ec2/natGateway:NatGateway")) == gateways
    assert len(plan.of("ec2/eip:Eip")) == gateways
    assert len(plan.of("ec2/route:Route")) == routes


EXISTING = {
    "vpc": "vpc-0123456789abcdef0",
    "private_subnets": ["subnet-0a000000000000001", "subnet-0a000000000000002"],
    "database_subnets": ["subnet-0d000000000000001", "subnet-0d000000000000002"],
}


def test_an_existing_network_is_used_and_nothing_of_it_is_made(planned_from: Callable) -> None:
    network = {"cidr": "10.20.0.0/22", "existing": EXISTING, "endpoints": ["sts"]}
    plan = planned_from(network=network)
    assert {
        one.type.split(":")[1] for one in plan.resources if one.type.startswith("aws:ec2/")
    } == {*("ec2/securityGroup", "ec2/vpcEndpoint", "ec2/flowLog", "ec2/launchTemplate")}
    groups = plan.of("ec2/securityGroup:SecurityGroup")
    assert {one.inputs["vpcId"] for one in groups} == {EXISTING["vpc"]}
    rules = [rule["cidrBlocks"] for one in groups for rule in one.inputs["ingress"]]
    assert rules == [["10.20.0.0/22"]] * len(groups)
    (cluster,) = plan.of("eks/cluster:Cluster")
    assert cluster.inputs["vpcConfig"]["subnetIds"] == EXISTING["private_subnets"]
    for kind in ("redshift/subnetGroup", "rds/subnetGroup", "elasticache/subnetGroup"):
        (subnets,) = plan.of(f"{kind}:SubnetGroup")
        assert subnets.inputs["subnetIds"] == EXISTING["database_subnets"]
    mounts = {one.name: one.inputs["subnetId"] for one in plan.of("efs/mountTarget:MountTarget")}
    assert mounts == {f"files-{one}": one for one in EXISTING["private_subnets"]}
    assert plan.outputs["network"]["vpc_id"] == EXISTING["vpc"]


def test_who_reaches_the_databases_of_an_existing_network(planned_from: Callable) -> None:
    narrow = {**EXISTING, "private_cidrs": ["10.20.1.0/24"]}
    plan = planned_from(network={"cidr": "10.20.0.0/16", "existing": narrow})
    groups = plan.of("ec2/securityGroup:SecurityGroup")
    assert {tuple(rule["cidrBlocks"]) for one in groups for rule in one.inputs["ingress"]} == {
        ("10.20.1.0/24",)
    }


def test_an_existing_bucket_is_used_and_never_touched(planned_from: Callable) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/0a"
    plan = planned_from(lake={"existing": {"raw": "our-data"}, "existing_keys": [key]})
    own = {one.name: one.inputs["bucket"] for one in plan.of("s3/bucket:Bucket")}
    assert own.keys() == {"curated", "artifacts", "logs"}
    assert not [one for one in plan.resources if "our-data" in str(one.inputs.get("bucket"))]
    assert plan.outputs["lake"]["raw"] == "our-data"
    (stream,) = plan.of("kinesis/firehoseDeliveryStream:FirehoseDeliveryStream")
    destination = stream.inputs["extendedS3Configuration"]
    assert destination["bucketArn"] == "arn:aws:s3:::our-data"
    policies = [str(one.inputs["policy"]) for one in plan.of("iam/rolePolicy:RolePolicy")]
    reading = [one for one in policies if "arn:aws:s3:::our-data" in one]
    assert len(reading) > 2
    assert all(key in one for one in reading)


def test_nodes_start_from_the_image_of_their_machines(planned_from: Callable) -> None:
    kinds = {
        "system": ("m7g.large", "AL2023_ARM_64_STANDARD"),
        "general": ("m7i.large", "AL2023_x86_64_STANDARD"),
        "gpu": ("g5.xlarge", "AL2023_x86_64_NVIDIA"),
        "arm-gpu": ("g5g.xlarge", "AL2023_ARM_64_NVIDIA"),
        "neuron": ("inf2.xlarge", "AL2023_x86_64_NEURON"),
    }
    groups = {name: {"instance_types": [kind], "min": 1} for name, (kind, _) in kinds.items()}
    plan = planned_from(cluster={"node_groups": groups})
    images = {one.name: one.inputs["amiType"] for one in plan.of("eks/nodeGroup:NodeGroup")}
    assert images == {name: image for name, (_, image) in kinds.items()}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_nothing_is_ignored_before_it_stands(name: str, planned: Callable) -> None:
    """What is ignored keeps the value of the last deployment, beside whatever changes now."""
    assert [one.urn for one in planned(name).resources if one.ignored] == []
