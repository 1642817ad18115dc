"""What the environment may cost, and who hears of it before it does.

The budget counts what carries the environment's tag; the tag has to be activated for cost
allocation once in the account that pays.
"""

from __future__ import annotations

from pulumi_aws import budgets

from contracts.environment import Environment
from infra.concern import AwsConcern, Platform
from infra.observability import Observability


class Budget(AwsConcern):
    """The monthly budget and its alerts."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("budget", platform)
        environment = platform.environment
        settings = environment.budget
        observability = platform.get(Observability)
        topics = [observability.topic.arn] if observability else []
        name = self.names.name("monthly")
        budgets.Budget(
            "monthly",
            name=name,
            account_id=environment.account,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(settings.monthly_usd),
            limit_unit="USD",
            cost_filters=[
                {
                    "name": "TagKeyValue",
                    "values": [f"user:millwright:environment${environment.name}"],
                }
            ],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "notification_type": kind,
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": list(settings.emails),
                    "subscriber_sns_topic_arns": topics,
                }
                for percent in settings.alerts
                for kind in ("ACTUAL", "FORECASTED")
                if settings.emails or topics
            ],
            tags=self.tags(name),
            opts=self.child(),
        )
        self.register_outputs({})

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """By setting."""
        return environment.budget.enabled
