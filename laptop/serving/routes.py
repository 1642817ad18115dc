"""The front door's routes: which request reaches which servers, as a table for Envoy.

For each predictor there are three clusters with the same servers: two for the inferences that are
shared out by weight, whose counters are the rollout's evidence, and one (`direct`) for what is
addressed to a version, and for feedback, metadata and health, which must not dilute it. Those of
gRPC are apart: their failures have HTTP's status of success, and are counted by gRPC's own; what
Envoy answers for a server that does not would be counted by both. What an
inference is says `serving.protocol`, for these routes and for the servers; a path that is not in
its table reaches no server. A request's id picks the server within a version, so that its feedback
reaches the one that remembers it.

Source: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/ (route).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving import protocol
from serving.protocol import INFERENCES, PREDICTOR_HEADER, REQUEST_ID_HEADER, Route, paths

API = "type.googleapis.com/envoy"
"""What the names of Envoy's types begin with."""
_TIMEOUT = "30s"
CALLS = ".grpc"
"""How the name of a cluster ends that is for inferences by gRPC."""
DIRECT = ".direct"
"""How that of the cluster ends for what is addressed to a version."""
_SAFE_RETRIES = {
    # Only where no server saw the request: hiding a version's failures would blind the judge.
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    # About six seconds in all, in which a version's only server is started again: a crash then
    # costs its callers time, and loses only the requests that had begun.
    "num_retries": 16,
    "retry_back_off": {"base_interval": "0.025s", "max_interval": "1s"},
    # The hash of the id may pick the same server many times in a row before it picks another.
    "host_selection_retry_max_attempts": 32,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": f"{API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
}


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A predictor as Envoy sees it.

    Args:
        deployment: its SeldonDeployment's name.
        name: the predictor's name.
        version: the model's version, for requests that ask for one.
        model: the name in its servers' paths.
        ports: where its servers listen on 127.0.0.1.
    """

    deployment: str
    name: str
    version: str
    model: str
    ports: tuple[int, ...]

    @property
    def cluster(self) -> str:
        """The cluster for requests shared out by weight."""
        return f"{self.deployment}.{self.name}"

    @property
    def calls(self) -> str:
        """The cluster for those of gRPC."""
        return f"{self.cluster}{CALLS}"

    @property
    def clusters(self) -> tuple[str, str, str]:
        """All three."""
        return self.cluster, self.calls, self.direct

    @property
    def direct(self) -> str:
        """The cluster for requests addressed to this version."""
        return f"{self.cluster}{DIRECT}"


@dataclass(frozen=True, kw_only=True)
class Front:
    """The front door of one SeldonDeployment.

    Args:
        name: its name.
        namespace: its namespace; both are in the path.
        backends: the predictors that can be addressed.
        weights: predictor → share of the traffic in 1/10000; empty when none is ready yet.
        shadows: predictors that get a copy of each request.
    """

    name: str
    namespace: str
    backends: tuple[Backend, ...]
    weights: Mapping[str, int]
    shadows: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where clients reach it; the same as behind Istio."""
        return f"/seldon/{self.namespace}/{self.name}/"


def table(fronts: Iterable[Front]) -> list[dict[str, Any]]:
    """The routes of all front doors, the first that fits being taken."""
    routes = [route for front in fronts for route in _routes(front)]
    nobody = (
        f"no deployment has the metadata {protocol.DEPLOYMENT_METADATA} and "
        f"{protocol.NAMESPACE_METADATA} of this call"
    )
    routes.append(_sorry({"prefix": f"/{protocol.CALLS}/"}, 404, nobody))
    routes.append(_sorry({"prefix": "/"}, 404, "there is no model at this path"))
    return routes


def _routes(front: Front) -> list[dict[str, Any]]:
    """A route for each known path, compared whole, and written anew as the servers know it: so
    whatever else is asked for reaches none of them."""
    models = dict.fromkeys(backend.model for backend in front.backends)
    addressed = {"name": PREDICTOR_HEADER}
    routes = []
    for backend in front.backends:
        named = [{**addressed, "string_match": {"exact": backend.name}}]
        direct = {"cluster": backend.direct}
        for path in paths(backend.model):
            routes.append(_to(front, f"{front.name}/{backend.name}", path, direct, named))
        for path in paths(backend.model, backend.version):
            name = f"{front.name}/versions/{backend.version}"
            routes.append(_to(front, name, path, direct))
        for path in protocol.CALLS_PATHS:
            routes.append(_call(front, f"{front.name}/{backend.name}", path, direct, named))
    present = {**addressed, "present_match": True}
    whole = ({"prefix": front.path}, {"prefix": f"/{protocol.CALLS}/", "headers": _chosen(front)})
    for match in whole:
        gone = {**match, "headers": [*match.get("headers", ()), present]}
        routes.append(_sorry(gone, 404, f"{front.name} has no such predictor with this path"))
    if not front.weights:
        unready = f"no predictor of {front.name} is ready yet"
        return [*routes, *(_sorry(match, 503, unready) for match in whole)]
    for path in protocol.CALLS_PATHS:
        is_inference = path == protocol.CALLS_INFERENCE
        split = _split(front, CALLS if is_inference else DIRECT)
        route = _call(front, f"{front.name}#call", path, split)
        if is_inference:
            route["route"] |= _mirrored(front, CALLS)
        routes.append(route)
    for model in models:
        # First, for they are what is asked for most.
        routes[:0] = [_shared(front, route, model) for route in INFERENCES]
        for path in paths(model):
            routes.append(_to(front, f"{front.name}#rest", path, _split(front, DIRECT)))
    nothing = (
        f"{front.name} has nothing at this path, which is taken as it is spelled; see "
        f"{front.path}v2/models/<name>"
    )
    methods = f"{front.name} has no such method"
    return [*routes, _sorry(whole[0], 404, nothing), _sorry(whole[1], 404, methods)]


def _shared(front: Front, route: Route, model: str) -> dict[str, Any]:
    """An inference that names no predictor: shared out by weight, and copied to the shadows."""
    method = [{"name": ":method", "string_match": {"exact": route.method}}]
    shared = _to(front, f"{front.name}#{route.name}", route.of(model), _split(front, ""), method)
    shared["route"] |= _mirrored(front, "")
    shared["match"]["headers"].append({"name": PREDICTOR_HEADER, "present_match": False})
    return shared


def _mirrored(front: Front, suffix: str) -> dict[str, Any]:
    shadows = [{"cluster": f"{front.name}.{shadow}{suffix}"} for shadow in front.shadows]
    return {"request_mirror_policies": shadows}


def _chosen(front: Front) -> list[dict[str, Any]]:
    """How a call says that it is for this front door: by metadata, as behind Seldon's Istio."""
    said = {
        protocol.DEPLOYMENT_METADATA: front.name,
        protocol.NAMESPACE_METADATA: front.namespace,
    }
    return [{"name": name, "string_match": {"exact": text}} for name, text in said.items()]


def _call(
    front: Front,
    name: str,
    path: str,
    target: dict[str, Any],
    headers: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A route of one of gRPC's methods."""
    match = {"path": path, "headers": [*_chosen(front), *headers]}
    return {"name": name, "match": match, "route": _action(target)}


def _split(front: Front, suffix: str) -> dict[str, Any]:
    clusters = [
        {"name": f"{front.name}.{name}{suffix}", "weight": weight}
        for name, weight in sorted(front.weights.items())
        if weight
    ]
    return {"weighted_clusters": {"clusters": clusters}}


def _to(
    front: Front,
    name: str,
    path: str,
    target: dict[str, Any],
    headers: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A route of one of the servers' paths; they know no prefix, as behind Istio, where Seldon has
    it rewritten."""
    match: dict[str, Any] = {"path": front.path + path[1:]}
    if headers:
        match["headers"] = list(headers)
    return {"name": name, "match": match, "route": {**_action(target), "prefix_rewrite": path}}


def _action(target: dict[str, Any]) -> dict[str, Any]:
    return {
        **target,
        "timeout": _TIMEOUT,
        "retry_policy": _SAFE_RETRIES,
        "hash_policy": [{"header": {"header_name": REQUEST_ID_HEADER}}],
    }


def _sorry(match: dict[str, Any], status: int, sentence: str) -> dict[str, Any]:
    body = {"inline_string": json.dumps({"error": sentence})}
    kind = {"header": {"key": "content-type", "value": "application/json"}}
    return {
        "match": match,
        "direct_response": {"status": status, "body": body},
        "response_headers_to_add": [kind],
    }
