"""Buckets, tables, file systems and repositories."""

import json

from pocket_testing.provider_cases.making import (
    TAGS,
    Case,
    a_policy,
    bucket,
    const,
    file_system,
    group,
    in_bucket,
    subnet,
)
from pocket_testing.provider_world import World


def bucket_policy(effect: str) -> str:
    return a_policy("s3:*", Effect=effect, Principal="*", Resource="arn:aws:s3:::settings/*")


def images_expire(count: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]})


S3_CASES = {
    "aws:s3/bucket:Bucket": Case(
        inputs=const(**TAGS, forceDestroy=True),
        change={"tags": {"Name": "two"}},
        replace={"bucket": "another-bucket"},
        unimported=("forceDestroy",),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Case(
        inputs=in_bucket(versioningConfiguration={"status": "Enabled"}),
        change={"versioningConfiguration": {"status": "Suspended"}},
        replace={"bucket": "elsewhere"},
        stays=True,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Case(
        inputs=in_bucket(
            rules=[
                {
                    "applyServerSideEncryptionByDefault": {
                        "sseAlgorithm": "aws:kms",
                        "kmsMasterKeyId": "arn:aws:kms:us-east-1:123456789012:key/k",
                    },
                    "bucketKeyEnabled": True,
                }
            ]
        ),
        change={"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        replace={"bucket": "elsewhere"},
        stays=True,
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Case(
        inputs=in_bucket(blockPublicAcls=True, blockPublicPolicy=True, ignorePublicAcls=True),
        change={"restrictPublicBuckets": True},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Case(
        inputs=in_bucket(policy=bucket_policy("Deny")),
        change={"policy": bucket_policy("Allow")},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": Case(
        inputs=in_bucket(rule={"objectOwnership": "BucketOwnerEnforced"}),
        change={"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketLogging:BucketLogging": Case(
        inputs=lambda world: {
            "bucket": bucket(world).id,
            "targetBucket": _log_bucket(world),
            "targetPrefix": "access/",
        },
        change={"targetPrefix": "other/"},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Case(
        inputs=in_bucket(
            rules=[
                {
                    "id": "cheaper",
                    "status": "Enabled",
                    "transitions": [{"days": 30, "storageClass": "STANDARD_IA"}],
                    "noncurrentVersionExpiration": {"noncurrentDays": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                },
                {
                    "id": "tmp",
                    "status": "Enabled",
                    "filter": {"prefix": "tmp/"},
                    "expiration": {"days": 7},
                },
            ]
        ),
        change={
            "rules": [
                {
                    "id": "tmp",
                    "status": "Disabled",
                    "filter": {"prefix": "tmp/"},
                    "expiration": {"days": 9},
                }
            ]
        },
        replace={"bucket": "elsewhere"},
    ),
}


def _log_bucket(world: World) -> str:
    logs = bucket(world, "logs")
    world.create(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        {"bucket": logs.id, "rule": {"objectOwnership": "BucketOwnerPreferred"}},
    )
    statement = {
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Resource": "arn:aws:s3:::logs/*",
    }
    world.create(
        "aws:s3/bucketPolicy:BucketPolicy",
        {"bucket": logs.id, "policy": a_policy("s3:PutObject", **statement)},
    )
    return str(logs.id)


DYNAMODB_CASES = {
    "aws:dynamodb/table:Table": Case(
        inputs=const(
            attributes=[{"name": "id", "type": "S"}, {"name": "at", "type": "N"}],
            hashKey="id",
            rangeKey="at",
            billingMode="PAY_PER_REQUEST",
            ttl={"attributeName": "expires", "enabled": True},
            pointInTimeRecovery={"enabled": True},
            serverSideEncryption={
                "enabled": True,
                "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k",
            },
            **TAGS,
        ),
        change={
            "billingMode": "PROVISIONED",
            "readCapacity": 2,
            "writeCapacity": 3,
            "pointInTimeRecovery": {"enabled": False},
            "deletionProtectionEnabled": False,
            "tags": {"Name": "two"},
        },
        replace={"rangeKey": "other"},
    ),
}
REGISTRY_CASES = {
    "aws:ecr/repository:Repository": Case(
        inputs=const(
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
            forceDelete=True,
            **TAGS,
        ),
        change={"imageScanningConfiguration": {"scanOnPush": False}, "tags": {"Name": "two"}},
        replace={"name": "another"},
        unimported=("forceDelete",),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Case(
        inputs=lambda world: {
            "repository": world.create("aws:ecr/repository:Repository", {}, name="images").id,
            "policy": images_expire(30),
        },
        replace={"policy": images_expire(60)},
    ),
}
EFS_CASES = {
    "aws:efs/fileSystem:FileSystem": Case(
        inputs=const(
            encrypted=True,
            lifecyclePolicies=[{"transitionToIa": "AFTER_30_DAYS"}],
            **TAGS,
        ),
        change={
            "lifecyclePolicies": [{"transitionToIa": "AFTER_60_DAYS"}],
            "tags": {"Name": "two"},
        },
        replace={"performanceMode": "maxIO"},
    ),
    "aws:efs/mountTarget:MountTarget": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "subnetId": subnet(world).id,
            "securityGroups": [group(world, next(r for r in world.made if "vpc:" in r.token)).id],
        },
        replace={"subnetId": "subnet-else"},
    ),
    "aws:efs/accessPoint:AccessPoint": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "posixUser": {"uid": 1000, "gid": 1000},
            "rootDirectory": {
                "path": "/training",
                "creationInfo": {"ownerUid": 1000, "ownerGid": 1000, "permissions": "0755"},
            },
            **TAGS,
        },
        change={"tags": {"Name": "two"}},
        replace={"posixUser": {"uid": 1001, "gid": 1000}},
    ),
    "aws:efs/backupPolicy:BackupPolicy": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "backupPolicy": {"status": "ENABLED"},
        },
        replace={"fileSystemId": "fs-else"},
        stays=True,  # as DISABLED, which AWS keeps telling
    ),
}


def mounting(action: str) -> str:
    return a_policy(action, Principal={"AWS": "*"})
