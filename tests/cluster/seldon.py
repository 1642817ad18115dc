"""Does to SeldonDeployments what Seldon Core 1.17.1 does, in a few hundred lines less.

Seldon's operator is a container image and a chart; where no container can run, this takes its
place. The suite has also been run against the real one (docs/operator.md says how that went), and
what our operator and its pods can see of Seldon is kept as it is there, in particular what is
awkward:

- the VirtualService is written only while *every* predictor's Deployment is available, so a weight
  of 0 for a sick predictor changes nothing until it is removed;
- predictors that are no longer asked for are removed only then, too, and stay in the status until
  their last pod is gone; a Deployment that never had a pod is forgotten and stays;
- the first container gets ports, a volume, variables and a hook to end; the port for metrics is
  counted up from predictor to predictor, so removing one may restart the others;
- a `modelUri` brings a container that fetches it, which restricted namespaces refuse;
- the VirtualService is put right when somebody changes it, DestinationRules are never removed;
- `status` says nothing about which generation it is of: `Available` may be about the last one;
- weights are not checked to be between 0 and 100, only that they add up. Its webhook refuses the
  rest; here rules of the CRD in `crds.yaml` do, with the same sentences.

Left out: conditions in the status, Events, and everything that an executor would add (our
predictors carry `seldon.io/no-engine`).

Names, labels and the states follow operator/controllers/seldondeployment_controller.go and
operator/apis/machinelearning.seldon.io/v1 of SeldonIO/seldon-core, tag v1.17.1 (Apache 2.0).
"""

from __future__ import annotations

import copy
import threading
from typing import Any

from tests.cluster.api import UNREACHABLE, Api, Json
from tests.cluster.seldon_documents import (
    APPS,
    GRPC,
    HTTP,
    ISTIO,
    SCALING,
    SELDON,
    apps_deployment,
    defaulted,
    destination_rule,
    scalers,
    services_of,
    virtual_service,
)

STUCK = "Deployment is no longer progressing and not available."
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


def reconcile(api: Api, stored: Json) -> None:
    """One look at one SeldonDeployment."""
    if "deletionTimestamp" in stored["metadata"]:
        return
    deployment = defaulted(stored)
    wanted = [apps_deployment(deployment, one) for one in deployment["spec"]["predictors"]]
    services = list(services_of(deployment))
    new = [ensure(api, one) for one in (*services, *scalers(deployment))]
    written = [ensure(api, one) for one in wanted]
    found = [_read(api, one) for one in wanted]
    ready = not any(written) and all(_available(one) for one in found)
    counts = _counts(stored, found)
    if ready:
        _route(api, deployment)
        _remove_others(api, deployment, wanted, services, counts)
    _set_status(api, stored, _status(deployment, found, counts, ready and not any(new)))


def _route(api: Api, deployment: Json) -> None:
    """Traffic as asked; undone when somebody changed it by hand."""
    ensure(api, virtual_service(deployment))
    for one in deployment["spec"]["predictors"]:
        ensure(api, destination_rule(deployment, one))


def ensure(api: Api, wanted: Json) -> bool:
    """Create it or make it so; whether anything had to be written."""
    meta = wanted["metadata"]
    found = api.get(wanted["apiVersion"], wanted["kind"], meta["namespace"], meta["name"])
    same = _same if wanted["apiVersion"] == ISTIO else _within
    if found is not None and same(wanted["spec"], found["spec"]) and _labelled(wanted, found):
        return False
    api.apply(wanted, manager="seldon-core")
    return True


def _labelled(wanted: Json, found: Json) -> bool:
    """Whether the labels are these and no more: the label of a shadow goes when it is none.

    For a Deployment this is what restarts the servers of a shadow that begins to serve.
    """
    documents = [(wanted, found)]
    if wanted["kind"] == "Deployment":
        documents.append((wanted["spec"]["template"], found["spec"]["template"]))
    return all(
        mine["metadata"]["labels"] == one["metadata"].get("labels", {}) for mine, one in documents
    )


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


def _counts(stored: Json, found: list[Json]) -> Json:
    """Pods by Deployment: a new one is told once it has any, an old one until it is gone."""
    counts: Json = copy.deepcopy((stored.get("status") or {}).get("deploymentStatus") or {})
    for one in found:
        name, status = one["metadata"]["name"], one.get("status", {})
        numbers = {key: status[key] for key in ("replicas", "availableReplicas") if status.get(key)}
        if numbers or name in counts:
            counts[name] = numbers
    return counts


def _remove_others(
    api: Api, deployment: Json, wanted: list[Json], services: list[Json], counts: Json
) -> None:
    """What belongs to predictors that are no longer asked for: its Deployments, then the rest."""
    meta = deployment["metadata"]
    old = counts.keys() - {one["metadata"]["name"] for one in wanted}
    for name in old:
        gone = True
        for version, kind in ((APPS, "Deployment"), (SCALING, "HorizontalPodAutoscaler")):
            if found := api.get(version, kind, meta["namespace"], name):
                gone = False
                api.delete({**found, "apiVersion": version, "kind": kind}, "Foreground")
        if gone:
            del counts[name]
    if old:
        return
    keep = {one["metadata"]["name"] for one in services}
    label = f"seldon-deployment-id={meta['name']}"
    for one in api.list("v1", "Service", meta["namespace"], labelSelector=label):
        if one["metadata"]["name"] not in keep:
            api.delete({**one, "apiVersion": "v1", "kind": "Service"})


def _status(deployment: Json, found: list[Json], counts: Json, available: bool) -> Json:
    """As Seldon reports it: no generation, counts by Deployment, Services by name."""
    meta = deployment["metadata"]
    state = "Available" if available else "Creating"
    if not available and any(_stuck(one) for one in found):
        state = "Failed"
    keys = [one["metadata"]["name"] for one in services_of(deployment)]
    graph = deployment["spec"]["predictors"][0]["graph"]["name"]
    address = f"{keys[0]}.{meta['namespace']}.svc.cluster.local:{HTTP}"
    return {
        "state": state,
        **({"description": STUCK} if state == "Failed" else {}),
        "deploymentStatus": counts,
        "serviceStatus": {
            key: {
                "svcName": key,
                "httpEndpoint": f"{key}.{meta['namespace']}:{HTTP}",
                "grpcEndpoint": f"{key}.{meta['namespace']}:{GRPC}",
            }
            for key in keys
        },
        "replicas": found[0].get("status", {}).get("replicas", 0),
        "address": {"url": f"http://{address}/v2/models/{graph}/infer"},
    }


def _set_status(api: Api, deployment: Json, status: Json) -> None:
    """Write it when it differs, on the version that was looked at: a conflict is for the next."""
    if status == deployment.get("status"):
        return
    body = {**deployment, "status": status}
    api.call("PUT", f"{api.at(deployment)}/status", body)
