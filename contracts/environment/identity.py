"""Roles."""

from __future__ import annotations

from contracts.environment.fields import Arn, Section


class IdentitySettings(Section):
    """A role for each workload."""

    boundary: Arn | None = None
    """A policy that no role of this environment can exceed, where the organisation has one."""
