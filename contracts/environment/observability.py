"""Alarms, a dashboard and whom they wake."""

from __future__ import annotations

from pydantic import field_validator

from contracts.environment.fields import Email, Section
from contracts.environment.limits import distinct


class ObservabilitySettings(Section):
    """Alarms, a dashboard and whom they wake."""

    enabled: bool = True
    """Whether there are any."""
    emails: tuple[Email, ...] = ()
    """Who is told of alarms."""

    @field_validator("emails")
    @classmethod
    def once_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A subscription is made once."""
        distinct(value, "the address")
        return value
