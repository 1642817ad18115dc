"""Alarms, a dashboard and whom they wake."""

from __future__ import annotations

from contracts.environment.fields import Email, Section


class ObservabilitySettings(Section):
    """Alarms, a dashboard and whom they wake."""

    enabled: bool = True
    emails: tuple[Email, ...] = ()
    """Who is told of alarms."""
