"""What keeps cost in bounds: budgets, and the autoscaling of provisioned capacity."""

from typing import Any

from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Source,
    Subject,
    Tags,
    id_part,
    joined,
    prop,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties

_BUDGET: dict[str, Source] = {
    "AccountId": id_part(0, ":"),
    "BudgetName": lambda s: s.id.split(":", 1)[1],
}


def _account(subject: Subject) -> str:
    return str(subject.inputs.get("accountId") or subject.aws.account)


def _money(value: str) -> str:
    return f"{float(value):.2f}"


def _budget(subject: Subject) -> dict[str, Any]:
    inputs = subject.inputs
    budget: dict[str, Any] = {
        "BudgetName": inputs["name"],
        "BudgetType": inputs["budgetType"],
        "TimeUnit": inputs["timeUnit"],
        "BudgetLimit": {"Amount": str(inputs["limitAmount"]), "Unit": inputs["limitUnit"]},
    }
    filters = {each["name"]: each["values"] for each in inputs.get("costFilters") or ()}
    if filters:
        budget["CostFilters"] = filters
    return budget


def _notification(block: Properties) -> dict[str, Any]:
    return {
        "NotificationType": block["notificationType"],
        "ComparisonOperator": block["comparisonOperator"],
        "Threshold": float(block["threshold"]),
        "ThresholdType": block["thresholdType"],
    }


def _subscribers(block: Properties) -> list[dict[str, str]]:
    kinds = (("subscriberEmailAddresses", "EMAIL"), ("subscriberSnsTopicArns", "SNS"))
    return [
        {"SubscriptionType": kind, "Address": address}
        for name, kind in kinds
        for address in block.get(name) or ()
    ]


def _with_subscribers(subject: Subject) -> list[dict[str, Any]] | None:
    blocks = subject.inputs.get("notifications") or ()
    return [
        {"Notification": _notification(block), "Subscribers": _subscribers(block)}
        for block in blocks
    ] or None


def _put_notifications(subject: Subject) -> None:
    client, where = subject.client(), {k: source(subject) for k, source in _BUDGET.items()}
    before, wanted = (
        properties.get("notifications") or [] for properties in (subject.olds, subject.inputs)
    )
    for block in before:
        if block not in wanted:
            client.delete_notification(**where, Notification=_notification(block))
    for block in wanted:
        if block not in before:
            client.create_notification(
                **where, Notification=_notification(block), Subscribers=_subscribers(block)
            )


def _read_notifications(subject: Subject) -> Properties:
    client, where = subject.client(), {k: source(subject) for k, source in _BUDGET.items()}
    found = client.describe_notifications_for_budget(**where).get("Notifications") or []
    return {"notifications": [_read_notification(client, where, each) for each in found]}


def _read_notification(client: Any, where: dict[str, str], found: Any) -> Properties:
    told = {k: found[k] for k in ("NotificationType", "ComparisonOperator", "Threshold")}
    notification = {**told, "ThresholdType": found.get("ThresholdType", "PERCENTAGE")}
    answer = client.describe_subscribers_for_notification(**where, Notification=notification)
    people = answer.get("Subscribers") or []
    read = {
        "notificationType": notification["NotificationType"],
        "comparisonOperator": notification["ComparisonOperator"],
        "threshold": notification["Threshold"],
        "thresholdType": notification["ThresholdType"],
        "subscriberEmailAddresses": [
            s["Address"] for s in people if s["SubscriptionType"] == "EMAIL"
        ],
        "subscriberSnsTopicArns": [s["Address"] for s in people if s["SubscriptionType"] == "SNS"],
    }
    return {key: value for key, value in read.items() if value != []}


def _budget_arn(subject: Subject) -> str:
    name = subject.id.split(":", 1)[1]
    return subject.aws.arn("budgets", f"budget/{name}", region="")


def _has_limit(inputs: Properties) -> Any:
    if not inputs.get("autoAdjustData"):
        for name in ("limitAmount", "limitUnit"):
            if name not in inputs:
                yield Problem(name, f"a budget needs {name}")
    for index, block in enumerate(inputs.get("notifications") or ()):
        if isinstance(block, dict) and not _subscribers(block):
            yield Problem(f"notifications[{index}]", "nobody is told: name an address or a topic")


BUDGET = ResourceType(
    token="aws:budgets/budget:Budget",
    service="budgets",
    create=Call(
        operation="create_budget",
        properties=(),
        params={
            "AccountId": _account,
            "Budget": _budget,
            "NotificationsWithSubscribers": _with_subscribers,
        },
    ),
    identity=lambda s: f"{_account(s)}:{s.inputs['name']}",
    read=Read(operation="describe_budget", params=_BUDGET, path="Budget"),
    delete=Call(operation="delete_budget", params=_BUDGET),
    name=Name(longest=100, prefix="namePrefix"),
    names={"name": "BudgetName"},
    facets=(
        Facet(
            properties=("limitAmount", "limitUnit", "timeUnit", "costFilters"),
            put=Call(
                operation="update_budget",
                properties=(),
                params={"AccountId": _account, "NewBudget": _budget},
            ),
            at_creation=False,
        ),
        Facet(
            properties=("notifications",),
            put=_put_notifications,
            read=_read_notifications,
            at_creation=False,
        ),
    ),
    local=("namePrefix",),
    filled=("accountId", "costTypes", "timePeriodStart", "timePeriodEnd", "billingViewArn"),
    normal={"limitAmount": _money},
    outputs=lambda subject, found: {
        "arn": _budget_arn(subject),
        "accountId": subject.id.split(":")[0],
        "limitAmount": found["BudgetLimit"]["Amount"],
        "limitUnit": found["BudgetLimit"]["Unit"],
        "costFilters": [
            {"name": name, "values": values}
            for name, values in (found.get("CostFilters") or {}).items()
        ]
        or None,
        "timePeriodStart": None,
        "timePeriodEnd": None,
    },
    tags=Tags(
        at_creation="ResourceTags",
        target="ResourceARN",
        put_member="ResourceTags",
        remove_member="ResourceTagKeys",
        identity=_budget_arn,
        read=Read(
            operation="list_tags_for_resource",
            params={"ResourceARN": _budget_arn},
            path="ResourceTags",
        ),
    ),
    rules=(_has_limit,),
)

_TARGET_KEYS = ("serviceNamespace", "resourceId", "scalableDimension")
_TARGET = {
    "ServiceNamespace": id_part(0, "|"),
    "ResourceId": id_part(1, "|"),
    "ScalableDimension": id_part(2, "|"),
}
_REGISTER = Call(
    operation="register_scalable_target",
    properties=(*_TARGET_KEYS, "minCapacity", "maxCapacity", "roleArn", "suspendedState"),
)

TARGET = ResourceType(
    token="aws:appautoscaling/target:Target",
    service="application-autoscaling",
    create=_REGISTER,
    identity=joined("|", *_TARGET_KEYS),
    read=Read(
        operation="describe_scalable_targets",
        params={
            "ServiceNamespace": id_part(0, "|"),
            "ResourceIds": lambda s: [s.id.split("|")[1]],
            "ScalableDimension": id_part(2, "|"),
        },
        path="ScalableTargets[0]",
    ),
    delete=Call(operation="deregister_scalable_target", params=_TARGET),
    names={"roleArn": "RoleARN", "arn": "ScalableTargetARN"},
    facets=(
        Facet(
            properties=("minCapacity", "maxCapacity", "roleArn", "suspendedState"),
            put=_REGISTER,
            at_creation=False,
        ),
    ),
    filled=("roleArn", "suspendedState"),
    tags=Tags(
        at_creation="Tags",
        target="ResourceARN",
        read=Read(
            operation="list_tags_for_resource", params={"ResourceARN": prop("arn")}, path="Tags"
        ),
    ),
    rules=(
        lambda inputs: (
            [Problem("minCapacity", "is more than maxCapacity")]
            if isinstance(low := inputs.get("minCapacity"), int)
            and isinstance(high := inputs.get("maxCapacity"), int)
            and low > high
            else ()
        ),
    ),
)

_SCALING_KEYS = ("name", *_TARGET_KEYS)
_CONFIGURATIONS = ("stepScalingPolicyConfiguration", "targetTrackingScalingPolicyConfiguration")
_PUT_SCALING = Call(
    operation="put_scaling_policy", properties=(*_SCALING_KEYS, "policyType", *_CONFIGURATIONS)
)

SCALING_POLICY = ResourceType(
    token="aws:appautoscaling/policy:Policy",
    service="application-autoscaling",
    create=_PUT_SCALING,
    identity=joined("|", *_TARGET_KEYS, "name"),
    read=Read(
        operation="describe_scaling_policies",
        params={
            "PolicyNames": lambda s: [s.id.split("|")[3]],
            **_TARGET,
        },
        path="ScalingPolicies[0]",
    ),
    delete=Call(
        operation="delete_scaling_policy", params={**_TARGET, "PolicyName": id_part(3, "|")}
    ),
    name=Name(longest=255),
    names={"name": "PolicyName", "arn": "PolicyARN", "alarmArns": "-"},
    facets=(Facet(properties=_CONFIGURATIONS, put=_PUT_SCALING, at_creation=False),),
    defaults={"policyType": "StepScaling"},
    outputs=lambda subject, found: {
        "alarmArns": [alarm["AlarmARN"] for alarm in found.get("Alarms") or ()]
    },
)

TYPES = (BUDGET, TARGET, SCALING_POLICY)
