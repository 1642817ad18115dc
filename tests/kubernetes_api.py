"""An empty cluster over HTTP: what the operator asks for at its start is there, and nothing in it.

Enough for a process that must come up, whoever runs it; `tests/cluster` has the real thing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

WATCHED = ("modelrollouts", "seldondeployments")
KINDS = {
    "/api/v1": ("namespaces", "Namespace"),
    "/apis/apiextensions.k8s.io/v1": ("customresourcedefinitions", "CustomResourceDefinition"),
    "/apis/millwright.dev/v1alpha1": ("modelrollouts", "ModelRollout"),
    "/apis/machinelearning.seldon.io/v1": ("seldondeployments", "SeldonDeployment"),
}
"""The kinds that kopf asks about, by the path of their group and version."""


def resources(path: str) -> dict[str, Any]:
    """What a group says of its kinds."""
    plural, kind = KINDS[path]
    verbs = ["get", "list", "watch", "create", "update", "patch", "delete"]
    resource = {"singularName": "", "kind": kind, "namespaced": plural in WATCHED, "verbs": verbs}
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": path.removeprefix("/apis/").removeprefix("/api/"),
        "resources": [{**resource, "name": plural}, {**resource, "name": f"{plural}/status"}],
    }


def groups() -> dict[str, Any]:
    """The list of groups, each with its one version."""
    listed = []
    for path in KINDS:
        if path.startswith("/apis/"):
            group, version = path.removeprefix("/apis/").split("/")
            served = {"groupVersion": f"{group}/{version}", "version": version}
            listed.append({"name": group, "versions": [served], "preferredVersion": served})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


FIXED: dict[str, dict[str, Any]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": groups(),
    **{path: resources(path) for path in KINDS},
}
"""Answers by path."""


class EmptyCluster:
    """The server, from ``with`` to the end of it."""

    def __init__(self) -> None:
        self.watched = {plural: threading.Event() for plural in WATCHED}
        """Set when somebody watches that kind."""
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float, *, alive: Callable[[], bool]) -> bool:
        """Whether every kind is watched in time, by somebody who is still alive."""
        end = time.monotonic() + seconds
        for event in self.watched.values():
            while not event.wait(0.1):
                if time.monotonic() > end or not alive():
                    return False
        return alive()

    def kubeconfig(self, folder: Path) -> Path:
        """A file that names this cluster."""
        path = folder / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "empty", "cluster": {"server": self.url}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "empty", "context": {"cluster": "empty", "user": "nobody"}}],
            "current-context": "empty",
        }
        path.write_text(json.dumps(document))
        return path

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                split = urlsplit(self.path)
                path, query = split.path, parse_qs(split.query)
                plural = path.rpartition("/")[2]
                if path in FIXED:
                    self.answer(FIXED[path])
                elif plural in cluster.watched and query.get("watch"):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.end_headers()
                    cluster.watched[plural].set()
                    cluster._closing.wait()
                elif plural in cluster.watched:
                    self.answer({"metadata": {"resourceVersion": "1"}, "items": []})
                else:
                    self.answer({"kind": "Status", "code": 404}, 404)

            def answer(self, body: dict[str, Any], code: int = 200) -> None:
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Handler
