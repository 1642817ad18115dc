"""A small world for the controller: traffic, a data plane, counters; it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from contracts.rollout import (
    WHOLE,
    Counters,
    Decision,
    Phase,
    RolloutSpec,
    RolloutStatus,
    Target,
)
from serving.rollout.core.controller import decide
from serving.rollout.core.observations import (
    Action,
    Apply,
    Command,
    Observation,
    Observed,
    RecordDecision,
    SetAlias,
)

START = 1.7e9


def target(version: int | str) -> Target:
    return Target(version=str(version), uri=f"s3://artifacts/m/{version}")


@dataclass
class World:
    """Everything outside the controller."""

    seed: int = 0
    rate: float = 100.0
    bad: dict[str, float] = field(default_factory=dict)
    """The error rate of each predictor; 0.5 % where none is given."""
    now: float = START
    weights: dict[str, int] = field(default_factory=lambda: {"v1": WHOLE})
    ready: dict[str, bool] = field(default_factory=lambda: {"v1": True})
    counts: dict[str, list[int]] = field(default_factory=dict)
    beside: dict[str, int] | None = None
    """Requests that each predictor's servers answered and the data plane did not count; None where
    no server is asked."""
    epoch: int = 0
    aliases: dict[str, str | None] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def pass_time(self, seconds: float) -> None:
        """Traffic by the weights in use."""
        self.now += seconds
        for name, weight in self.weights.items():
            total = int(self.rng.poisson(self.rate * seconds * weight / WHOLE))
            failing = 1.0 if not self.ready.get(name) else self.bad.get(name, 0.005)
            bad = int(self.rng.binomial(total, failing))
            before = self.counts.setdefault(name, [0, 0])
            self.counts[name] = [before[0] + total, before[1] + bad]

    def observe(
        self,
        wanted: Target | None,
        *commands: Command,
        telemetry: bool = True,
        deployment: bool = True,
    ) -> Observation:
        counters = {
            name: Counters(
                epoch=f"e{self.epoch}",
                requests=total,
                errors=bad,
                **self.of_servers(name, total),
            )
            for name, (total, bad) in self.counts.items()
            if name in self.weights
        }
        predictors = {
            name: Observed(ready=self.ready.get(name, False), weight=weight)
            for name, weight in self.weights.items()
        }
        return Observation(
            wanted=wanted,
            predictors=predictors if deployment else None,
            counters=counters if telemetry else None,
            aliases=dict(self.aliases),
            commands=frozenset(commands),
        )

    def of_servers(self, name: str, total: int) -> dict[str, object]:
        if self.beside is None:
            return {}
        received = total + self.beside.get(name, 0)
        return {"servers": "s", "timed": received, "slow": 0, "received": received}

    def act(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case Apply(predictors=predictors):
                    self.weights = {one.target.predictor: one.weight for one in predictors}
                    for name in self.weights:
                        self.ready.setdefault(name, True)
                        self.counts.setdefault(name, [0, 0])
                case SetAlias(alias=alias, version=version):
                    self.aliases[alias] = version
                case RecordDecision(decision=decision):
                    self.decisions.append(decision)


def serving_one(model: str = "flight-delay") -> RolloutStatus:
    """Version 1 serves alone."""
    return RolloutStatus(model=model, stable=target(1), wanted={"v1": WHOLE})


def play(
    world: World,
    spec: RolloutSpec,
    status: RolloutStatus,
    wanted: Target | None,
    *,
    until: frozenset[Phase] = frozenset(),
    steps: int = 400,
) -> RolloutStatus:
    """Step at the plan's interval until one of the phases, or so many steps."""
    for _ in range(steps):
        status, actions = decide(spec, status, world.observe(wanted), world.now)
        world.act(actions)
        if status.phase in until:
            return status
        world.pass_time(spec.interval)
    return status
