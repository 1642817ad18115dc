"""How deployments stand on this machine, and what follows from it: values and pure functions.

`serving` acts on processes and files; what it acts by is decided here, from the documents, the
processes that are there and what Envoy says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from laptop.serving import envoy, routes
from laptop.serving.document import PredictorPlan, ServingPlan
from laptop.supervisor import Status
from serving.runtime.refusal import CANNOT_SERVE, SERVES


@dataclass(frozen=True, kw_only=True)
class PredictorState:
    """One predictor, as it should be and as it is.

    Args:
        name: the predictor.
        version: the model's version; empty for one that is only being removed.
        artifact: its URI; empty likewise.
        desired: how many servers it should have; 0 while it is being removed.
        ready: how many Envoy sends requests to and that say themselves that they are ready.
        weight: what its document says, in 1/10000.
        configured: the weight written for Envoy.
        confirmed: the weight that Envoy reports; None when Envoy does not answer.
        problem: the end of the log of a server that died.
        refusal: why its servers cannot start, once they have tried often enough.
    """

    name: str
    version: str
    artifact: str
    desired: int
    ready: int
    weight: int
    configured: int
    confirmed: int | None
    problem: str = ""
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class ServingState:
    """One deployment, as it is.

    Args:
        name: its name.
        namespace: its namespace.
        url: where clients reach it, without a trailing slash; empty when Envoy does not run.
        predictors: those of the document, then those being removed.
    """

    name: str
    namespace: str
    url: str
    predictors: tuple[PredictorState, ...]

    @property
    def settled(self) -> bool:
        """Whether all is as asked, confirmed by Envoy, and nothing is left to remove."""
        return all(
            own.ready == own.desired and own.confirmed == own.weight and own.version
            for own in self.predictors
        )


@dataclass(frozen=True, kw_only=True)
class ModelServer:
    """One model server's process, whose name says what it is for."""

    deployment: str
    predictor: str
    generation: str
    index: int
    status: Status

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.status.ports["port"]

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self.status.state != "dead"


def refused(log: str, *, tries: int) -> str:
    """Why a server cannot start, from its log: once it has ended so many times since it last
    served. What is killed says nothing, and is no refusal.
    """
    reasons = []
    for line in reversed(log.splitlines()):
        if SERVES in line:
            break
        if line.startswith(CANNOT_SERVE):
            reasons.append(line.removeprefix(CANNOT_SERVE).strip())
    return reasons[0] if len(reasons) >= tries else ""


def current_servers(
    deployment: str, predictor: PredictorPlan, servers: list[ModelServer]
) -> list[ModelServer]:
    """The servers that run what the document asks for."""
    return [
        own
        for own in servers
        if (own.deployment, own.predictor) == (deployment, predictor.name)
        and own.generation == predictor.generation
        and own.index < predictor.replicas
    ]


def backend_of(
    deployment: str,
    predictor: PredictorPlan,
    version: str,
    servers: list[ModelServer],
    view: envoy.View,
) -> routes.Backend:
    """The predictor's servers; those of its earlier form stay until the new ones are ready.

    Without a live one its dead ones stay: they come back on their ports, and a request waits a
    while for a server that does not answer, but is refused at once where there is none.
    """
    own_servers = current_servers(deployment, predictor, servers)
    current = {own.port for own in own_servers if own.alive} or {own.port for own in own_servers}
    ready = view.ready.get(f"{deployment}.{predictor.name}", frozenset())
    if len(current & ready) < predictor.replicas:
        current |= {
            own.port
            for own in servers
            if (own.deployment, own.predictor) == (deployment, predictor.name)
            and own.generation != predictor.generation
            and own.alive
        }
    return routes.Backend(
        deployment=deployment,
        name=predictor.name,
        version=version,
        model=predictor.model,
        ports=tuple(sorted(current)),
    )


def in_use(backend: routes.Backend, view: envoy.View) -> bool:
    """Whether Envoy may still send to it, or waits for its answers."""
    return any(name in view.referenced or view.active(name) for name in backend.clusters)


def next_weights(
    deployment: ServingPlan, written: Mapping[str, int], view: envoy.View
) -> Mapping[str, int]:
    """The document's weights, unless they would send more to a predictor that is not ready.

    Taking weight from a sick predictor is always possible as long as the others are ready.
    """
    weights = {own.name: own.weight for own in deployment.predictors if own.weight}
    gaining = [name for name, weight in weights.items() if weight > written.get(name, 0)]
    if all(view.ready.get(f"{deployment.name}.{name}") for name in gaining):
        return weights
    return written


def confirmed_weight(deployment: str, predictor: str, view: envoy.View | None) -> int | None:
    """The weight that Envoy reports; None when it does not answer."""
    return None if view is None else view.weights.get(deployment, {}).get(predictor, 0)


def leaving_state(
    deployment: str, predictor: str, view: envoy.View | None, configured: Mapping[str, int]
) -> PredictorState:
    """A predictor that is only being removed."""
    ready = view.ready.get(f"{deployment}.{predictor}", frozenset()) if view else frozenset()
    return PredictorState(
        name=predictor,
        version="",
        artifact="",
        desired=0,
        ready=len(ready),
        weight=0,
        configured=configured.get(predictor, 0),
        confirmed=confirmed_weight(deployment, predictor, view),
    )
