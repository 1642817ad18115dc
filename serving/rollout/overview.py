"""What an environment serves and how all of its rollouts stand, as somebody who asks sees it.

The laptop and a cluster differ in who is asked; whoever prints the answer knows no difference.
`laptop.overview.LaptopRollouts` and `ClusterRollouts` are the two there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from contracts.custom_resource import ModelRolloutSpec, ModelRolloutStatus
from contracts.errors import RolloutError
from contracts.model import ServedModel
from contracts.rollout import RolloutStatus
from serving.rollout.cluster import ClusterRollout
from serving.rollout.deployment import KubernetesDeployment, Owner
from serving.rollout.handles import RolloutHandle
from serving.rollout.kubernetes import ROLLOUTS, Api, Object


@dataclass(frozen=True, kw_only=True)
class ServedPredictor:
    """A version that is served.

    Args:
        model: the model.
        predictor: the version's name in the data plane, such as ``v3``.
        ready: whether it has a server that answers.
        weight: its share of the traffic in 1/10000, as the data plane confirms it; None when that
            does not answer.
    """

    model: str
    predictor: str
    ready: bool
    weight: int | None


class Rollouts(Protocol):
    """The rollouts of one environment."""

    def rollout(self, model: ServedModel) -> RolloutHandle:
        """One model's rollout: to start, steer and read it."""

    def statuses(self) -> list[RolloutStatus]:
        """How each model's rollout stands."""

    def served(self) -> list[ServedPredictor]:
        """Each version that has servers or traffic."""


class ClusterRollouts:
    """Those of a namespace of a cluster.

    Args:
        api: the Kubernetes API.
        namespace: the models'.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def rollout(self, model: ServedModel) -> ClusterRollout:
        """See `Rollouts.rollout`."""
        return ClusterRollout(self._api, self._namespace, model.name)

    def statuses(self) -> list[RolloutStatus]:
        """See `Rollouts.statuses`."""
        return [self._status(body) for body in self._bodies()]

    def served(self) -> list[ServedPredictor]:
        """See `Rollouts.served`."""
        return [each for body in self._bodies() for each in self._served(body)]

    def _bodies(self) -> list[Object]:
        """The ModelRollouts.

        Raises:
            RolloutError: the cluster does not know what that is, or refuses.
        """
        if not self._api.serves(ROLLOUTS):
            raise RolloutError(
                "the cluster knows no ModelRollouts",
                where=self._namespace,
                fix="Have the operator installed: on_cluster.components, or manifests/operator.",
            )
        bodies = self._api.list(ROLLOUTS, self._namespace)
        return sorted(bodies, key=lambda body: str(body["metadata"]["name"]))

    def _status(self, body: Object) -> RolloutStatus:
        name = body["metadata"]["name"]
        given = {"model": name, **(body.get("status") or {})}
        where = f"{self._namespace}/{name}: status"
        return ModelRolloutStatus.parse(given, where=where).rollout()

    def _served(self, body: Object) -> list[ServedPredictor]:
        metadata = body["metadata"]
        name = metadata["name"]
        owner = Owner(name=name, namespace=self._namespace, uid=metadata["uid"])
        spec = ModelRolloutSpec.parse(body["spec"], where=f"{self._namespace}/{name}")
        observed = KubernetesDeployment(self._api, owner, spec).read() or {}
        return [
            ServedPredictor(model=name, predictor=key, ready=each.ready, weight=each.weight)
            for key, each in observed.items()
        ]
