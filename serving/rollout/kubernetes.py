"""The Kubernetes API as the operator and the command line use it.

Every write is conditional on what was read: on the object's resourceVersion. So a second operator,
or one that was asleep, cannot undo what was decided since.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config  # type: ignore[import-untyped,unused-ignore]
from kubernetes.client.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    ApiException,
)
from kubernetes.config.config_exception import (  # type: ignore[import-untyped,unused-ignore]
    ConfigException,
)

from contracts.errors import RolloutError

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
TIMEOUT = (3.0, 15.0)
"""Seconds to connect and to wait for an answer."""
ROLLOUTS = ("apis/millwright.dev/v1alpha1", "modelrollouts")
VIRTUAL_SERVICES = ("apis/networking.istio.io/v1beta1", "virtualservices")
EVENTS = ("api/v1", "events")


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
        listed = self._call("GET", _path(kind, namespace), query=query) or {}
        return list(listed.get("items", ()))

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
        known = self._call("GET", f"/{kind[0]}", missing=True) or {}
        return kind[1] in {resource["name"] for resource in known.get("resources", ())}

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
    sentence = re.search(r'"message":\s*"((?:[^"\\]|\\.)*)"', error.body or "")
    said = sentence[1].replace('\\"', '"') if sentence else str(error.reason)
    kind = ConflictError if error.status == 409 else RolloutError
    return kind(f"{method} was refused ({error.status}): {said}", where=path)


def contains(live: object, wanted: object) -> bool:
    """Whether all that is wanted is there; lists of named things may have more of them."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            contains(live.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return wanted == [] and live is None
        if wanted and all(isinstance(item, Mapping) and "name" in item for item in wanted):
            named = {item.get("name"): item for item in live if isinstance(item, Mapping)}
            return all(contains(named.get(item["name"]), item) for item in wanted)
        return len(live) == len(wanted) and all(
            contains(mine, theirs) for mine, theirs in zip(live, wanted, strict=True)
        )
    return live == wanted or (live is None and wanted in (0, False, ""))
