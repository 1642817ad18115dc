"""Budgets that say whom they tell, can be changed and have tags.

moto keeps a budget's subscribers without an operation that shows them, and no tags.

Source: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Types_AWS_Budgets.html
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget, Notification
from moto.budgets.responses import BudgetsResponse

from pocket.emulator.core.arn_tags import forget, give_tags, remember
from pocket.emulator.core.context import Context
from pocket.emulator.core.errors import RefusedError
from pocket.emulator.core.patching import add, replace
from pocket.emulator.core.refusals import Parameters, refuse

_MOST_NOTIFICATIONS = 10
_MOST_BY_KIND = {"EMAIL": 10, "SNS": 1}
_NOTIFICATION = ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")


def install(context: Context) -> None:
    """Give AWS Budgets its subscribers, changes and tags."""
    add(BudgetsResponse, describe_subscribers_for_notification)
    add(BudgetsResponse, update_budget)
    give_tags(
        BudgetsResponse,
        lambda request: request.backend,
        tags="ResourceTags",
        keys="ResourceTagKeys",
        pairs=True,
    )

    refuse("budgets", "CreateBudget")(_refuse_subscribers)

    @replace(BudgetsResponse, "create_budget")
    def create(original: Any, self: BudgetsResponse) -> Any:
        answer = original(self)
        name = self._get_param("Budget")["BudgetName"]
        remember(self.backend, _budget_arn(self, name), self._get_param("ResourceTags") or [])
        return answer

    @replace(BudgetsResponse, "delete_budget")
    def delete(original: Any, self: BudgetsResponse) -> Any:
        answer = original(self)
        forget(self.backend, _budget_arn(self, self._get_param("BudgetName")))
        return answer


def _refuse_subscribers(asked: Parameters) -> None:
    """https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-best-practices.html"""
    notifications = asked.get("NotificationsWithSubscribers") or []
    if len(notifications) > _MOST_NOTIFICATIONS:
        raise RefusedError(
            "CreationLimitExceededException",
            f"a budget has at most {_MOST_NOTIFICATIONS} notifications, not {len(notifications)}",
        )
    for each in notifications:
        kinds = Counter(one["SubscriptionType"] for one in each.get("Subscribers") or ())
        for kind, most in _MOST_BY_KIND.items():
            if kinds[kind] > most:
                raise RefusedError(
                    "InvalidParameterException",
                    f"a notification has at most {most} subscribers by {kind}, not {kinds[kind]}",
                )


def _budget(request: BudgetsResponse, name: str) -> Budget:
    account = request._get_param("AccountId")
    request.backend.describe_budget(account, name)
    return request.backend.budgets[account][name]


def _budget_arn(request: BudgetsResponse, name: str) -> str:
    account = request._get_param("AccountId")
    return f"arn:{request.backend.partition}:budgets::{account}:budget/{name}"


def _sign(notification: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a budget's notifications apart."""
    full = {"ThresholdType": "PERCENTAGE", **notification}
    return tuple(full[name] for name in _NOTIFICATION)


def _notification(request: BudgetsResponse) -> Notification:
    budget = _budget(request, request._get_param("BudgetName"))
    wanted = _sign(request._get_param("Notification"))
    for notification in budget.notifications:
        if _sign(notification.details) == wanted:
            return notification
    raise NotFoundException("The budget has no such notification.")


def describe_subscribers_for_notification(self: BudgetsResponse) -> str:
    return json.dumps({"Subscribers": _notification(self).subscribers})


def update_budget(self: BudgetsResponse) -> str:
    wanted: dict[str, Any] = self._get_param("NewBudget")
    budget = _budget(self, wanted["BudgetName"])
    kept: dict[str, Any] = {
        k: budget.budget[k] for k in ("TimePeriod", "LastUpdatedTime") if k in budget.budget
    }
    budget.budget = {**kept, **wanted}
    return "{}"
