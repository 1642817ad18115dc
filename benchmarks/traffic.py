"""Simulated traffic with outcomes, the same for every rule that decides on a rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

HOUR = 3600.0
"""How long a rollout may take; then it counts as held."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Traffic of two versions.

    Args:
        name: how the table calls it.
        rps: requests per second, of all versions.
        stable: the stable version's bad rate.
        candidate: the candidate's.
        guard: which counter the bad outcomes belong to.
        also: another guard, in which both versions have the stable one's rate.
        swing: the factor on both rates by the second, such as the hour of the day.
        bursts: whether it comes in bursts: one second in ten, at random, has ten times as much.
        delay: seconds until an outcome is known.
        classes: the distribution of the predictions, of the stable version and of the candidate.
        plan: what Millwright's plan says besides its defaults.
    """

    name: str
    rps: float
    stable: float
    candidate: float
    guard: str = "errors"
    also: str = ""
    swing: Callable[[float], float] = lambda _: 1.0
    bursts: bool = False
    delay: float = 0.0
    classes: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    plan: Mapping[str, object] = field(default_factory=dict)

    @property
    def common(self) -> bool:
        """Whether a rule that knows nothing of Millwright's plan can judge it."""
        return not self.plan

    def sample(
        self, rng: np.random.Generator, at: float, seconds: float, share: float
    ) -> tuple[int, int, int, int]:
        """Requests and bad ones of the candidate and of the others, in a stretch of time."""
        busy = 10 * int(rng.binomial(round(seconds), 0.1)) if self.bursts else seconds
        total = int(rng.poisson(self.rps * busy))
        own = int(rng.binomial(total, share))
        return (
            own,
            self.bad(rng, own, self.candidate, at),
            total - own,
            self.bad(rng, total - own, self.stable, at),
        )

    def bad(self, rng: np.random.Generator, requests: int, rate: float, at: float) -> int:
        """How many of so many requests are bad."""
        return int(rng.binomial(requests, min(1.0, rate * self.swing(at))))

    def harm(self, own: int, at: float) -> float:
        """Expected bad responses beyond what the stable version would have given."""
        return max(0.0, self.candidate - self.stable) * self.swing(at) * own


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one rollout ended: rolled back, promoted or held; after how long; how many harmed."""

    verdict: str
    seconds: float
    harmed: float


Rule = Callable[[Stream, np.random.Generator], Result]
