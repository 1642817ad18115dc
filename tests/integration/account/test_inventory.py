"""The inventory sees what is there of an environment, of every kind, and only that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from account.inventory import ENVIRONMENT_TAG, inventory

Client = Callable[[str], Any]


# Every way in which AWS's services take and show tags.
_MAKERS: dict[
    str, tuple[str, Callable[[Any, list[dict[str, str]]], Any], Callable[[Any, Any], Any]]
]
_MAKERS = {
    "bucket": (
        "s3",
        lambda s3, tags: [
            s3.create_bucket(Bucket="inventory-bucket"),
            s3.put_bucket_tagging(Bucket="inventory-bucket", Tagging={"TagSet": tags}),
        ],
        lambda s3, made: s3.delete_bucket(Bucket="inventory-bucket"),
    ),
    "key": (
        "kms",
        lambda kms, tags: kms.create_key(
            Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]
        ),
        lambda kms, made: kms.schedule_key_deletion(KeyId=made["KeyMetadata"]["KeyId"]),
    ),
    "table": (
        "dynamodb",
        lambda dynamodb, tags: dynamodb.create_table(
            TableName="inventory",
            KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            Tags=tags,
        ),
        lambda dynamodb, made: dynamodb.delete_table(TableName="inventory"),
    ),
    "log-group": (
        "logs",
        lambda logs, tags: logs.create_log_group(
            logGroupName="/inventory", tags={tag["Key"]: tag["Value"] for tag in tags}
        ),
        lambda logs, made: logs.delete_log_group(logGroupName="/inventory"),
    ),
    "secret": (
        "secretsmanager",
        lambda secrets, tags: secrets.create_secret(Name="inventory", Tags=tags),
        lambda secrets, made: secrets.delete_secret(
            SecretId="inventory", ForceDeleteWithoutRecovery=True
        ),
    ),
    "replicationgroup": (
        "elasticache",
        lambda cache, tags: cache.create_replication_group(
            ReplicationGroupId="inventory", ReplicationGroupDescription="-", Tags=tags
        ),
        lambda cache, made: cache.delete_replication_group(ReplicationGroupId="inventory"),
    ),
    "role": (
        "iam",
        lambda iam, tags: iam.create_role(
            RoleName="inventory", AssumeRolePolicyDocument="{}", Tags=tags
        ),
        lambda iam, made: iam.delete_role(RoleName="inventory"),
    ),
    "volume": (
        "ec2",
        lambda ec2, tags: ec2.create_volume(
            AvailabilityZone="us-east-1a",
            Size=1,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
        ),
        lambda ec2, made: ec2.delete_volume(VolumeId=made["VolumeId"]),
    ),
}


@pytest.mark.long
def test_the_inventory_sees_what_is_left_and_only_that(client: Client) -> None:
    tags = [{"Key": ENVIRONMENT_TAG, "Value": "inventory-test"}]
    session = boto3.Session()
    made = {
        kind: (client(service), make(client(service), tags), remove)
        for kind, (service, make, remove) in _MAKERS.items()
    }
    found = inventory(session, "inventory-test")
    assert sorted(item.kind for item in found) == sorted(_MAKERS)
    assert inventory(session, "another") == []

    for api, result, remove in made.values():
        remove(api, result)
    assert inventory(session, "inventory-test") == []
