"""The Kubernetes API as the operator and the command line use it, and a model's deployment on it.

Deploying in a cluster means writing one SeldonDeployment; Seldon makes Deployments, Services and
an Istio VirtualService of it, the latter only once every predictor is ready. So a weight that was
written is not a weight in use: what counts is what the VirtualService says, and which predictors
Seldon reports available servers for.

Every write is conditional on what was read: on the object's resourceVersion, and on its being
owned by this ModelRollout. So a second operator, or one that was asleep, cannot undo what was
decided since, and a SeldonDeployment of somebody else's is never touched.

Seldon's names and forms: Seldon Core 1.17's controller (GetPredictorKey, GetDeploymentName) and its
`machinelearning.seldon.io/v1` reference.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import urllib3
from kubernetes import client, config  # type: ignore[import-untyped,unused-ignore]
from kubernetes.client.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    ApiException,
)
from kubernetes.config.config_exception import (  # type: ignore[import-untyped,unused-ignore]
    ConfigException,
)

from contracts.custom_resource import API_VERSION, KIND, ClusterServing, ModelRolloutSpec
from contracts.errors import RolloutError
from contracts.rollout import WHOLE, RolloutSpec
from serving.rollout.core.observations import Observed, Predictor
from serving.rollout.seldon import IMAGE, WEIGHTS, check_weights, seldon_deployment

log = structlog.get_logger(__name__)

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
TIMEOUT = (3.0, 15.0)
"""Seconds to connect and to wait for an answer."""
ROLLOUTS = ("apis/millwright.dev/v1alpha1", "modelrollouts")
SELDON_DEPLOYMENTS = ("apis/machinelearning.seldon.io/v1", "seldondeployments")
VIRTUAL_SERVICES = ("apis/networking.istio.io/v1beta1", "virtualservices")
EVENTS = ("api/v1", "events")
LONGEST = 63
"""Characters in a Kubernetes label; Seldon replaces longer names by a hash."""


class ConflictError(RolloutError):
    """Somebody else wrote the object since it was read."""


def configuration(kubeconfig: str | None = None, context: str | None = None) -> Any:
    """Where the API server is and who asks: a kubeconfig, or the pod's own service account.

    Raises:
        RolloutError: neither is there.
    """
    made = client.Configuration()
    made.retries = False
    try:
        if kubeconfig is None and context is None and _in_cluster():
            config.load_incluster_config(client_configuration=made)
        else:
            config.load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=made
            )
    except (ConfigException, OSError) as error:
        raise RolloutError(
            f"no Kubernetes cluster is configured: {error}",
            fix="Name one with --context, or its file with --kubeconfig or KUBECONFIG.",
        ) from None
    return made


def _in_cluster() -> bool:
    return Path("/var/run/secrets/kubernetes.io/serviceaccount/token").is_file()


class Api:
    """Reads and writes objects; every failure is a RolloutError.

    Args:
        configuration: where the API server is and who asks.
    """

    def __init__(self, configuration: Any) -> None:
        self._client = client.ApiClient(configuration)

    def get(self, kind: tuple[str, str], namespace: str, name: str) -> Object | None:
        """One object, or None when there is none."""
        return self._call("GET", _path(kind, namespace, name), missing=True)

    def list(self, kind: tuple[str, str], namespace: str, **query: str) -> list[Object]:
        """The objects of a namespace."""
        found = self._call("GET", _path(kind, namespace), query=query) or {}
        return list(found.get("items", ()))

    def create(self, kind: tuple[str, str], namespace: str, body: Object) -> Object:
        """Create an object.

        Raises:
            ConflictError: there is one of that name.
        """
        return self._call("POST", _path(kind, namespace), body) or {}

    def replace(self, kind: tuple[str, str], body: Object, subresource: str = "") -> Object:
        """Write an object over the one that was read.

        Raises:
            ConflictError: it was changed since.
        """
        metadata = body["metadata"]
        path = _path(kind, metadata["namespace"], metadata["name"], subresource)
        return self._call("PUT", path, body) or {}

    def patch(
        self, kind: tuple[str, str], namespace: str, name: str, body: object, form: str = MERGE
    ) -> Object:
        """Change some of an object's fields."""
        return self._call("PATCH", _path(kind, namespace, name), body, form=form) or {}

    def delete(self, kind: tuple[str, str], body: Object) -> None:
        """Delete exactly the object that was read; one that is gone already is fine.

        Raises:
            ConflictError: it was changed since.
        """
        metadata = body["metadata"]
        known = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": known}
        path = _path(kind, metadata["namespace"], metadata["name"])
        self._call("DELETE", path, options, missing=True)

    def serves(self, kind: tuple[str, str]) -> bool:
        """Whether the API server knows this kind of object."""
        found = self._call("GET", f"/{kind[0]}", missing=True) or {}
        return kind[1] in {one["name"] for one in found.get("resources", ())}

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        form: str = "application/json",
        missing: bool = False,
    ) -> Object | None:
        try:
            answer: Object = self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": form},
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=TIMEOUT,
            )
            return answer
        except ApiException as error:
            if error.status == 404 and missing:
                return None
            raise _refusal(method, path, error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = type(error).__name__
            raise RolloutError(
                f"the Kubernetes API does not answer: {reason}", where=path
            ) from None


def _path(kind: tuple[str, str], namespace: str, name: str = "", subresource: str = "") -> str:
    parts = ["", kind[0], "namespaces", namespace, kind[1], name, subresource]
    if not namespace:
        parts[2:4] = []
    return "/".join(part for index, part in enumerate(parts) if part or index == 0)


def _refusal(method: str, path: str, error: Any) -> RolloutError:
    """The API server's answer as a sentence."""
    found = re.search(r'"message":\s*"((?:[^"\\]|\\.)*)"', error.body or "")
    said = found[1].replace('\\"', '"') if found else str(error.reason)
    kind = ConflictError if error.status == 409 else RolloutError
    return kind(f"{method} was refused ({error.status}): {said}", where=path)


# --- What Seldon makes of a SeldonDeployment ------------------------------------------------------


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
    prefix = f"/seldon/{namespace}/{model}/"
    http = (routes or {}).get("spec", {}).get("http", ())
    ours = [one for one in http if prefix in _prefixes(one)]
    destinations = ours[0].get("route", ()) if ours else ()
    share = WHOLE // 100
    alone = len(destinations) == 1
    return {
        one["destination"].get("subset") or one["destination"]["host"]: (
            share * one.get("weight", 100 if alone else 0)
        )
        for one in destinations
    }


def _prefixes(route: Object) -> set[str]:
    return {match.get("uri", {}).get("prefix", "") for match in route.get("match", ())}


def _available(model: str, seldon: Object, known: Collection[str]) -> dict[str, int]:
    """Available servers by predictor.

    A Deployment that belongs to no known predictor keeps its own name: it still runs something.
    """
    named = {one["name"] for one in seldon.get("spec", {}).get("predictors", ())} | set(known)
    by_name = {one: name for name in named for one in _deployment_names(model, name)}
    own = re.compile(rf"^{re.escape(model)}-(v\d+)-0-")
    counted: dict[str, int] = {}
    for name, one in (seldon.get("status", {}).get("deploymentStatus") or {}).items():
        match = own.match(name)
        predictor = by_name.get(name) or (match[1] if match else name)
        counted[predictor] = int(one.get("availableReplicas", 0))
    return counted


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The ModelRollout that a deployment belongs to."""

    name: str
    namespace: str
    uid: str

    def reference(self) -> Object:
        """As an owner reference: when the owner is deleted, Kubernetes deletes what it owns."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }


@dataclass(frozen=True, kw_only=True)
class ServedRollout:
    """What is served, from a ModelRollout."""

    name: str
    serving: ClusterServing
    rollout: RolloutSpec


class KubernetesDeployment:
    """A model's SeldonDeployment in a cluster.

    Args:
        api: the Kubernetes API.
        owner: the ModelRollout it belongs to.
        spec: how the versions are served.
        image: the model server's image where the spec names none.
        repaired: told what had been changed by hand, when it is put right.
    """

    def __init__(
        self,
        api: Api,
        owner: Owner,
        spec: ModelRolloutSpec,
        *,
        image: str = IMAGE,
        repaired: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._api = api
        self._owner = owner
        self._serving = spec.serving
        self._served = ServedRollout(name=owner.name, serving=spec.serving, rollout=spec.plan)
        self._image = spec.serving.image or image
        self._repaired = repaired
        self._read = False
        self._live: Object | None = None

    def read(self) -> Mapping[str, Observed] | None:
        """Each predictor that has servers or traffic, with the weight that Istio has."""
        owner = self._owner
        self._read = False
        self._live = self._api.get(SELDON_DEPLOYMENTS, owner.namespace, owner.name)
        if self._live is not None:
            self._check_owner(self._live)
        self._read = True
        if self._live is None:
            return {}
        return observed(owner.name, owner.namespace, self._live, self._routes(self._live))

    def apply(self, predictors: Sequence[Predictor]) -> None:
        """Write the predictors and their traffic; nothing when that is how it is.

        Raises:
            ConflictError: it was changed since it was read; the next step decides anew.
            RolloutError: the weights are impossible, or it was not read.
        """
        if not self._read:
            raise RolloutError(
                "it is not known what runs, so nothing is changed", where=self._where
            )
        if not predictors:
            self._remove()
            return
        check_weights(self._owner.name, predictors)
        wanted = self._document(predictors)
        if self._live is None:
            self._live = self._api.create(SELDON_DEPLOYMENTS, self._owner.namespace, wanted)
        elif (merged := merge(self._live, wanted)) != self._live:
            self._live = self._replace(merged)

    def repair(self, predictors: Sequence[Predictor]) -> None:
        """Put right what was changed by hand in a deployment that should be so."""
        if not self._read or self._live is None:
            return
        merged = merge(self._live, self._document(predictors))
        if merged != self._live:
            self._live = self._replace(merged)
            self._repaired("the SeldonDeployment differed from what was written: put right")

    def _routes(self, seldon: Object) -> Object | None:
        """The VirtualService that Seldon made of it; its name differs between Seldon's versions."""
        uid, owner = seldon["metadata"]["uid"], self._owner
        prefix = f"/seldon/{owner.namespace}/{owner.name}/"
        ours = [
            one
            for one in self._api.list(VIRTUAL_SERVICES, owner.namespace)
            if uid in {its["uid"] for its in one["metadata"].get("ownerReferences", ())}
            and any(prefix in _prefixes(http) for http in one["spec"]["http"])
        ]
        return ours[0] if ours else None

    @property
    def _where(self) -> str:
        return f"{self._owner.namespace}/{self._owner.name}"

    def _document(self, predictors: Sequence[Predictor]) -> Object:
        document = seldon_deployment(
            self._served,
            predictors,
            namespace=self._owner.namespace,
            image=self._image,
            env=self._serving.env,
        )
        found: Object = copy.deepcopy(document)
        found["metadata"]["ownerReferences"] = [self._owner.reference()]
        return found

    def _remove(self) -> None:
        if self._live is not None:
            self._api.delete(SELDON_DEPLOYMENTS, self._live)
            self._live = None

    def _replace(self, merged: Object) -> Object:
        """Write; a conflict with Seldon's own status is none."""
        try:
            return self._api.replace(SELDON_DEPLOYMENTS, merged)
        except ConflictError:
            now = self._api.get(SELDON_DEPLOYMENTS, self._owner.namespace, self._owner.name)
            if now is None or self._live is None or _essence(now) != _essence(self._live):
                raise
            merged["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
            return self._api.replace(SELDON_DEPLOYMENTS, merged)

    def _check_owner(self, found: Object) -> None:
        """Refuse what is not ours.

        Raises:
            RolloutError: it belongs to somebody else, or to nobody.
        """
        owners = found["metadata"].get("ownerReferences", ())
        if self._owner.uid not in {one.get("uid") for one in owners}:
            raise RolloutError(
                "there is a SeldonDeployment of this name that this ModelRollout does not own",
                where=self._where,
                fix="Delete it, or give the ModelRollout another name.",
            )


def _essence(live: Object) -> tuple[object, ...]:
    """What a person or an operator changes, and Seldon does not."""
    metadata = live["metadata"]
    weights = metadata.get("annotations", {}).get(WEIGHTS)
    return metadata["uid"], metadata.get("generation"), weights, live.get("spec")


def merge(live: Object, wanted: Object) -> Object:
    """The live object with the wanted predictors and traffic, and with nothing else changed.

    What Seldon's webhook has added to a predictor stays where it does not contradict.
    """
    merged = copy.deepcopy(live)
    before = {one["name"]: one for one in live["spec"].get("predictors", ())}
    merged["spec"]["predictors"] = [
        _merge_predictor(before.get(one["name"]), one) for one in wanted["spec"]["predictors"]
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


def contains(live: object, wanted: object) -> bool:
    """Whether all that is wanted is there; lists of named things may have more of them."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            contains(live.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return wanted == [] and live is None
        if wanted and all(isinstance(one, Mapping) and "name" in one for one in wanted):
            named = {one.get("name"): one for one in live if isinstance(one, Mapping)}
            return all(contains(named.get(one["name"]), one) for one in wanted)
        return len(live) == len(wanted) and all(
            contains(mine, theirs) for mine, theirs in zip(live, wanted, strict=True)
        )
    return live == wanted or (live is None and wanted in (0, False, ""))
