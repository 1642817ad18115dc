"""What the environment may cost."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from contracts.environment.fields import Email, Section, TierDefaults
from contracts.environment.limits import LIMITS, distinct


class BudgetSettings(Section):
    """What the environment may cost."""

    tiers: ClassVar[TierDefaults] = {"prod": {"monthly_usd": 10_000}}

    enabled: bool = True
    """Whether there is one."""
    monthly_usd: int = Field(default=1000, ge=1)
    """US dollars a month."""
    alerts: tuple[int, ...] = (50, 80, 100)
    """At which shares of it to tell someone, in percent."""
    emails: tuple[Email, ...] = ()
    """Who is told; nobody: the alarms' topic alone."""

    @field_validator("alerts")
    @classmethod
    def few(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        """AWS takes ten notifications a budget; ours are two a threshold."""
        if not 1 <= len(set(value)) == len(value) <= 5 or min(value) < 1:
            raise ValueError("one to five different percentages")
        return value

    @field_validator("emails")
    @classmethod
    def few_subscribers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """One of AWS's subscribers is the alarms' topic."""
        distinct(value, "the address")
        if len(value) > (most := LIMITS["budget subscribers"].most - 1):
            raise ValueError(f"AWS tells {most} addresses of a budget, not {len(value)}")
        return value
