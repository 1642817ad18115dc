"""What Seldon makes of a SeldonDeployment, and what of it is whose.

Seldon makes Deployments, Services and an Istio VirtualService, the latter only once every predictor
is ready. So a weight that was written is not a weight in use: what counts is what the
VirtualService says, and which predictors Seldon reports available servers for.

Names and forms: Seldon Core 1.17's controller (GetPredictorKey, GetDeploymentName) and its
`machinelearning.seldon.io/v1` reference.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Collection

from contracts.backends import SELDON
from contracts.rollout import WHOLE
from serving.rollout.core.observations import Observed
from serving.rollout.kubernetes import Object, contains
from serving.rollout.seldon.document import WEIGHTS

LONGEST = 63
"""Characters in a Kubernetes label; Seldon replaces longer names by a hash."""


def service_name(model: str, predictor: str) -> str:
    """The Service of a predictor, by Seldon's rule."""
    return _shortened(f"{model}-{predictor}")


def _deployment_names(model: str, predictor: str) -> set[str]:
    """The Deployment of a predictor's only pod spec, by Seldon's rule.

    With Seldon's `deploymentNameAsPrefix` a name that is too long begins with the model's.
    """
    name = f"{model}-{predictor}-0-{model}"
    return {_shortened(name), _shortened(name, prefix=model)}


def _shortened(name: str, prefix: str = "seldon") -> str:
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return name if len(name) <= LONGEST else f"{prefix}-{digest}"


def route_prefix(namespace: str, model: str) -> str:
    """The path of Seldon's route to a model."""
    return f"{SELDON.path(namespace, model)}/"


def observed(
    model: str, namespace: str, seldon: Object, routes: Object | None
) -> dict[str, Observed]:
    """Each predictor that has servers or traffic.

    Args:
        model: the model's name.
        namespace: where it lives.
        seldon: the SeldonDeployment with the status that Seldon gave it.
        routes: the VirtualService that Seldon wrote; None when it has not yet.
    """
    weights = _weights(model, namespace, routes)
    available = _available(model, seldon, weights.keys())
    return {
        name: Observed(ready=available.get(name, 0) > 0, weight=weights.get(name, 0))
        for name in sorted({*weights, *available})
    }


def _weights(model: str, namespace: str, routes: Object | None) -> dict[str, int]:
    """The weights in use by predictor, in 1/10000; Istio's are percents."""
    prefix = route_prefix(namespace, model)
    http = (routes or {}).get("spec", {}).get("http", ())
    ours = [route for route in http if prefix in prefixes(route)]
    destinations = ours[0].get("route", ()) if ours else ()
    share = WHOLE // 100
    alone = len(destinations) == 1
    return {
        route["destination"].get("subset") or route["destination"]["host"]: (
            share * route.get("weight", 100 if alone else 0)
        )
        for route in destinations
    }


def prefixes(route: Object) -> set[str]:
    """The paths that a route is for."""
    return {match.get("uri", {}).get("prefix", "") for match in route.get("match", ())}


def _available(model: str, seldon: Object, known: Collection[str]) -> dict[str, int]:
    """Available servers by predictor.

    A Deployment that belongs to no known predictor keeps its own name: it still runs something.
    """
    written = {own["name"] for own in seldon.get("spec", {}).get("predictors", ())}
    by_name = {
        deployment: name
        for name in written | set(known)
        for deployment in _deployment_names(model, name)
    }
    own = re.compile(rf"^{re.escape(model)}-(v\d+)-0-")
    counted: dict[str, int] = {}
    for name, servers in (seldon.get("status", {}).get("deploymentStatus") or {}).items():
        match = own.match(name)
        predictor = by_name.get(name) or (match[1] if match else name)
        counted[predictor] = int(servers.get("availableReplicas", 0))
    return counted


def essence(live: Object) -> tuple[object, ...]:
    """What a person or an operator changes, and Seldon does not."""
    metadata = live["metadata"]
    weights = metadata.get("annotations", {}).get(WEIGHTS)
    return metadata["uid"], metadata.get("generation"), weights, live.get("spec")


def merge(live: Object, wanted: Object) -> Object:
    """The live object with the wanted predictors and traffic, and with nothing else changed.

    What Seldon's webhook has added to a predictor stays where it does not contradict.
    """
    merged = copy.deepcopy(live)
    before = {own["name"]: own for own in live["spec"].get("predictors", ())}
    merged["spec"]["predictors"] = [
        _merge_predictor(before.get(own["name"]), own) for own in wanted["spec"]["predictors"]
    ]
    merged["spec"]["protocol"] = wanted["spec"]["protocol"]
    metadata = merged["metadata"]
    for part in ("annotations", "labels"):
        metadata[part] = {**metadata.get(part, {}), **wanted["metadata"][part]}
    return merged


TRAFFIC = ("traffic", "shadow")


def _merge_predictor(live: Object | None, wanted: Object) -> Object:
    """The live predictor with the wanted traffic; the wanted one where the two differ."""
    lasting = {key: value for key, value in wanted.items() if key not in TRAFFIC}
    if live is None or not contains(live, lasting):
        return copy.deepcopy(wanted)
    merged = copy.deepcopy(live)
    for key in TRAFFIC:  # Seldon's webhook leaves out 0 and false.
        if wanted.get(key):
            merged[key] = wanted[key]
        elif merged.get(key):
            merged[key] = wanted.get(key, type(merged[key])())
    return merged
