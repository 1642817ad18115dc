"""Warehouses, databases and caches."""

from typing import Any

from pocket_testing.provider_cases.making import (
    TAGS,
    Case,
    a_policy,
    bucket,
    const,
    subnets,
    warehouse,
)
from pocket_testing.provider_world import World

REDSHIFT_CASES = {
    "aws:redshift/subnetGroup:SubnetGroup": Case(
        inputs=lambda world: {"subnetIds": [each.id for each in subnets(world)], **TAGS},
        change={"tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:redshift/parameterGroup:ParameterGroup": Case(
        inputs=const(family="redshift-1.0", **TAGS),
        change={"tags": {"Name": "two"}},
        replace={"family": "redshift-2.0"},
    ),
    "aws:redshift/cluster:Cluster": Case(
        inputs=const(
            clusterIdentifier="warehouse",
            nodeType="ra3.xlplus",
            numberOfNodes=2,
            databaseName="analytics",
            masterUsername="keeper",
            masterPassword="Secret-123",
            skipFinalSnapshot=True,
            **TAGS,
        ),
        change={"nodeType": "ra3.4xlarge", "automatedSnapshotRetentionPeriod": 7},
        replace={"masterUsername": "other"},
        unimported=("masterPassword", "skipFinalSnapshot"),
    ),
    "aws:redshift/logging:Logging": Case(
        inputs=lambda world: {
            "clusterIdentifier": warehouse(world).id,
            "bucketName": _audit_bucket(world),
            "s3KeyPrefix": "audit/",
        },
        change={"s3KeyPrefix": "other/"},
        replace={"clusterIdentifier": "another"},
    ),
}


def _audit_bucket(world: World) -> str:
    logs = bucket(world, "audit")
    statement: dict[str, Any] = {
        "Principal": {"Service": "redshift.amazonaws.com"},
        "Action": ["s3:PutObject", "s3:GetBucketAcl"],
        "Resource": "arn:aws:s3:::audit/*",
    }
    world.create(
        "aws:s3/bucketPolicy:BucketPolicy",
        {"bucket": logs.id, "policy": a_policy(**statement)},
    )
    return str(logs.id)


CACHE_CASES = {
    "aws:elasticache/subnetGroup:SubnetGroup": Case(
        inputs=lambda world: {"subnetIds": [each.id for each in subnets(world)], **TAGS},
        change={"tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": Case(
        inputs=const(
            family="valkey8", parameters=[{"name": "maxmemory-policy", "value": "allkeys-lru"}]
        ),
        change={"parameters": [{"name": "maxmemory-policy", "value": "noeviction"}]},
        replace={"family": "redis7"},
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": Case(
        inputs=const(
            description="online features",
            engine="valkey",
            nodeType="cache.t4g.micro",
            numCacheClusters=2,
            automaticFailoverEnabled=True,
            multiAzEnabled=True,
            atRestEncryptionEnabled=True,
            transitEncryptionEnabled=True,
            snapshotRetentionLimit=1,
            **TAGS,
        ),
        change={"description": "two", "snapshotRetentionLimit": 3, "tags": {"Name": "two"}},
        replace={"atRestEncryptionEnabled": False},
        unimported=("engine",),
    ),
}


def cache_user(world: World) -> Any:
    return world.create(
        "aws:elasticache/user:User",
        {
            "userId": "default-off",
            "userName": "default",
            "engine": "valkey",
            "accessString": "off -@all",
            "noPasswordRequired": True,
        },
        name="user",
    )


CACHE_USER_CASES = {
    "aws:elasticache/user:User": Case(
        inputs=const(
            userId="reader",
            userName="reader",
            engine="valkey",
            accessString="on ~* +@read",
            passwords=["a-long-enough-password"],
        ),
        change={"accessString": "on ~feast:* +@read"},
        replace={"userName": "writer"},
        unimported=("passwords",),
    ),
    "aws:elasticache/userGroup:UserGroup": Case(
        inputs=lambda world: {
            "userGroupId": "everyone",
            "engine": "valkey",
            "userIds": [cache_user(world).id],
        },
        replace={"userGroupId": "another"},
    ),
}
RDS_CASES = {
    "aws:rds/subnetGroup:SubnetGroup": Case(
        inputs=lambda world: {"subnetIds": [each.id for each in subnets(world)], **TAGS},
        change={"description": "changed", "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:rds/parameterGroup:ParameterGroup": Case(
        inputs=const(
            family="postgres16",
            parameters=[{"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"}],
            **TAGS,
        ),
        change={"tags": {"Name": "two"}},
        replace={"family": "postgres17"},
    ),
    "aws:rds/instance:Instance": Case(
        inputs=const(
            instanceClass="db.t4g.micro",
            engine="postgres",
            engineVersion="16",
            allocatedStorage=20,
            dbName="mlflow",
            username="keeper",
            password="Secret-123",
            storageEncrypted=True,
            skipFinalSnapshot=True,
            **TAGS,
        ),
        change={"backupRetentionPeriod": 7, "instanceClass": "db.t4g.small"},
        replace={"username": "other"},
        unimported=("password", "skipFinalSnapshot"),
    ),
}
