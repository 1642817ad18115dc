"""Kinesis: events as they happen, read again for as long as the environment says, and delivered
to the lake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, kinesis

from contracts.environment import Environment
from infra.alarm import Alarm
from infra.concern import AwsConcern, DataClass, Grants, Outputs, Platform, days
from infra.keys import Keys
from infra.lake import Lake
from infra.log_groups import log_group
from infra.policies import allow
from infra.roles import Role, own_account, role

PREFIX: Final = "events/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/"
ERRORS: Final = "events-failed/!{firehose:error-output-type}/"
BUFFER_SECONDS: Final = 300


class Stream(AwsConcern):
    """The data stream, and the Firehose that writes it to the raw bucket."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("stream", platform)
        environment, lake = platform.environment, platform[Lake]
        self.key_arns = platform[Keys].arns
        name = self.names.name("events")
        self.stream = kinesis.Stream(
            "events",
            name=name,
            retention_period=days(environment.stream.retention) * 24,
            stream_mode_details={"stream_mode": "ON_DEMAND"},
            encryption_type="KMS",
            kms_key_id=self.key_arns["stream"],
            tags=self.tags(name),
            opts=self.child(holds_data=True),
        )
        path = f"/aws/kinesisfirehose/{name}"
        logs = log_group(self, "delivery", path, self.key_arns["logs"])
        failures = cloudwatch.LogStream(
            "delivery", name="delivery", log_group_name=logs.name, opts=self.child()
        )
        self._delivery(lake, logs, failures, self._role(lake, logs))
        self.register_outputs({})

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """By setting."""
        return environment.stream.enabled

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """Events."""
        return {"stream": DataClass(services=("kinesis",))}

    def alarms(self) -> list[Alarm]:
        """Events that are refused, or not read in time."""
        at = {"StreamName": self.stream.name}
        return [
            Alarm(
                name="events-refused",
                description="Kinesis refuses events",
                namespace="AWS/Kinesis",
                metric="WriteProvisionedThroughputExceeded",
                dimensions=at,
                threshold=0,
                statistic="Sum",
            ),
            Alarm(
                name="events-late",
                description="Events wait for an hour to be read",
                namespace="AWS/Kinesis",
                metric="GetRecords.IteratorAgeMilliseconds",
                dimensions=at,
                threshold=3_600_000,
                statistic="Maximum",
            ),
        ]

    def grants(self) -> Grants:
        """Publish events."""
        publish = [
            allow("Publish", ["kinesis:PutRecord", "kinesis:PutRecords"], [self.stream.arn]),
            allow("EncryptEvents", ["kms:GenerateDataKey"], [self.key_arns["stream"]]),
        ]
        return {"serving": publish}

    def outputs(self) -> Outputs:
        """Where events are published."""
        return {"stream": {"name": self.stream.name, "arn": self.stream.arn}}

    def _role(self, lake: Lake, logs: cloudwatch.LogGroup) -> Role:
        raw = lake.buckets["raw"].arn
        return role(
            self,
            "delivery",
            service="firehose.amazonaws.com",
            description="Events from the stream to the lake",
            full_name=self.names.name("events", "delivery"),
            when=own_account(self),
            statements=[
                allow(
                    "Read",
                    [
                        "kinesis:DescribeStream",
                        "kinesis:DescribeStreamSummary",
                        "kinesis:GetShardIterator",
                        "kinesis:GetRecords",
                        "kinesis:ListShards",
                    ],
                    [self.stream.arn],
                ),
                allow("Bucket", ["s3:GetBucketLocation", "s3:ListBucket"], [raw]),
                allow(
                    "Write",
                    ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
                    [pulumi.Output.concat(raw, "/events*")],
                ),
                allow(
                    "Keys",
                    ["kms:Decrypt", "kms:GenerateDataKey"],
                    [*lake.keys, self.key_arns["stream"]],
                ),
                allow("Log", ["logs:PutLogEvents"], [pulumi.Output.concat(logs.arn, ":*")]),
            ],
        )

    def _delivery(
        self,
        lake: Lake,
        logs: cloudwatch.LogGroup,
        failures: cloudwatch.LogStream,
        taken: Role,
    ) -> None:
        name = self.names.name("events", "delivery")
        kinesis.FirehoseDeliveryStream(
            "delivery",
            name=name,
            destination="extended_s3",
            kinesis_source_configuration={
                "kinesis_stream_arn": self.stream.arn,
                "role_arn": taken.arn,
            },
            extended_s3_configuration={
                "role_arn": taken.arn,
                "bucket_arn": lake.buckets["raw"].arn,
                "kms_key_arn": lake.key_arn,
                "prefix": PREFIX,
                "error_output_prefix": ERRORS,
                "compression_format": "GZIP",
                "buffering_size": self.environment.stream.buffer,
                "buffering_interval": BUFFER_SECONDS,
                "cloudwatch_logging_options": {
                    "enabled": True,
                    "log_group_name": logs.name,
                    "log_stream_name": failures.name,
                },
            },
            tags=self.tags(name),
            opts=self.child(after=taken.ready),
        )
