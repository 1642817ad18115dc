"""Does to SeldonDeployments what Seldon Core 1.17.1 does, in a few hundred lines less.

Seldon's operator is a container image and a chart; where no container can run, this takes its
place. What our operator can see of Seldon is kept as it is there, in particular what is awkward:

- the VirtualService is written only while *every* predictor's Deployment is available, so a weight
  of 0 for a sick predictor changes nothing until it is removed;
- predictors that are no longer asked for are removed only then, too;
- `status` says nothing about which generation it is of: `Available` may be about the last one;
- weights are not checked to be between 0 and 100, only that they add up (its webhook).

Names, labels and the states follow operator/controllers/seldondeployment_controller.go and
operator/apis/machinelearning.seldon.io/v1 of SeldonIO/seldon-core, tag v1.17.1 (Apache 2.0).
Everything an executor would add is left out: our predictors carry `seldon.io/no-engine`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from typing import Any

from tests.cluster.api import UNREACHABLE, Api, Json

SELDON = "machinelearning.seldon.io/v1"
ISTIO = "networking.istio.io/v1alpha3"
APPS = "apps/v1"
HTTP, GRPC = 9000, 9500
"""The ports that Seldon's webhook gives the first container of a graph."""
CUSTOM_NAME = "seldon.io/svc-name"
EVERY = 0.2


class Seldon:
    """The stand-in: looks at every SeldonDeployment of the cluster, again and again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seldon", daemon=True)
        self.errors: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the look that is under way."""
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                found = self._api.list(SELDON, "SeldonDeployment")
            except UNREACHABLE:
                continue
            for one in found:
                self._try(one)

    def _try(self, one: Json) -> None:
        try:
            reconcile(self._api, one)
        except UNREACHABLE as error:
            # The next look tries again, as a controller does; the list is for a person to read.
            self.errors.append(f"{one['metadata']['namespace']}/{one['metadata']['name']}: {error}")


def reconcile(api: Api, deployment: Json) -> None:
    """One look at one SeldonDeployment."""
    if "deletionTimestamp" in deployment["metadata"]:
        return
    status = dict(deployment.get("status") or {})
    refusal = refused(deployment["spec"])
    if refusal:
        _set_status(api, deployment, {**status, "state": "Failed", "description": refusal})
        return
    wanted = [_apps_deployment(deployment, one) for one in deployment["spec"]["predictors"]]
    new = [ensure(api, service) for service in _services(deployment)]
    written = [ensure(api, one) for one in wanted]
    found = [_read(api, one) for one in wanted]
    ready = not any(written) and all(_available(one) for one in found)
    if ready:
        _route(api, deployment)
        _remove_others(api, deployment, wanted)
    _set_status(api, deployment, _status(deployment, found, ready and not any(new), status))


def refused(spec: Json) -> str:
    """What Seldon's validating webhook says about the traffic; empty when it lets it through."""
    live = [one for one in spec["predictors"] if not one.get("shadow")]
    total = sum(one.get("traffic", 0) for one in live)
    if len(spec["predictors"]) - len(live) > 1:
        return "Multiple shadows are not allowed"
    if len(live) > 1 and total != 100:
        return "Traffic must sum to 100 for multiple predictors"
    if len(spec["predictors"]) == 1 and 0 < total < 100:
        return "Traffic must sum be 100 for a single predictor when set"
    return ""


def predictor_key(deployment: Json, predictor: Json) -> str:
    """The name of a predictor's Service."""
    custom = predictor.get("annotations", {}).get(CUSTOM_NAME)
    return custom or _name(f"{deployment['metadata']['name']}-{predictor['name']}")


def host(deployment: Json, predictor: Json) -> str:
    """Where the predictor's Service answers in the cluster."""
    namespace = deployment["metadata"]["namespace"]
    return f"{predictor_key(deployment, predictor)}.{namespace}.svc.cluster.local"


def deployment_name(deployment: Json, predictor: Json) -> str:
    """The name of a predictor's Deployment: by its place and its containers."""
    containers = _pod(predictor)["containers"]
    names = "-".join(one["name"] for one in containers)
    return _name(f"{deployment['metadata']['name']}-{predictor['name']}-0-{names}")


def _name(name: str) -> str:
    """Kubernetes takes 63 characters."""
    return name if len(name) <= 63 else f"seldon-{hashlib.md5(name.encode()).hexdigest()}"


def _pod(predictor: Json) -> Json:
    spec: Json = predictor["componentSpecs"][0]["spec"]
    return spec


def _labels(deployment: Json, predictor: Json) -> tuple[dict[str, str], dict[str, str]]:
    """The labels a Deployment selects by, and all that its pods have."""
    key = predictor_key(deployment, predictor)
    container = _pod(predictor)["containers"][0]["name"]
    service = _name(f"{deployment['metadata']['name']}-{predictor['name']}-{container}")
    selector = {
        "seldon-deployment-id": deployment["metadata"]["name"],
        "seldon-app": key,
        f"seldon-app-svc-{container}": service,
    }
    more = {
        "app": deployment_name(deployment, predictor),
        "fluentd": "true",
        "app.kubernetes.io/managed-by": "seldon-core",
        "seldon.io/model": "true",
        **({"seldon.io/shadow": "true"} if predictor.get("shadow") else {}),
        **predictor.get("labels", {}),
    }
    return selector, {**selector, **more}


def _meta(deployment: Json, name: str, labels: dict[str, str] | None = None) -> Json:
    return {
        "name": name,
        "namespace": deployment["metadata"]["namespace"],
        "labels": labels or {},
        "ownerReferences": [
            {
                "apiVersion": SELDON,
                "kind": "SeldonDeployment",
                "name": deployment["metadata"]["name"],
                "uid": deployment["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _apps_deployment(deployment: Json, predictor: Json) -> Json:
    selector, labels = _labels(deployment, predictor)
    annotations = {
        "prometheus.io/path": "/prometheus",
        "prometheus.io/scrape": "true",
        **predictor.get("annotations", {}),
    }
    component = predictor["componentSpecs"][0]
    replicas = component.get("replicas", predictor.get("replicas"))
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}}
    spec: Json = {
        "selector": {"matchLabels": selector},
        "strategy": strategy,
        "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": _pod(predictor),
        },
    }
    if replicas is not None and "hpaSpec" not in component:
        spec["replicas"] = replicas
    if "progressDeadlineSeconds" in predictor:
        spec["progressDeadlineSeconds"] = predictor["progressDeadlineSeconds"]
    meta = _meta(deployment, deployment_name(deployment, predictor), labels)
    return {"apiVersion": APPS, "kind": "Deployment", "metadata": meta, "spec": spec}


def _services(deployment: Json) -> Iterable[Json]:
    """A predictor's Service, which traffic goes to, and its container's own."""
    for one in deployment["spec"]["predictors"]:
        selector, _ = _labels(deployment, one)
        key = predictor_key(deployment, one)
        for label, name in selector.items():
            if label != "seldon-deployment-id":
                labels = {
                    "seldon-deployment-id": deployment["metadata"]["name"],
                    "seldon-app": key,
                    "app.kubernetes.io/managed-by": "seldon-core",
                    label: name,
                }
                yield {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": _meta(deployment, name, labels),
                    "spec": {
                        "selector": {label: name},
                        "ports": [
                            {"name": "http", "port": HTTP, "targetPort": HTTP},
                            {"name": "grpc", "port": GRPC, "targetPort": GRPC},
                        ],
                    },
                }


def virtual_service(deployment: Json) -> Json:
    """The routes with the weights; a shadow is a mirror, not a route."""
    meta = deployment["metadata"]
    predictors = deployment["spec"]["predictors"]
    prefix = f"/seldon/{meta['namespace']}/{meta['name']}/"
    headers = {
        "seldon": {"exact": meta["name"]},
        "namespace": {"exact": meta["namespace"]},
    }
    rest = {"match": [{"uri": {"prefix": prefix}}], "rewrite": {"uri": "/"}}
    grpc = {"match": [{"uri": {"regex": r".*tensorflow.*|.*seldon.protos.*|.*inference.*"}}]}
    grpc["match"][0]["headers"] = headers
    http = []
    for route, port in ((rest, HTTP), (grpc, GRPC)):
        live = [_destination(deployment, one, port) for one in predictors if not one.get("shadow")]
        shadow = [one for one in predictors if one.get("shadow")]
        whole: Json = {**route, "route": live}
        for one in shadow:
            whole["mirror"] = _destination(deployment, one, port)["destination"]
        http.append(whole)
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": _meta(deployment, _name(meta["name"])),
        "spec": {
            "hosts": ["*"],
            "gateways": ["seldon-gateway"],
            "http": http,
        },
    }


def _destination(deployment: Json, predictor: Json, port: int) -> Json:
    destination = {
        "host": host(deployment, predictor),
        "subset": predictor["name"],
        "port": {"number": port},
    }
    weight = predictor.get("traffic", 0)
    # As in Istio's own JSON, a weight of zero is left out.
    return {"destination": destination, **({"weight": weight} if weight else {})}


def _rule(deployment: Json, predictor: Json) -> Json:
    subset: Json = {"name": predictor["name"]}
    version = predictor.get("labels", {}).get("version")
    subset["labels"] = {"version": version or ""}
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": _meta(deployment, predictor_key(deployment, predictor)),
        "spec": {"host": host(deployment, predictor), "subsets": [subset]},
    }


def _route(api: Api, deployment: Json) -> None:
    """Traffic as asked; undone when somebody changed it by hand."""
    ensure(api, virtual_service(deployment))
    for one in deployment["spec"]["predictors"]:
        ensure(api, _rule(deployment, one))


def ensure(api: Api, wanted: Json) -> bool:
    """Create it or make it so; whether anything had to be written."""
    meta = wanted["metadata"]
    found = api.get(wanted["apiVersion"], wanted["kind"], meta["namespace"], meta["name"])
    same = _same if wanted["apiVersion"] == ISTIO else _within
    if found is not None and same(wanted["spec"], found["spec"]):
        return False
    api.apply(wanted, manager="seldon-core")
    return True


def _same(part: Any, whole: Any) -> bool:
    """For kinds to which the API server adds no defaults."""
    return bool(part == whole)


def _within(part: Any, whole: Any) -> bool:
    """Whether everything asked for is there; lists must be as long, maps may have more."""
    if isinstance(part, dict):
        # What is empty is not stored.
        return isinstance(whole, dict) and all(
            _within(value, whole[key]) if key in whole else value in ([], {}, None)
            for key, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list) and len(part) == len(whole) and all(map(_within, part, whole))
        )
    return bool(part == whole)


def _read(api: Api, wanted: Json) -> Json:
    meta = wanted["metadata"]
    return api.get(APPS, "Deployment", meta["namespace"], meta["name"]) or wanted


def _available(found: Json) -> bool:
    """As Seldon asks, which does not look at the generation that the status is of."""
    status = found.get("status", {})
    return bool(status.get("readyReplicas") and not status.get("unavailableReplicas", 0))


def _stuck(found: Json) -> bool:
    """Not available, and not getting there."""
    conditions = {
        one["type"]: one["status"] for one in found.get("status", {}).get("conditions", [])
    }
    return conditions.get("Available") == "False" and conditions.get("Progressing") == "False"


def _remove_others(api: Api, deployment: Json, wanted: list[Json]) -> None:
    """What belongs to predictors that are no longer asked for."""
    meta = deployment["metadata"]
    keep = {
        APPS: {one["metadata"]["name"] for one in wanted},
        "v1": {one["metadata"]["name"] for one in _services(deployment)},
    }
    label = f"seldon-deployment-id={meta['name']}"
    for version, kind in ((APPS, "Deployment"), ("v1", "Service")):
        for one in api.list(version, kind, meta["namespace"], labelSelector=label):
            if one["metadata"]["name"] not in keep[version]:
                api.delete({**one, "apiVersion": version, "kind": kind})


def _status(deployment: Json, found: list[Json], available: bool, old: Json) -> Json:
    """As Seldon reports it: no generation, counts by Deployment, Services by name."""
    meta = deployment["metadata"]
    counts = {
        one["metadata"]["name"]: {
            key: one.get("status", {}).get(key, 0)
            for key in ("replicas", "availableReplicas")
            if one.get("status", {}).get(key, 0)
        }
        for one in found
    }
    state = "Available" if available else "Creating"
    if not available and any(_stuck(one) for one in found):
        state = "Failed"
    keys = [predictor_key(deployment, one) for one in deployment["spec"]["predictors"]]
    address = f"{keys[0]}.{meta['namespace']}.svc.cluster.local:{HTTP}"
    return {
        "state": state,
        "description": "Deployment is no longer progressing and not available."
        if state == "Failed"
        else "",
        "deploymentStatus": counts,
        "serviceStatus": {
            key: {
                "svcName": key,
                "httpEndpoint": f"{key}.{meta['namespace']}:{HTTP}",
                "grpcEndpoint": f"{key}.{meta['namespace']}:{GRPC}",
            }
            for key in keys
        },
        "replicas": next(iter(counts.values()), {}).get("replicas", 0),
        "address": {"url": f"http://{address}/v2/models/infer"},
    }


def _set_status(api: Api, deployment: Json, status: Json) -> None:
    """Write it when it differs, on the version that was looked at: a conflict is for the next."""
    if status == deployment.get("status"):
        return
    body = {**deployment, "status": status}
    api.call("PUT", f"{api.at(deployment)}/status", body)
