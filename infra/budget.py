"""What the environment may cost, and who hears of it before it does.

The budget counts what carries the environment's tag; the tag has to be activated for cost
allocation once in the account that pays.
"""

from __future__ import annotations

import pulumi
from pulumi_aws import budgets

from contracts.environment import Environment
from infra.concern import Concern


class Budget(Concern):
    """The monthly budget and its alerts."""

    def __init__(
        self,
        environment: Environment,
        *,
        topic_arn: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("budget", environment, opts)
        settings = environment.budget
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
                    "subscriber_sns_topic_arns": [topic_arn] if topic_arn is not None else [],
                }
                for percent in settings.alerts
                for kind in ("ACTUAL", "FORECASTED")
                if settings.emails or topic_arn is not None
            ],
            tags=self.tags(name),
            opts=self.child(),
        )
        self.register_outputs({})
