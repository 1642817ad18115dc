"""Alarms for each store and the cluster, the topic that they are published to, and a dashboard of
the same.

An alarm here means that someone has to act: the thresholds are those at which a store stops
answering, not those at which a graph looks unusual. What serving does is watched by the rollouts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, sns

from contracts.environment import Environment
from infra.concern import Concern
from infra.policies import allow, document

ABOVE = "GreaterThanThreshold"
BELOW = "LessThanThreshold"
PERIOD = 300
MIB = 1 << 20
PUBLISHERS = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com")


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A metric, and when someone has to act on it."""

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    threshold: float
    comparison: str = ABOVE
    statistic: str = "Average"
    periods: int = 3


def warehouse_alarms(cluster: pulumi.Input[str]) -> list[Alarm]:
    """A provisioned warehouse that is down or full."""
    at = {"ClusterIdentifier": cluster}
    return [
        Alarm(
            name="warehouse-down",
            description="Redshift does not answer",
            namespace="AWS/Redshift",
            metric="HealthStatus",
            dimensions=at,
            threshold=1,
            comparison=BELOW,
            statistic="Minimum",
        ),
        Alarm(
            name="warehouse-full",
            description="Redshift's disks are nearly full",
            namespace="AWS/Redshift",
            metric="PercentageDiskSpaceUsed",
            dimensions=at,
            threshold=85,
        ),
    ]


def table_alarms(purpose: str, table: pulumi.Input[str]) -> list[Alarm]:
    """A table that refuses requests."""
    return [
        Alarm(
            name=f"{purpose}-{name}",
            description=f"DynamoDB: {text} in {purpose}",
            namespace="AWS/DynamoDB",
            metric=metric,
            dimensions={"TableName": table},
            threshold=0,
            statistic="Sum",
        )
        for name, metric, text in (
            ("read-throttled", "ReadThrottleEvents", "reads are throttled"),
            ("write-throttled", "WriteThrottleEvents", "writes are throttled"),
        )
    ]


def cache_alarms(group: pulumi.Input[str]) -> list[Alarm]:
    """A cache that is full or overworked."""
    at = {"ReplicationGroupId": group}
    return [
        Alarm(
            name=f"cache-{name}",
            description=text,
            namespace="AWS/ElastiCache",
            metric=metric,
            dimensions=at,
            threshold=threshold,
        )
        for name, metric, threshold, text in (
            ("busy", "EngineCPUUtilization", 85.0, "ElastiCache's engine is at its limit"),
            ("full", "DatabaseMemoryUsagePercentage", 85.0, "ElastiCache's memory is nearly full"),
        )
    ]


def database_alarms(instance: pulumi.Input[str]) -> list[Alarm]:
    """A database that is overworked or short of disk."""
    at = {"DBInstanceIdentifier": instance}
    return [
        Alarm(
            name="database-busy",
            description="Postgres has no processor time left",
            namespace="AWS/RDS",
            metric="CPUUtilization",
            dimensions=at,
            threshold=90,
        ),
        Alarm(
            name="database-full",
            description="Postgres has less than 4 GiB of disk left",
            namespace="AWS/RDS",
            metric="FreeStorageSpace",
            dimensions=at,
            threshold=4096 * MIB,
            comparison=BELOW,
        ),
    ]


def file_system_alarms(files: pulumi.Input[str]) -> list[Alarm]:
    """A file system at its limit of operations."""
    return [
        Alarm(
            name="files-busy",
            description="EFS is near its limit of operations",
            namespace="AWS/EFS",
            metric="PercentIOLimit",
            dimensions={"FileSystemId": files},
            threshold=95,
        )
    ]


def stream_alarms(stream: pulumi.Input[str]) -> list[Alarm]:
    """Events that are refused, or not read in time."""
    return [
        Alarm(
            name="events-refused",
            description="Kinesis refuses events",
            namespace="AWS/Kinesis",
            metric="WriteProvisionedThroughputExceeded",
            dimensions={"StreamName": stream},
            threshold=0,
            statistic="Sum",
        ),
        Alarm(
            name="events-late",
            description="Events wait for an hour to be read",
            namespace="AWS/Kinesis",
            metric="GetRecords.IteratorAgeMilliseconds",
            dimensions={"StreamName": stream},
            threshold=3_600_000,
            statistic="Maximum",
        ),
    ]


def cluster_alarms(cluster: pulumi.Input[str]) -> list[Alarm]:
    """A Kubernetes API that fails."""
    return [
        Alarm(
            name="cluster-failing",
            description="The Kubernetes API answers with server errors",
            namespace="AWS/EKS",
            metric="apiserver_request_total_5XX",
            dimensions={"ClusterName": cluster},
            threshold=25,
            statistic="Sum",
        )
    ]


class Observability(Concern):
    """The topic, the alarms and the dashboard."""

    def __init__(
        self,
        environment: Environment,
        *,
        alarms: list[Alarm],
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("observability", environment, opts)
        self.topic = self._topic(key_arn)
        for alarm in alarms:
            self._alarm(alarm)
        cloudwatch.Dashboard(
            "dashboard",
            dashboard_name=self.names.name("platform"),
            dashboard_body=dashboard(alarms, environment.region),
            opts=self.child(),
        )
        self.register_outputs({})

    def _topic(self, key_arn: pulumi.Input[str]) -> sns.Topic:
        name = self.names.name("alarms")
        publish = allow(
            "Publish",
            ["sns:Publish"],
            [self.names.arn("sns", name)],
            to={"Service": list(PUBLISHERS)},
            when={"StringEquals": {"aws:SourceAccount": self.environment.account}},
        )
        topic = sns.Topic(
            "alarms",
            name=name,
            kms_master_key_id=key_arn,
            policy=document(publish),
            tags=self.tags(name),
            opts=self.child(),
        )
        for email in self.environment.observability.emails:
            sns.TopicSubscription(
                email, topic=topic.arn, protocol="email", endpoint=email, opts=self.child()
            )
        return topic

    def _alarm(self, alarm: Alarm) -> None:
        name = self.names.name(alarm.name)
        cloudwatch.MetricAlarm(
            alarm.name,
            name=name,
            alarm_description=alarm.description,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions=dict(alarm.dimensions),
            statistic=alarm.statistic,
            period=PERIOD,
            evaluation_periods=alarm.periods,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=self.tags(name),
            opts=self.child(),
        )


def dashboard(alarms: list[Alarm], region: str) -> pulumi.Output[str]:
    """A graph for each alarm, with its threshold drawn in, two in a row."""
    widgets = [
        {
            "type": "metric",
            "x": 12 * (place % 2),
            "y": 6 * (place // 2),
            "width": 12,
            "height": 6,
            "properties": {
                "title": alarm.description,
                "region": region,
                "stat": alarm.statistic,
                "period": PERIOD,
                "metrics": [
                    [
                        alarm.namespace,
                        alarm.metric,
                        *(part for pair in alarm.dimensions.items() for part in pair),
                    ]
                ],
                "annotations": {"horizontal": [{"value": alarm.threshold, "label": "alarm"}]},
            },
        }
        for place, alarm in enumerate(alarms)
    ]
    return pulumi.Output.from_input({"widgets": widgets}).apply(
        lambda body: json.dumps(body, sort_keys=True)
    )
