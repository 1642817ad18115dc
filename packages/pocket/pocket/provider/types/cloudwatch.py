"""CloudWatch: alarms and dashboards."""

import json
from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Subject,
    Tags,
    prop,
    the_id,
)
from pocket.provider.schema import inputs_of
from pocket.provider.values import Properties


def _dimensions(inputs: Properties) -> Properties:
    """Dimensions as CloudWatch lists them."""
    wanted = inputs.get("dimensions")
    if not isinstance(wanted, dict):
        return inputs
    listed = [{"name": key, "value": value} for key, value in wanted.items()]
    return {**inputs, "dimensions": listed}


_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
_WRITTEN = tuple(name for name in inputs_of(_ALARM) if name not in ("name", "tags", "region"))
_PUT_ALARM = Call(operation="put_metric_alarm", prepare=_dimensions)


def _alarm_arn(subject: Subject) -> str:
    return subject.arn(f"alarm:{subject.id}")


ALARM = ResourceType(
    token=_ALARM,
    service="cloudwatch",
    create=_PUT_ALARM,
    identity=prop("name"),
    read=Read(
        operation="describe_alarms",
        params={"AlarmNames": lambda s: [s.id]},
        path="MetricAlarms[0]",
    ),
    delete=Call(operation="delete_alarms", params={"AlarmNames": lambda s: [s.id]}),
    name=Name(longest=255),
    names={
        "name": "AlarmName",
        "arn": "AlarmArn",
        "okActions": "OKActions",
        "metricQueries": "Metrics",
        "metricQueries.metric": "MetricStat",
        "thresholdMetricId": "ThresholdMetricId",
    },
    facets=(
        Facet(
            properties=_WRITTEN,
            put=Call(
                operation="put_metric_alarm", prepare=_dimensions, properties=("name", *_WRITTEN)
            ),
            at_creation=False,
        ),
    ),
    defaults={"actionsEnabled": True, "treatMissingData": "missing"},
    filled=("evaluateLowSampleCountPercentiles",),
    outputs=lambda subject, found: {
        "dimensions": {d["Name"]: d["Value"] for d in found.get("Dimensions") or ()} or None,
        "arn": found.get("AlarmArn"),
    },
    tags=Tags(
        target="ResourceARN",
        identity=_alarm_arn,
        read=Read(
            operation="list_tags_for_resource", params={"ResourceARN": _alarm_arn}, path="Tags"
        ),
    ),
    rules=(
        rules.one_of("treatMissingData", ("missing", "ignore", "breaching", "notBreaching")),
        rules.number("evaluationPeriods", 1, 1440),
    ),
)

_PUT_DASHBOARD = Call(operation="put_dashboard", properties=("dashboardName", "dashboardBody"))

DASHBOARD = ResourceType(
    token="aws:cloudwatch/dashboard:Dashboard",
    service="cloudwatch",
    create=_PUT_DASHBOARD,
    identity=prop("dashboardName"),
    read=Read(operation="get_dashboard", params={"DashboardName": the_id}),
    delete=Call(operation="delete_dashboards", params={"DashboardNames": lambda s: [s.id]}),
    facets=(Facet(properties=("dashboardBody",), put=_PUT_DASHBOARD, at_creation=False),),
    outputs=lambda subject, found: {
        "dashboardBody": _body(found["DashboardBody"]),
        "dashboardArn": f"arn:{subject.aws.partition}:cloudwatch::{subject.aws.account}"
        f":dashboard/{subject.id}",
    },
    rules=(rules.json_document("dashboardBody"),),
)


def _body(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


TYPES = (ALARM, DASHBOARD)
