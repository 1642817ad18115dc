"""The topic that alarms are published to, every concern's alarms, and a dashboard of the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, sns

from contracts.environment import Environment
from infra.alarm import Alarm
from infra.concern import AwsConcern, DataClass, Outputs, Platform
from infra.keys import Keys
from infra.naming import Names
from infra.policies import Statement, allow, document

PERIOD: Final = 300
PUBLISHERS: Final = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com")


def by_publishers(names: Names) -> list[Statement]:
    """CloudWatch and Budgets publish alarms to the encrypted topic."""
    return [
        allow(
            "UseByPublishers",
            ["kms:Decrypt", "kms:GenerateDataKey"],
            ["*"],
            to={"Service": list(PUBLISHERS)},
            when={"StringEquals": {"aws:SourceAccount": names.account}},
        )
    ]


class Observability(AwsConcern):
    """The topic, the alarms and the dashboard."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("observability", platform)
        self.topic = self._topic(platform[Keys].arns["alarms"])
        alarms = platform.alarms()
        for alarm in alarms:
            self._alarm(alarm)
        cloudwatch.Dashboard(
            "dashboard",
            dashboard_name=self.names.name("platform"),
            dashboard_body=dashboard(alarms, self.environment.region),
            opts=self.child(),
        )
        self.register_outputs({})

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """By setting."""
        return environment.observability.enabled

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """What alarms say."""
        return {"alarms": DataClass(statements=by_publishers, by_account=False)}

    def outputs(self) -> Outputs:
        """Where alarms are published."""
        return {"alarms_topic_arn": self.topic.arn}

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
