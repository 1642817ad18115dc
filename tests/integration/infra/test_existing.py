"""An environment in a network and on a bucket that were there before: used, and left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from pocket.engine import destroy, up
from tests.integration.infra.conftest import connected
from tests.integration.infra.standing import Standing

WITHOUT = {"enabled": False}
"""What says nothing about a network; left out, so that the test is quick."""


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with connected(Standing(tmp_path_factory.mktemp("existing"))) as made:
        yield made


def there_before() -> dict[str, Any]:
    """Somebody's VPC with two zones, and somebody's bucket, as settings."""
    ec2 = boto3.client("ec2", region_name="eu-central-1")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.20.{number}.0/24", AvailabilityZone=f"eu-central-1{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("abab")
    ]
    place = {"LocationConstraint": "eu-central-1"}
    s3 = boto3.client("s3", region_name="eu-central-1")
    s3.create_bucket(Bucket="our-data", CreateBucketConfiguration=place)
    s3.put_object(Bucket="our-data", Key="flights/1", Body=b"1")
    existing = {"vpc": vpc, "private_subnets": subnets[:2], "database_subnets": subnets[2:]}
    return {
        "network": {"cidr": "10.20.0.0/16", "existing": existing},
        "lake": {"existing": {"raw": "our-data"}},
        **dict.fromkeys(("stream", "database", "observability", "budget"), WITHOUT),
    }


@pytest.mark.long
def test_what_was_there_before_is_there_after(standing: Standing) -> None:
    settings = there_before()
    before = standing.there()
    with standing.changed(**settings):
        result = up(standing.workspace)
        assert result.outputs["lake"]["raw"] == "our-data"
        assert result.outputs["network"]["vpc_id"] == settings["network"]["existing"]["vpc"]
        assert up(standing.workspace).changes == ()
        made = {one.kind for one in standing.there()}
        assert {"security-group", "replicationgroup", "cluster", "file-system"} <= made
        assert [one.kind for one in standing.there()].count("vpc") == 1
        destroy(standing.workspace)
    assert standing.there() == before
    body = boto3.client("s3", region_name="eu-central-1").get_object(
        Bucket="our-data", Key="flights/1"
    )
    assert body["Body"].read() == b"1"
