"""Catalogues and streams."""

from typing import Any

from pocket_testing.provider_cases.making import (
    TAGS,
    Case,
    Inputs,
    bucket,
    columns,
    const,
    database,
)
from pocket_testing.provider_world import World

GLUE_CASES = {
    "aws:glue/catalogDatabase:CatalogDatabase": Case(
        inputs=const(name="lake", description="one", **TAGS),
        change={"description": "two", "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:glue/catalogTable:CatalogTable": Case(
        inputs=lambda world: {
            "name": "flights",
            "databaseName": database(world)["name"],
            "tableType": "EXTERNAL_TABLE",
            "parameters": {"classification": "parquet"},
            "partitionKeys": [{"name": "month", "type": "int"}],
            "storageDescriptor": columns("delay", "distance"),
        },
        change={"storageDescriptor": columns("delay", "distance", "hour")},
        replace={"name": "another"},
    ),
    "aws:athena/workgroup:Workgroup": Case(
        inputs=const(
            description="analysts",
            forceDestroy=True,
            configuration={
                "enforceWorkgroupConfiguration": True,
                "publishCloudwatchMetricsEnabled": True,
                "bytesScannedCutoffPerQuery": 10 * 1024**3,
                "resultConfiguration": {
                    "outputLocation": "s3://results/",
                    "encryptionConfiguration": {"encryptionOption": "SSE_S3"},
                },
            },
            **TAGS,
        ),
        change={"description": "everybody", "tags": {"Name": "two"}},
        replace={"name": "another"},
        unimported=("forceDestroy",),
    ),
}
STREAM_CASES = {
    "aws:kinesis/stream:Stream": Case(
        inputs=const(
            streamModeDetails={"streamMode": "ON_DEMAND"},
            retentionPeriod=48,
            encryptionType="KMS",
            kmsKeyId="alias/aws/kinesis",
            **TAGS,
        ),
        change={"retentionPeriod": 24, "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:sns/topic:Topic": Case(
        inputs=const(displayName="alarms", kmsMasterKeyId="alias/aws/sns", **TAGS),
        change={"displayName": "bells", "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
}


def delivery(world: World, **settings: Any) -> Inputs:
    arn = world.made[0]["arn"] if world.made else bucket(world)["arn"]
    block = {
        "bucketArn": arn,
        "roleArn": "arn:aws:iam::123456789012:role/delivery",
        "prefix": "events/",
        "errorOutputPrefix": "failed/",
        "compressionFormat": "GZIP",
        "bufferingSize": 64,
        "bufferingInterval": 300,
        "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k",
        "cloudwatchLoggingOptions": {
            "enabled": True,
            "logGroupName": "group",
            "logStreamName": "stream",
        },
        **settings,
    }
    return {"destination": "extended_s3", "extendedS3Configuration": block}
