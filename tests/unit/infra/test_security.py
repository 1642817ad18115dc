"""What must hold of every environment, whatever else changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENTS = sorted(
    path.name.split(".")[1] for path in Path(__file__).resolve().parents[3].glob("Pulumi.*.yaml")
)
BUCKET_PARTS = (
    "s3/bucketPolicy:BucketPolicy",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "s3/bucketVersioning:BucketVersioning",
    "s3/bucketOwnershipControls:BucketOwnershipControls",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
)
HOLDS_DATA = (
    "s3/bucket:Bucket",
    "dynamodb/table:Table",
    "elasticache/replicationGroup:ReplicationGroup",
    "ecr/repository:Repository",
    "kms/key:Key",
    "eks/cluster:Cluster",
)
MAY_HOLD_DATA = (
    "redshift/cluster:Cluster",
    "redshiftserverless/namespace:Namespace",
    "efs/fileSystem:FileSystem",
    "kinesis/stream:Stream",
    "rds/instance:Instance",
)
ACTIONLESS_RESOURCES = {"ReadResults", "SeeNodes"}
"""Statements whose actions know no resource; a condition narrows each of them."""

pytestmark = pytest.mark.parametrize("name", ENVIRONMENTS)


def statements(plan: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy, with the URN of its resource."""
    for resource in plan.resources:
        for key, value in resource.inputs.items():
            if isinstance(value, str) and value.startswith("{") and '"Statement"' in value:
                for statement in json.loads(value)["Statement"]:
                    yield f"{resource.urn} {key} {statement['Sid']}", statement


def test_nothing_is_allowed_by_wildcard(name: str, planned: Callable) -> None:
    for where, statement in statements(planned(name)):
        if statement["Effect"] == "Allow":
            assert not [one for one in statement["Action"] if "*" in one], where
            assert "*" not in json.dumps(statement.get("Principal", "")), where


def test_rights_name_their_resources(name: str, planned: Callable) -> None:
    for where, statement in statements(planned(name)):
        if "iam/rolePolicy" in where and statement["Resource"] in ("*", ["*"]):
            assert statement["Sid"] in ACTIONLESS_RESOURCES, where
            assert statement["Condition"], where


def test_every_bucket_has_all_its_parts(name: str, planned: Callable) -> None:
    plan = planned(name)
    buckets = plan.of("s3/bucket:Bucket")
    assert buckets
    for bucket in buckets:
        of_it = {
            part
            for part in BUCKET_PARTS
            for one in plan.of(part)
            if one.name == bucket.name and one.inputs["bucket"] == f"{bucket.name}-id"
        }
        assert of_it == set(BUCKET_PARTS), bucket.urn


def test_buckets_are_closed_encrypted_and_speak_tls(name: str, planned: Callable) -> None:
    plan = planned(name)
    for block in plan.of(BUCKET_PARTS[1]):
        closed = {key: value for key, value in block.inputs.items() if key != "bucket"}
        assert len(closed) == 4
        assert all(closed.values())
    for encryption in plan.of(BUCKET_PARTS[2]):
        (rule,) = encryption.inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        if encryption.name == "logs":  # S3 delivers access logs under its own key only
            assert default == {"sseAlgorithm": "AES256"}
        else:
            assert default["sseAlgorithm"] == "aws:kms"
            assert default["kmsMasterKeyId"] == "arn:aws:made:::Key/lake"
    for policy in plan.of(BUCKET_PARTS[0]):
        denied = {one["Sid"] for one in policy.policy() if one["Effect"] == "Deny"}
        assert {"TlsOnly", "ModernTlsOnly"} <= denied
        assert ("OwnKeyOnly" in denied) is (policy.name != "logs")


def test_what_holds_data_is_protected_in_prod_alone(name: str, planned: Callable) -> None:
    plan = planned(name)
    for kind in HOLDS_DATA:
        found = plan.of(kind)
        assert found, kind
        assert {one.protect for one in found} == {name == "prod"}, kind
    for one in [one for kind in MAY_HOLD_DATA for one in plan.of(kind)]:
        assert one.protect is (name == "prod"), one.urn
    buckets = plan.of("s3/bucket:Bucket")
    assert {bool(one.inputs.get("forceDestroy")) for one in buckets} == {name in ("local", "dev")}


def test_stores_are_encrypted_and_out_of_reach(name: str, planned: Callable) -> None:
    plan = planned(name)
    for warehouse in plan.of("redshift/cluster:Cluster"):
        assert warehouse.inputs["encrypted"] == "true"
        assert warehouse.inputs["publiclyAccessible"] is False
        assert warehouse.inputs["manageMasterPassword"] is True
        (parameters,) = plan.of("redshift/parameterGroup:ParameterGroup")
        assert {"name": "require_ssl", "value": "true"} in parameters.inputs["parameters"]
    for workgroup in plan.of("redshiftserverless/workgroup:Workgroup"):
        assert workgroup.inputs["publiclyAccessible"] is False
        tls = {"parameterKey": "require_ssl", "parameterValue": "true"}
        assert tls in workgroup.inputs["configParameters"]
    for files in plan.of("efs/fileSystem:FileSystem"):
        assert files.inputs["encrypted"] is True
    for database in plan.of("rds/instance:Instance"):
        assert database.inputs["storageEncrypted"] is True
        assert database.inputs["publiclyAccessible"] is False
        assert database.inputs["manageMasterUserPassword"] is True
        (parameters,) = plan.of("rds/parameterGroup:ParameterGroup")
        assert {"name": "rds.force_ssl", "value": "1"} in parameters.inputs["parameters"]
    for stream in plan.of("kinesis/stream:Stream"):
        assert stream.inputs["encryptionType"] == "KMS"
    (cache,) = plan.of("elasticache/replicationGroup:ReplicationGroup")
    assert cache.inputs["atRestEncryptionEnabled"] is True
    assert cache.inputs["transitEncryptionEnabled"] is (name != "local")
    for table in plan.of("dynamodb/table:Table"):
        assert table.inputs["serverSideEncryption"]["kmsKeyArn"]
        assert table.inputs["pointInTimeRecovery"]["enabled"] is True
        assert table.inputs["deletionProtectionEnabled"] is (name == "prod")


def test_the_network_opens_nothing_by_default(name: str, planned: Callable) -> None:
    plan = planned(name)
    (default,) = plan.of("ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert default.inputs["ingress"] == []
    assert default.inputs["egress"] == []
    for group in plan.of("ec2/securityGroup:SecurityGroup"):
        for rule in group.inputs["ingress"]:
            assert "0.0.0.0/0" not in rule["cidrBlocks"], group.urn
    for subnet in plan.of("ec2/subnet:Subnet"):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False


def test_keys_rotate_and_clusters_log_everything(name: str, planned: Callable) -> None:
    plan = planned(name)
    assert all(key.inputs["enableKeyRotation"] for key in plan.of("kms/key:Key"))
    (cluster,) = plan.of("eks/cluster:Cluster")
    assert len(cluster.inputs["enabledClusterLogTypes"]) == 5
    assert cluster.inputs["encryptionConfig"]["resources"] == ["secrets"]
    assert cluster.inputs["vpcConfig"]["endpointPublicAccess"] is False
    for group in plan.of("cloudwatch/logGroup:LogGroup"):
        assert group.inputs["kmsKeyId"]
        assert group.inputs["retentionInDays"] > 0
    for repository in plan.of("ecr/repository:Repository"):
        assert repository.inputs["imageTagMutability"] == "IMMUTABLE"
        assert repository.inputs["imageScanningConfiguration"]["scanOnPush"] is True


def test_everything_taggable_says_what_it_is_for(name: str, planned: Callable) -> None:
    plan = planned(name)
    (provider,) = plan.of("pulumi:providers:aws")
    common = json.loads(provider.inputs["defaultTags"])["tags"]
    assert common["millwright:environment"] == name
    for resource in plan.resources:
        if tags := resource.inputs.get("tags"):
            assert tags["millwright:concern"], resource.urn
            assert tags["Name"], resource.urn


def test_no_secret_is_in_the_program(name: str, planned: Callable) -> None:
    for resource in planned(name).resources:
        for key, value in resource.inputs.items():
            secretive = "password" in key.lower() or key in ("authToken", "token")
            assert not (secretive and isinstance(value, str) and "arn:" not in value), resource.urn
