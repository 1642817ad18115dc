"""What an environment on this machine serves, and how all of its rollouts stand."""

from __future__ import annotations

from contracts.model import ServedModel
from contracts.rollout import RolloutStatus
from laptop.host import RolloutHost
from laptop.rollout import LocalRollout, statuses
from laptop.serving import LocalServing
from serving.rollout.overview import ServedPredictor


class LaptopRollouts:
    """Those of one environment; see `serving.rollout.overview.Rollouts`.

    Args:
        host: the environment's place for rollouts.
    """

    def __init__(self, host: RolloutHost) -> None:
        self._host = host

    def rollout(self, model: ServedModel) -> LocalRollout:
        """One model's rollout: to start, steer and read it."""
        return LocalRollout(self._host.root, model, self._host.serving(), host=self._host)

    def statuses(self) -> list[RolloutStatus]:
        """How each model's rollout stands."""
        return statuses(self._host.root)

    def served(self) -> list[ServedPredictor]:
        """Each version that has servers or traffic; needs no cloud, which may be down."""
        serving = LocalServing(self._host.root, self._host.supervisor)
        return [
            ServedPredictor(
                model=name, predictor=each.name, ready=each.ready > 0, weight=each.confirmed
            )
            for name in serving.names()
            for each in serving.observe(name).predictors
        ]
