"""Talks to a Kubernetes API in documents, as the tests' manifests are written.

The client library's typed classes would hide what is on the wire, and its dynamic client keeps a
cache of discovery on disk that outlives a cluster whose port is used again. Tests need six verbs.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

Json = dict[str, Any]
Objects = list[Json]
"""A name of its own: within `Api`, `list` is a method."""
Value = TypeVar("Value")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
UNREACHABLE = (ApiException, HTTPError, OSError)


class Api:
    """One user's view of a cluster.

    Args:
        kubeconfig: the file.
        context: its context; the current one when left out.
    """

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.context = context
        self._client = config.new_client_from_config(str(kubeconfig), context)
        self._client.configuration.retries = False
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    @property
    def configuration(self) -> client.Configuration:
        """Where the API is and how to trust it."""
        return self._client.configuration

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Json:
        """One request; what came back."""
        answer = self._client.call_api(
            f"{path}?{urlencode(query)}" if query else path,
            method,
            header_params={"Accept": accept, "Content-Type": content},
            body=body,
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=30,
        )
        return answer or {}

    def path(self, api: str, kind: str, namespace: str | None = None, name: str = "") -> str:
        """The address of a kind's collection or of one object."""
        base = "/api/v1" if api == "v1" else f"/apis/{api}"
        if (api, kind) not in self._plurals:
            for one in self.call("GET", base)["resources"]:
                if "/" not in one["name"]:
                    self._plurals[api, one["kind"]] = one["name"], one["namespaced"]
        plural, namespaced = self._plurals[api, kind]
        place = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{base}{place}/{plural}" + (f"/{name}" if name else "")

    def at(self, document: Json) -> str:
        """The address of the object that a document describes."""
        meta = document["metadata"]
        api, kind = document["apiVersion"], document["kind"]
        return self.path(api, kind, meta.get("namespace", "default"), meta["name"])

    def get(self, api: str, kind: str, namespace: str | None, name: str) -> Json | None:
        """One object; None when there is none."""
        try:
            return self.call("GET", self.path(api, kind, namespace, name))
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def list(self, api: str, kind: str, namespace: str | None = None, **query: str) -> Objects:
        """The objects of a kind; in every namespace when none is named."""
        answer = self.call("GET", self.path(api, kind, namespace), None, **query)
        return Objects(answer["items"])

    def table(self, path: str) -> Objects:
        """What `kubectl get` prints, a row an object: the API server makes the table."""
        kind = "application/json;as=Table;v=v1;g=meta.k8s.io"
        table = self.call("GET", path, accept=kind)
        columns = [one["name"] for one in table["columnDefinitions"]]
        return [dict(zip(columns, one["cells"], strict=True)) for one in table["rows"]]

    def apply(self, document: Json, manager: str = "millwright-tests") -> Json:
        """Server-side apply: create it or make it so."""
        return self.call(
            "PATCH",
            self.at(document),
            document,
            content=APPLY,
            fieldManager=manager,
            force="true",
        )

    def merge(self, document: Json, changes: Json, part: str = "") -> Json:
        """Merge changes into an object (or into its subresource `part`)."""
        path = self.at(document) + (f"/{part}" if part else "")
        return self.call("PATCH", path, changes, content=MERGE)

    def delete(self, document: Json, propagation: str = "Background") -> None:
        """Remove it; nothing happens when it is gone already."""
        try:
            self.call("DELETE", self.at(document), {"propagationPolicy": propagation})
        except ApiException as error:
            if error.status != 404:
                raise

    def install(self, documents: Iterable[Json]) -> None:
        """Apply manifests in their order, waiting for CRDs to be served."""
        for document in documents:
            self.apply(document)
            if document["kind"] == "CustomResourceDefinition":
                name = document["metadata"]["name"]
                eventually(functools.partial(self._established, name), f"CRD {name} served")

    def _established(self, name: str) -> bool:
        found = self.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, name) or {}
        conditions = found.get("status", {}).get("conditions") or []
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def manifests(place: Path) -> list[Json]:
    """The documents of a folder, as its kustomization lists them."""
    names = yaml.safe_load((place / "kustomization.yaml").read_text())["resources"]
    return [one for name in names for one in documents(place / name)]


def documents(path: Path) -> list[Json]:
    """The documents of a file."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def eventually(
    check: Callable[[], Value | None], what: str, within: float = 90.0, every: float = 0.1
) -> Value:
    """What `check` gives once that is true; an API that does not answer counts as not yet.

    Raises:
        AssertionError: it did not become true in time; says what was last seen.
    """
    end = time.monotonic() + within
    last: object = None
    while time.monotonic() < end:
        try:
            value = check()
        except UNREACHABLE as error:
            last = error
        else:
            if value:
                return value
            last = value
        time.sleep(every)
    raise AssertionError(f"{what}: not within {within:.0f}s; last seen: {last!r}")
