"""Kinesis: events as they happen."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from contracts.document import Document, Duration
from contracts.environment.fields import DAY, Section, days_between


class StreamSettings(Section):
    """Kinesis: events as they happen, also delivered to the lake."""

    enabled: bool = True
    """Whether there is one."""
    retention: Annotated[Duration, AfterValidator(days_between(1, 365, "Kinesis keeps events"))] = (
        DAY
    )
    """How long events can be read again."""
    buffer: int = Field(default=64, ge=64, le=128)
    """How much is gathered before it is written to the lake, in MiB."""


class StreamOutputs(Document):
    """Kinesis."""

    name: str
    arn: str
