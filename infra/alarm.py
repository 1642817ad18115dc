"""When someone has to act.

The thresholds are those at which a store stops answering, not those at which a graph looks unusual.
What serving does is watched by the rollouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

ABOVE: Final = "GreaterThanThreshold"
BELOW: Final = "LessThanThreshold"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A metric, and when someone has to act on it."""

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    threshold: float
    comparison: str = ABOVE
    statistic: str = "Average"
    periods: int = 3
