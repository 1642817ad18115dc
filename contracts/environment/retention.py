"""What may be deleted, and how long what is deleted can be brought back."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator

from contracts.document import Duration
from contracts.environment.fields import DAY, LogDays, Section, TierDefaults, days_between


class RetentionSettings(Section):
    """What may be deleted, and how long what is deleted can be brought back."""

    tiers: ClassVar[TierDefaults] = {
        "local": {
            "protect": False,
            "empty_buckets": True,
            "final_snapshots": False,
            "backups": "1d",
            "keys": "7d",
            "logs": "1d",
        },
        "dev": {
            "protect": False,
            "empty_buckets": True,
            "final_snapshots": False,
            "backups": "1d",
            "keys": "7d",
            "logs": "14d",
        },
        "staging": {
            "protect": False,
            "empty_buckets": False,
            "final_snapshots": True,
            "backups": "7d",
            "keys": "14d",
            "logs": "30d",
        },
        "prod": {
            "protect": True,
            "empty_buckets": False,
            "final_snapshots": True,
            "backups": "35d",
            "keys": "30d",
            "logs": "365d",
        },
    }

    protect: bool = True
    """Whether what holds data refuses to be deleted."""
    empty_buckets: bool = False
    """Whether destroying the environment may delete what is in the buckets and repositories."""
    final_snapshots: bool = True
    """Whether a store leaves a last snapshot when it is deleted."""
    backups: Annotated[Duration, AfterValidator(days_between(1, 35, "backups are kept"))] = 35 * DAY
    """How long automatic backups and snapshots are kept."""
    keys: Annotated[Duration, AfterValidator(days_between(7, 30, "KMS keeps deleted keys"))] = (
        30 * DAY
    )
    """How long KMS waits before it deletes a key."""
    logs: LogDays = 365 * DAY
    """How long CloudWatch keeps logs."""
