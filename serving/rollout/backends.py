"""What a serving system is to a rollout: a document that says what runs, and what comes of it.

The controller knows predictors and weights; a serving system knows its own documents. Everything
between the two is a `ServingBackend`: `deployment.KubernetesDeployment` writes, reads and repairs
by it, the telemetry asks it for Services' names, and nothing else knows which one there is. Another
one is a package with a `BACKEND` and a row in `contracts.backends`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from contracts.backends import BACKENDS, BackendFacts
from contracts.document import suggest
from contracts.errors import RolloutError
from contracts.rollout import WHOLE, percent
from serving.rollout.core.observations import Observed, Predictor
from serving.rollout.kubernetes import Api, Object
from serving.rollout.pods import Served


class ServingBackend(Protocol):
    """One serving system. Has no state: it turns values into values, and reads what it owns."""

    facts: BackendFacts
    """Its row."""
    kind: tuple[str, str]
    """The API's path and the plural of the object that is written; one for each model."""
    title: str
    """That object's kind."""

    def service(self, model: str, predictor: str) -> str:
        """The Service of a predictor, by which the gateway reports on it."""

    def document(
        self,
        served: Served,
        predictors: Sequence[Predictor],
        *,
        namespace: str,
        image: str,
        env: Mapping[str, str],
    ) -> Object:
        """The object for these predictors; two calls with the same input give the same.

        Raises:
            RolloutError: the weights are impossible or a predictor is named twice.
        """

    def merged(self, live: Object, wanted: Object) -> Object:
        """The live object with what is wanted, and with nothing else changed; equal to the live
        one where that is as wanted."""

    def essence(self, live: Object) -> tuple[object, ...]:
        """What a person or an operator changes of it, and the serving system does not."""

    def observed(self, api: Api, live: Object) -> dict[str, Observed]:
        """Each predictor that has servers or traffic, with the weight that is in use.

        Raises:
            RolloutError: the cluster does not answer.
        """


def backend(name: str) -> ServingBackend:
    """A serving system by its name.

    Raises:
        RolloutError: there is none of that name.
    """
    if name not in BACKENDS:
        raise RolloutError(
            f"there is no serving backend {name!r}",
            where="serving.backend",
            fix=suggest(name, list(BACKENDS)),
        )
    module: Any = importlib.import_module(BACKENDS[name].module)
    chosen: ServingBackend = module.BACKEND
    return chosen


def check_weights(name: str, predictors: Sequence[Predictor]) -> None:
    """Refuse what would lose or invent traffic."""
    names = [predictor.target.predictor for predictor in predictors]
    if len(set(names)) < len(names):
        raise RolloutError(f"a predictor is named twice in {', '.join(names)}", where=name)
    shadows = [
        predictor.target.predictor
        for predictor in predictors
        if predictor.shadow and predictor.weight
    ]
    if shadows:
        raise RolloutError(
            f"the shadow {shadows[0]} cannot have a weight: its responses reach nobody", where=name
        )
    weights = [predictor.weight for predictor in predictors if not predictor.shadow]
    if sum(weights) != WHOLE or min(weights, default=0) < 0:
        given = ", ".join(
            f"{predictor.target.predictor} {percent(predictor.weight)}" for predictor in predictors
        )
        raise RolloutError(
            f"the predictors' weights must add up to 100% and none be below 0%; found {given}",
            where=name,
        )


def percentages(weights: Mapping[str, int]) -> dict[str, int]:
    """Whole percents that add up to 100, each as near as possible to its weight."""
    share = WHOLE // 100
    floors = {name: weight // share for name, weight in weights.items()}
    missing = 100 - sum(floors.values())
    by_rest = sorted(weights, key=lambda name: (-(weights[name] % share), -weights[name], name))
    return {name: floors[name] + (name in by_rest[:missing]) for name in weights}
