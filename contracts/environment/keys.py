"""KMS keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from contracts.document import Duration
from contracts.environment.fields import DAY, Section, days_between


class KeysSettings(Section):
    """Customer-managed KMS keys, one for each class of data."""

    rotation: Annotated[
        Duration, AfterValidator(days_between(90, 2560, "KMS rotates keys every"))
    ] = 365 * DAY
    """How often the key material changes."""
