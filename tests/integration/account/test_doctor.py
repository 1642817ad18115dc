"""What the doctor finds in an account, asked of a real AWS API."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from account.doctor import Check, account, machine, quotas
from contracts.environment import Environment
from pocket.emulator import CloudEndpoints, environment

PROJECT = Path(__file__).resolve().parents[3]


def document(account: str, **changed: object) -> Environment:
    return Environment.parse(
        {
            "name": "doctored",
            "tier": "dev",
            "account": account,
            "region": "eu-central-1",
            **changed,
        }
    )


@pytest.fixture
def session(cloud: CloudEndpoints, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    return boto3.Session()


def test_the_account_of_the_document_is_examined(session: boto3.Session) -> None:
    rows = {one.about: one for one in account.checks(document("123456789012"), session)}
    assert rows["Credentials"].state == "ok"
    assert rows["Region eu-central-1"].found == "with eu-central-1a, eu-central-1b"
    assert rows["VPCs"].found.endswith("1 wanted")
    buckets = [one for about, one in rows.items() if about.startswith("Bucket ")]
    assert [one.found for one in buckets] == ["the name is free"] * 4


def test_a_bucket_that_is_there_is_ours(session: boto3.Session) -> None:
    ours = document("123456789012", name="doctored2")
    s3 = session.client("s3", region_name="eu-central-1")
    place = {"LocationConstraint": "eu-central-1"}
    name = "millwright-doctored2-raw-123456789012"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    try:
        row = account.bucket(session, ours, "raw")
    finally:
        s3.delete_bucket(Bucket=name)
    assert (row.state, row.found) == ("ok", "there already, and ours")


def test_another_account_stops_everything_else(session: boto3.Session) -> None:
    rows = list(account.checks(document("999999999999"), session))
    assert [one.state for one in rows] == ["missing"]
    assert "of the account 123456789012" in rows[0].found
    assert "sign in there" in rows[0].fix


def test_a_zone_that_is_not_there(session: boto3.Session) -> None:
    row = account.region(session, document("123456789012", network={"zones": ["a", "h"]}))
    assert row.state == "missing"
    assert row.found == "without eu-central-1h"
    assert "eu-central-1b" in row.fix


def test_a_version_is_judged_by_what_eks_says_of_it(session: boto3.Session) -> None:
    states = {"STANDARD_SUPPORT": "ok", "EXTENDED_SUPPORT": "warning", "UNSUPPORTED": "missing"}
    eks = session.client("eks", region_name="eu-central-1")
    offered = eks.describe_cluster_versions()
    newest = eks.describe_cluster_versions(clusterVersions=["1.35"])["clusterVersions"]
    assert [one["clusterVersion"] for one in newest] == ["1.35"]
    for one in offered["clusterVersions"]:
        wanted = document("123456789012", cluster={"version": one["clusterVersion"]})
        row = account.kubernetes(session, wanted)
        assert row.state == states[one["versionStatus"]]
        assert (row.fix == "") == (row.state == "ok")
    row = account.kubernetes(session, document("123456789012", cluster={"version": "1.49"}))
    assert (row.state, row.found) == ("missing", "not offered by EKS")


def test_a_quota_without_room_says_how_to_ask_for_more(session: boto3.Session) -> None:
    small = quotas.Quota(
        about="VPCs",
        service="vpc",
        code="L-F678F1CE",
        uses=lambda document: 1000,
        used=lambda clients: 2,
    )
    row = quotas.room(session, document("123456789012"), small)
    assert row.state == "missing"
    assert "--quota-code L-F678F1CE --desired-value 1002" in row.fix


def test_the_machine(tmp_path: Path) -> None:
    local = Environment.read(PROJECT / "Pulumi.local.yaml")
    rows = {one.about: one for one in machine.checks(PROJECT, local)}
    assert {rows[one].state for one in ("Python", "Redis", "Envoy", "Ports")} == {"ok"}
    lock = tmp_path / "requirements.lock"
    lock.write_text('pydantic==0.1 \\\n    --hash=sha256:00\nabsent==1 ; sys_platform == "plan9"\n')
    row = machine.locked(lock)
    assert (row.state, row.fix) == ("missing", "Run `make setup`.")
    assert row.found.startswith("1 of 1 differ from the lock: pydantic ")
    assert machine.locked(tmp_path / "none").state == "missing"


def test_an_existing_network_and_bucket_are_looked_at(session: boto3.Session) -> None:
    ec2 = session.client("ec2", region_name="eu-central-1")
    vpc = ec2.create_vpc(CidrBlock="10.6.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.6.{number}.0/24", AvailabilityZone=f"eu-central-1{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("abaa")
    ]

    def looked_at(cidr: str, *databases: str) -> Check:
        existing = {
            "vpc": vpc,
            "private_subnets": subnets[:2],
            "database_subnets": databases or subnets[:2],
        }
        network = {"cidr": cidr, "existing": existing}
        return account.existing_network(session, document("123456789012", network=network))

    bad = looked_at("10.9.0.0/16", *subnets[2:])
    assert bad.state == "missing"
    for fault in (
        "its addresses are 10.6.0.0/16, network.cidr says 10.9.0.0/16",
        "database_subnets are all in one zone",
        f"{subnets[0]} has no tag kubernetes.io/role/internal-elb",
        "DNS host names are off",
    ):
        assert fault in bad.found
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    tags = [{"Key": "kubernetes.io/role/internal-elb", "Value": "1"}]
    ec2.create_tags(Resources=subnets[:2], Tags=tags)
    assert looked_at("10.6.0.0/16").state == "ok"
    assert looked_at("10.6.0.0/16", subnets[0], "subnet-0123456789abcdef0").state == "missing"
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)

    taken = document("123456789012", lake={"existing": {"raw": "doctored-existing"}})
    assert account.existing_bucket(session, taken, "doctored-existing").state == "missing"
    abouts = [one.about for one in account.checks(taken, session)]
    assert "Bucket doctored-existing" in abouts
    assert "Bucket millwright-doctored-raw-123456789012" not in abouts


def test_a_name_that_something_else_has_is_seen(session: boto3.Session) -> None:
    ours = document("123456789012", name="named")
    assert account.taken(session, ours).state == "ok"
    dynamodb = session.client("dynamodb", region_name="eu-central-1")
    name = "millwright-named-features"
    key = {"AttributeName": "id", "KeyType": "HASH"}
    dynamodb.create_table(
        TableName=name,
        KeySchema=[key],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        row = account.taken(session, ours)
        assert (row.state, row.found) == ("missing", f"taken: dynamodb table {name}")
        arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
        tags = [{"Key": "millwright:environment", "Value": "named"}]
        dynamodb.tag_resource(ResourceArn=arn, Tags=tags)
        assert account.taken(session, ours).state == "ok"
    finally:
        dynamodb.delete_table(TableName=name)


def test_quotas_count_what_the_groups_need() -> None:
    def wanted(**groups: dict[str, object]) -> dict[str, int]:
        environment = document("123456789012", cluster={"node_groups": groups})
        return {quota.about: quota.uses(environment) for quota in quotas.QUOTAS}

    found = wanted(
        system={"instance_types": ["m7i.2xlarge"], "min": 2},
        burst={"instance_types": ["c7i.4xlarge"], "spot": True},
        gpu={"instance_types": ["g5.2xlarge"], "max": 4},
    )
    assert found["vCPUs of standard instances"] == 16
    assert found["vCPUs of G and VT instances"] == 8
    assert found["vCPUs of standard spot instances"] == 16
    assert found["vCPUs of P instances"] == 0
    assert (
        wanted(system={"instance_types": ["m7i.large"], "min": 1})["vCPUs of G and VT instances"]
        == 0
    )
