"""Logs, alarms, budgets, scaling, topics, and the small ones."""

import json
from typing import Any

from pocket_testing.provider_cases.making import (
    TAGS,
    Case,
    Inputs,
    const,
    file_system,
    in_bucket,
    log_group,
    namespace,
    topic,
)
from pocket_testing.provider_cases.storage import mounting
from pocket_testing.provider_world import World

LOG_CASES = {
    "aws:cloudwatch/logGroup:LogGroup": Case(
        inputs=const(
            retentionInDays=30, kmsKeyId="arn:aws:kms:us-east-1:123456789012:key/k", **TAGS
        ),
        change={"retentionInDays": 90, "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
}
WATCH_CASES = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": Case(
        inputs=const(
            comparisonOperator="GreaterThanThreshold",
            evaluationPeriods=3,
            metricName="CPUUtilization",
            namespace="AWS/Redshift",
            period=300,
            statistic="Average",
            threshold=90,
            dimensions={"ClusterIdentifier": "warehouse"},
            alarmDescription="busy",
            **TAGS,
        ),
        change={"threshold": 80, "evaluationPeriods": 2},
        replace={"name": "another"},
    ),
    "aws:cloudwatch/dashboard:Dashboard": Case(
        inputs=const(dashboardName="platform", dashboardBody=json.dumps({"widgets": []})),
        change={"dashboardBody": json.dumps({"widgets": [{"type": "text"}]})},
        replace={"dashboardName": "another"},
    ),
}


def scaled_table(world: World) -> str:
    table = world.create(
        "aws:dynamodb/table:Table",
        {
            "attributes": [{"name": "id", "type": "S"}],
            "hashKey": "id",
            "readCapacity": 1,
            "writeCapacity": 1,
        },
        name="scaled",
    )
    return f"table/{table.id}"


DIMENSION = {
    "serviceNamespace": "dynamodb",
    "scalableDimension": "dynamodb:table:ReadCapacityUnits",
}


def scaling_target(world: World) -> Any:
    return world.create(
        "aws:appautoscaling/target:Target",
        {**DIMENSION, "resourceId": scaled_table(world), "minCapacity": 1, "maxCapacity": 9},
        name="target",
    )


def tracking(target: int) -> Inputs:
    return {
        "targetTrackingScalingPolicyConfiguration": {
            "targetValue": target,
            "predefinedMetricSpecification": {
                "predefinedMetricType": "DynamoDBReadCapacityUtilization"
            },
        }
    }


SPENDING_CASES = {
    "aws:budgets/budget:Budget": Case(
        inputs=const(
            budgetType="COST",
            timeUnit="MONTHLY",
            limitAmount="100.0",
            limitUnit="USD",
            notifications=[
                {
                    "comparisonOperator": "GREATER_THAN",
                    "notificationType": "FORECASTED",
                    "threshold": 80,
                    "thresholdType": "PERCENTAGE",
                    "subscriberEmailAddresses": ["team@example.com"],
                }
            ],
        ),
        replace={"name": "another"},
    ),
    "aws:appautoscaling/target:Target": Case(
        inputs=lambda world: {
            **DIMENSION,
            "resourceId": scaled_table(world),
            "minCapacity": 1,
            "maxCapacity": 10,
        },
        change={"maxCapacity": 20},
        replace={"resourceId": "table/other"},
    ),
    "aws:appautoscaling/policy:Policy": Case(
        inputs=lambda world: {
            **DIMENSION,
            "resourceId": scaling_target(world)["resourceId"],
            "policyType": "TargetTrackingScaling",
            **tracking(70),
        },
        change=tracking(60),
        replace={"name": "another"},
    ),
}
SMALL_CASES = {
    "aws:redshiftserverless/namespace:Namespace": Case(
        inputs=const(namespaceName="analytics", manageAdminPassword=True),
        replace={"namespaceName": "another"},
    ),
    "aws:redshiftserverless/workgroup:Workgroup": Case(
        inputs=lambda world: {
            "namespaceName": namespace(world).id,
            "workgroupName": "analytics",
            "baseCapacity": 8,
            **TAGS,
        },
        change={"baseCapacity": 16, "tags": {"Name": "two"}},
        replace={"workgroupName": "another"},
    ),
    "aws:cloudwatch/logStream:LogStream": Case(
        inputs=lambda world: {"logGroupName": log_group(world).id, "name": "delivery"},
        replace={"name": "another"},
    ),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "policy": mounting("elasticfilesystem:ClientMount"),
        },
        change={"policy": mounting("elasticfilesystem:ClientWrite")},
        replace={"fileSystemId": "fs-else"},
    ),
    "aws:s3/bucketIntelligentTieringConfiguration:BucketIntelligentTieringConfiguration": Case(
        inputs=in_bucket(name="all", tierings=[{"accessTier": "ARCHIVE_ACCESS", "days": 90}]),
        change={"tierings": [{"accessTier": "ARCHIVE_ACCESS", "days": 120}]},
        replace={"name": "another"},
    ),
    "aws:sns/topicSubscription:TopicSubscription": Case(
        inputs=lambda world: {
            "topic": topic(world).id,
            "protocol": "email",
            "endpoint": "team@example.com",
        },
        replace={"endpoint": "others@example.com"},
    ),
}
