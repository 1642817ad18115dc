"""What has the name of a resource whose creation was interrupted is adopted only if it is ours."""

from typing import Any

import pytest

from pocket.provider.ownership import ForeignError
from pocket.provider.requests import RefusedError
from pocket_testing.provider_cases.making import key, trust
from pocket_testing.provider_world import Resource, World, urn_of

ROLE, BUCKET = "aws:iam/role:Role", "aws:s3/bucket:Bucket"
ALARM, STREAM = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:kinesis/stream:Stream"
ALIAS, VERSIONING = "aws:kms/alias:Alias", "aws:s3/bucketVersioning:BucketVersioning"


def asked_for(world: World, token: str, **inputs: Any) -> Resource:
    """A resource of which nobody knows whether its creation was sent."""
    checked, failures = world.check(token, inputs)
    assert failures == []
    return Resource(token, urn_of(token), "", checked, {})


def foreign_role(world: World) -> Resource:
    iam = world.provider.aws.client("iam")
    iam.create_role(RoleName="taken", AssumeRolePolicyDocument=trust())
    return asked_for(world, ROLE, name="taken", assumeRolePolicy=trust())


def foreign_alarm(world: World) -> Resource:
    """Creating an alarm overwrites one of the same name: here nothing else would refuse."""
    alarm = {"name": "taken", "comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1}
    metric = {"metricName": "Errors", "namespace": "Theirs", "period": 60, "statistic": "Sum"}
    world.provider.aws.client("cloudwatch").put_metric_alarm(
        AlarmName="taken",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Threshold=9,
        **{name[0].upper() + name[1:]: value for name, value in metric.items()},
        Tags=[{"Key": "Project", "Value": "another"}],
    )
    return asked_for(world, ALARM, **alarm, **metric, threshold=1)


def foreign_stream(world: World) -> Resource:
    world.provider.aws.client("kinesis").create_stream(StreamName="taken", ShardCount=1)
    return asked_for(world, STREAM, name="taken", shardCount=1)


def tagged_bucket(world: World) -> Resource:
    s3 = world.provider.aws.client("s3")
    s3.create_bucket(Bucket="taken")
    theirs = {"TagSet": [{"Key": "Project", "Value": "another"}]}
    s3.put_bucket_tagging(Bucket="taken", Tagging=theirs)
    return asked_for(world, BUCKET, bucket="taken")


def full_bucket(world: World) -> Resource:
    s3 = world.provider.aws.client("s3")
    s3.create_bucket(Bucket="full")
    s3.put_object(Bucket="full", Key="theirs", Body=b"data")
    return asked_for(world, BUCKET, bucket="full")


def foreign_alias(world: World) -> Resource:
    """A type without tags: another key is what makes it somebody else's."""
    theirs, ours = key(world), world.create("aws:kms/key:Key", {}, name="ours")
    kms = world.provider.aws.client("kms")
    kms.create_alias(AliasName="alias/taken", TargetKeyId=theirs.id)
    return asked_for(world, ALIAS, name="alias/taken", targetKeyId=ours["keyId"])


@pytest.mark.parametrize(
    "make",
    [foreign_role, foreign_alarm, foreign_stream, tagged_bucket, full_bucket, foreign_alias],
    ids=lambda make: make.__name__,
)
def test_somebody_elses_is_not_adopted(world: World, make: Any) -> None:
    lost = make(world)
    with pytest.raises(ForeignError, match="this stack did not make it") as caught:
        world.adopt(lost)
    assert caught.value.where == lost.urn
    assert "another name" in caught.value.fix
    assert "import" in caught.value.fix


def test_a_bucket_killed_before_its_tags_is_ours(world: World) -> None:
    world.provider.aws.client("s3").create_bucket(Bucket="half")
    adopted = world.adopt(asked_for(world, BUCKET, bucket="half"))
    assert adopted is not None
    world.delete(adopted)


def test_the_same_alias_is_ours(world: World) -> None:
    ours = key(world)
    world.provider.aws.client("kms").create_alias(AliasName="alias/same", TargetKeyId=ours.id)
    adopted = world.adopt(asked_for(world, ALIAS, name="alias/same", targetKeyId=ours["keyId"]))
    assert adopted is not None
    world.delete(adopted)


def test_a_setting_that_nobody_wrote_is_nobodys(world: World) -> None:
    bucket = world.create(BUCKET, {"bucket": "unset"}, name="unset")
    client = world.provider.aws.client("s3")
    client.put_bucket_versioning(Bucket=bucket.id, VersioningConfiguration={"Status": "Suspended"})
    wanted = {"bucket": bucket.id, "versioningConfiguration": {"status": "Enabled"}}
    assert world.adopt(asked_for(world, VERSIONING, **wanted)) is None


def test_a_bucket_that_stands_is_not_created_again(world: World) -> None:
    """In us-east-1 S3 itself would say yes to its owner."""
    world.provider.aws.client("s3").create_bucket(Bucket="standing")
    with pytest.raises(RefusedError, match="you own the bucket standing already") as caught:
        world.create(BUCKET, {"bucket": "standing"})
    assert "another name" in caught.value.fix
