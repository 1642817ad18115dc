"""EFS: files that several pods share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from contracts.document import Document
from contracts.environment.fields import Name, Section, TierDefaults


class FileSystemSettings(Section):
    """EFS: files that several pods share."""

    tiers: ClassVar[TierDefaults] = {"dev": {"backups": False}}

    enabled: bool = True
    """Whether there is one."""
    backups: bool = True
    """Whether AWS Backup copies it every day."""
    infrequent_after: Literal["7d", "14d", "30d", "60d", "90d"] = "30d"
    """When files that nobody reads move to cheaper storage."""
    access_points: dict[Name, int] = Field(
        default_factory=lambda: {"pipelines": 1000, "training": 1001, "notebooks": 1002}
    )
    """A folder for each workload, and the user id that all in it belongs to."""

    @field_validator("access_points")
    @classmethod
    def distinct(cls, value: dict[str, int]) -> dict[str, int]:
        """Two workloads with one user id could read each other's files."""
        if len(set(value.values())) != len(value):
            raise ValueError("two access points have the same user id")
        if any(not 1000 <= user <= 60_000 for user in value.values()):
            raise ValueError("user ids lie between 1000 and 60000")
        return value


class FileSystemOutputs(Document):
    """EFS."""

    id: str
    access_points: dict[str, str]
    """Access points' ids by workload."""
