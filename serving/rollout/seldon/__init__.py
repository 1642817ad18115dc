"""Seldon Core 1.17 with Istio: one SeldonDeployment a model, a predictor a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts import backends
from serving.rollout.core.observations import Observed, Predictor
from serving.rollout.kubernetes import VIRTUAL_SERVICES, Api, Object
from serving.rollout.pods import Served
from serving.rollout.seldon import state
from serving.rollout.seldon.document import seldon_deployment

__all__ = ["BACKEND", "SeldonBackend", "seldon_deployment"]


class SeldonBackend:
    """Seldon as a serving backend."""

    facts = backends.SELDON
    kind = ("apis/machinelearning.seldon.io/v1", "seldondeployments")
    title = "SeldonDeployment"

    def service(self, model: str, predictor: str) -> str:
        """By Seldon's rule."""
        return state.service_name(model, predictor)

    def document(
        self,
        served: Served,
        predictors: Sequence[Predictor],
        *,
        namespace: str,
        image: str,
        env: Mapping[str, str],
    ) -> Object:
        """The SeldonDeployment."""
        return seldon_deployment(served, predictors, namespace=namespace, image=image, env=env)

    def merged(self, live: Object, wanted: Object) -> Object:
        """What Seldon's webhook has added to a predictor stays where it does not contradict."""
        return state.merge(live, wanted)

    def essence(self, live: Object) -> tuple[object, ...]:
        """Seldon writes the status; the rest is ours."""
        return state.essence(live)

    def observed(self, api: Api, live: Object) -> dict[str, Observed]:
        """By Seldon's status and the VirtualService that it wrote."""
        metadata = live["metadata"]
        routes = self._routes(api, live)
        return state.observed(metadata["name"], metadata["namespace"], live, routes)

    @staticmethod
    def _routes(api: Api, live: Object) -> Object | None:
        """The VirtualService that Seldon made of it; its name differs between Seldon's versions."""
        metadata = live["metadata"]
        prefix = state.route_prefix(metadata["namespace"], metadata["name"])
        own = [
            service
            for service in api.list(VIRTUAL_SERVICES, metadata["namespace"])
            if metadata["uid"]
            in {owner["uid"] for owner in service["metadata"].get("ownerReferences", ())}
            and any(prefix in state.prefixes(route) for route in service["spec"]["http"])
        ]
        return own[0] if own else None


BACKEND = SeldonBackend()
