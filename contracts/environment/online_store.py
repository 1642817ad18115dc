"""DynamoDB: rows looked up by key."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from contracts.document import Document
from contracts.environment.fields import Identifier, Name, Section


class Capacity(Document):
    """Provisioned throughput that follows the load, in units a second."""

    min: int = Field(default=5, ge=1, le=40_000)
    """The least."""
    max: int = Field(default=100, ge=1, le=40_000)
    """The most."""
    target: int = Field(default=70, ge=20, le=90)
    """The share of the capacity to be in use, in percent."""

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """A range has two ends."""
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class Table(Document):
    """A DynamoDB table, billed by request unless it has capacity."""

    key: Identifier
    """The partition key, a string."""
    sort: Identifier | None = None
    """The sort key, a string, where rows of one partition are ordered."""
    ttl: Identifier | None = None
    """The attribute holding the second in which a row may go."""
    capacity: Capacity | None = None
    """Provisioned throughput, cheaper than requests where the load is steady."""

    @model_validator(mode="after")
    def keys_differ(self) -> Self:
        """DynamoDB refuses one attribute twice in a key, and a key that expires the row."""
        if self.sort == self.key:
            raise ValueError(f"{self.key!r} is both the key and the sort key")
        if self.ttl in (self.key, self.sort) and self.ttl is not None:
            raise ValueError(f"{self.ttl!r} is part of the key and cannot be the ttl")
        return self


class OnlineStoreSettings(Section):
    """DynamoDB: features and predictions looked up by key."""

    tables: dict[Name, Table] = Field(
        default_factory=lambda: {
            "features": Table(key="entity_id"),
            "predictions": Table(key="request_id", ttl="expires_at"),
        }
    )
    """The tables by purpose."""
    recovery: bool = True
    """Whether any second of the last 35 days can be restored."""


class OnlineStoreOutputs(Document):
    """DynamoDB: the tables' names by purpose."""

    tables: dict[str, str] = Field(default_factory=dict)
