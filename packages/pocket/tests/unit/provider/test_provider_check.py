"""What a preview refuses, in the words that a person sees, and what Check fills in."""

import json

import pytest

from pocket.provider.aws import Aws, Settings
from pocket.provider.check import check
from pocket.provider.shapes import Problem
from pocket.provider.types import TABLE
from pocket.provider.values import UNKNOWN, secret

AWS = Aws(Settings(default_tags={"Project": "demo"}))


def checked(token: str, seed: bytes = b"seed", olds: dict | None = None, **inputs: object):
    row = TABLE[token]
    return check(row, AWS, f"urn:pulumi:s::p::{token}::Thing", olds or {}, inputs, seed)


def problems(token: str, **inputs: object) -> list[str]:
    return [f"{p.property}: {p.reason}" for p in checked(token, **inputs)[1]]


ROLE, BUCKET = "aws:iam/role:Role", "aws:s3/bucket:Bucket"
WAREHOUSE = "aws:redshift/cluster:Cluster"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "s"}}
        ],
    }
)
CACHE = {
    "description": "d",
    "engine": "valkey",
    "nodeType": "cache.t4g.micro",
}
CLUSTER = {"clusterIdentifier": "warehouse", "nodeType": "ra3.xlplus", "masterUsername": "keeper"}
ON_DEMAND = {"hashKey": "id", "billingMode": "PAY_PER_REQUEST"}
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
DELIVERY = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"
TO_LAKE = {"bucketArn": "arn:aws:s3:::lake", "roleArn": "arn:aws:iam::123456789012:role/r"}
CONTROL = {"roleArn": "arn:aws:iam::123456789012:role/r"}

REFUSED = [
    (BUCKET, {"buket": "x"}, "buket: s3.Bucket has no property buket (did you mean bucket?)"),
    (BUCKET, {"bucket": "Upper_Case"}, 'bucket: "Upper_Case" is refused: a bucket'),
    (BUCKET, {"bucket": "ab"}, 'bucket: "ab" is refused'),
    (BUCKET, {"bucket": "192.168.1.1"}, "192.168.1.1"),
    (BUCKET, {"tags": ["a"]}, "tags: expected a map, got list"),
    (ROLE, {}, "assumeRolePolicy: iam.Role needs assumeRolePolicy"),
    (ROLE, {"assumeRolePolicy": "{"}, "assumeRolePolicy: is not well-formed JSON"),
    (
        ROLE,
        {"assumeRolePolicy": '{"Statement": [{"Effect": "allow", "Action": "a"}]}'},
        "Statement[0]: Effect must be Allow or Deny, not 'allow'",
    ),
    (
        ROLE,
        {"assumeRolePolicy": TRUST, "maxSessionDuration": 60},
        "maxSessionDuration: 60 is outside 3600 to 43200",
    ),
    (ROLE, {"assumeRolePolicy": TRUST, "name": "x" * 65}, "name: has 65 characters"),
    (
        "aws:iam/policy:Policy",
        {"policy": '{"Statement": {"Effect": "Allow", "Actions": "s3:*"}}'},
        "a statement has no element Actions (did you mean Action?)",
    ),
    (WAREHOUSE, {**CLUSTER, "nodeType": "ra3.xplus"}, "(did you mean ra3.xlplus?)"),
    (
        WAREHOUSE,
        {**CLUSTER, "masterPassword": "secret"},
        "the password needs an upper-case letter, a digit, 8 to 64 characters",
    ),
    (WAREHOUSE, {**CLUSTER, "masterPassword": "Secret/123"}, "must not hold / @"),
    (WAREHOUSE, {**CLUSTER, "masterUsername": "user"}, "reserved word"),
    (WAREHOUSE, {**CLUSTER, "nodeType": "ra3.16xlarge"}, "has at least 2 nodes"),
    (
        "aws:elasticache/replicationGroup:ReplicationGroup",
        {**CACHE, "replicationGroupId": "a" * 41},
        "has 41 characters; at most 40 are allowed",
    ),
    (
        "aws:elasticache/replicationGroup:ReplicationGroup",
        {**CACHE, "automaticFailoverEnabled": True, "numCacheClusters": 1},
        "automatic failover needs at least 2 caches",
    ),
    ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.1/16"}, '"10.0.0.1/16" is not a CIDR block'),
    ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/8"}, "the block size must be /16 to /28"),
    ("aws:ec2/vpc:Vpc", {"instanceTenancy": "dedicate"}, '"dedicate" is not one of default'),
    ("aws:kms/key:Key", {"deletionWindowInDays": 3}, "3 is outside 7 to 30"),
    ("aws:kms/alias:Alias", {"targetKeyId": "k", "name": "lake"}, "an alias is alias/"),
    (
        "aws:dynamodb/table:Table",
        {
            "hashKey": "id",
            "attributes": [{"name": "at", "type": "S"}],
            "billingMode": "PAY_PER_REQUEST",
        },
        "attributes: the key id is not among the attributes",
    ),
    (
        "aws:dynamodb/table:Table",
        {
            "hashKey": "id",
            "attributes": [{"name": "id", "type": "T"}],
            "billingMode": "PAY_PER_REQUEST",
        },
        'attributes[0].type: "T" is not one of S, N, B',
    ),
    (
        "aws:eks/cluster:Cluster",
        {**CONTROL, "vpcConfig": {"subnetIds": ["subnet-1"]}},
        "a cluster needs subnets in at least two zones",
    ),
    (
        "aws:eks/cluster:Cluster",
        {**CONTROL, "vpcConfig": {"subnetIds": ["a", "b"], "publicAccess": True}},
        "vpcConfig has no property publicAccess",
    ),
    (
        "aws:rds/subnetGroup:SubnetGroup",
        {"subnetIds": ["subnet-1"]},
        "at least 2 are needed: a database's subnets cover two zones",
    ),
    ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 31}, "31 is not one of 0, 1, 3"),
    (
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": "b", "versioningConfiguration": {"status": "On"}},
        'versioningConfiguration.status: "On" is not one of Enabled, Suspended',
    ),
    (
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"securityGroupId": "sg-1", "ipProtocol": "-1", "fromPort": 1},
        "with ipProtocol -1 (all) no ports are given",
    ),
    (
        "aws:secretsmanager/secret:Secret",
        {"recoveryWindowInDays": 3},
        "3 is neither 0 (none) nor 7 to 30 days",
    ),
    (TEMPLATE, {"name": "a b"}, 'name: "a b" is refused: a launch template'),
    (
        TEMPLATE,
        {"updateDefaultVersion": True, "defaultVersion": 1},
        "only one of defaultVersion and updateDefaultVersion may be given",
    ),
    (
        TEMPLATE,
        {"blockDeviceMappings": [{"ebs": {"kmsKeyId": "k", "encrypted": "false"}}]},
        "blockDeviceMappings[0].ebs.encrypted: must be true where kmsKeyId names a key",
    ),
    (TEMPLATE, {"metadataOptions": {"httpTokens": "no"}}, '"no" is not one of optional, required'),
    (DELIVERY, {"destination": "extended_s3"}, "the destination extended_s3 needs its"),
    (DELIVERY, {"destination": "splunk"}, '"splunk" is not one of extended_s3'),
    (
        DELIVERY,
        {"destination": "extended_s3", "extendedS3Configuration": {**TO_LAKE, "bufferingSize": 0}},
        "0 is outside",
    ),
    (
        DELIVERY,
        {
            "destination": "extended_s3",
            "extendedS3Configuration": TO_LAKE,
            "kinesisSourceConfiguration": {
                "kinesisStreamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/s",
                "roleArn": "arn:aws:iam::123456789012:role/r",
            },
            "serverSideEncryption": {"enabled": True},
        },
        "a delivery stream that reads a Kinesis stream has that one's",
    ),
]


@pytest.mark.parametrize(("token", "inputs", "sentence"), REFUSED)
def test_a_preview_refuses_with_a_sentence(token: str, inputs: dict, sentence: str) -> None:
    assert any(sentence in problem for problem in problems(token, **inputs)), problems(
        token, **inputs
    )


def test_what_is_not_known_yet_is_refused_by_nobody() -> None:
    for token, row in TABLE.items():
        given = {name: UNKNOWN for name in row.schema.inputs if name != "tags"}
        assert checked(token, **given)[1] == [], token


def test_a_name_is_generated_once_and_kept() -> None:
    first, _ = checked(BUCKET)
    assert first["bucket"].startswith("thing-")
    assert len(first["bucket"]) == len("thing-") + 7
    assert first["__defaults"] == ["bucket"]
    assert checked(BUCKET, seed=b"other", olds=first)[0]["bucket"] == first["bucket"]
    assert checked(BUCKET, seed=b"other")[0]["bucket"] != first["bucket"]
    assert checked(BUCKET)[0] == first


def test_a_name_given_before_is_not_kept_when_it_is_left_out() -> None:
    given, _ = checked(BUCKET, bucket="given")
    assert checked(BUCKET, olds=given)[0]["bucket"] != "given"


def test_the_provider_s_tags_join_the_resource_s() -> None:
    inputs, _ = checked(BUCKET, tags={"Team": "ml"})
    assert inputs["tags"] == {"Team": "ml"}
    assert inputs["tagsAll"] == {"Project": "demo", "Team": "ml"}


def test_secrets_keep_their_marks() -> None:
    inputs, failures = checked(WAREHOUSE, **CLUSTER, masterPassword=secret("Secret-123"))
    assert inputs["masterPassword"] == secret("Secret-123")
    assert failures == []


def test_a_problem_is_a_property_and_a_reason() -> None:
    assert checked(ROLE)[1] == [Problem("assumeRolePolicy", "iam.Role needs assumeRolePolicy")]
