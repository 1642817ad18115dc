"""Plays the users of a model, and counts as the data plane and the servers in a cluster count.

Requests are split by the weights that the VirtualService has *now*, so a test sees what an applied
weight does and not what was intended. Two sets of counters come out, on one page for Prometheus:

- Istio's standard metrics (istio.io, "Istio Standard Metrics"), from the gateway (`reporter`
  "source") and again from each pod's sidecar ("destination"): who adds both up counts twice;
- each pod's own `millwright_*`, by the very code of the model server, labelled with namespace and
  pod as a scrape in a cluster labels them. A pod that is gone takes its counters along.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from serving.runtime.counters import Counters
from tests.cluster.api import UNREACHABLE, Api, Json
from tests.cluster.seldon_documents import ISTIO

TICK = 0.1
LOOK = 0.3
BUCKETS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
"""Edges of Istio's histogram of durations, in ms."""
FAST, SLOW = 0.02, 0.4
"""Seconds that a good and a slow response take."""
SLOW_OVER = 0.2

Labels = tuple[tuple[str, str], ...]


@dataclass(kw_only=True)
class Users:
    """The traffic of one model: how much, and how each version answers it."""

    rate: float
    """Requests a second."""
    errors: dict[str, float] = field(default_factory=dict)
    """The share of failed responses by predictor; none when left out."""
    slow: dict[str, float] = field(default_factory=dict)
    """The share of slow responses by predictor."""
    wrong: dict[str, float] = field(default_factory=dict)
    """The share of predictions that turn out wrong by predictor."""
    feedback: float = 0.0
    """The share of requests that feedback comes back for."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One destination of a VirtualService."""

    predictor: str
    service: str
    host: str
    weight: int
    mirror: bool = False


class Traffic:
    """Sends, counts, and shows the counters at `url`.

    Args:
        api: where the weights and the pods are read.
        seed: of the random numbers.
        port: where the counters are shown; any free one when left out.
    """

    def __init__(self, api: Api, seed: int = 1, port: int = 0) -> None:
        self._api = api
        self._random = np.random.default_rng(seed)
        self._users: dict[tuple[str, str], Users] = {}
        self._routes: dict[tuple[str, str], list[Route]] = {}
        self._pods: dict[tuple[str, str], list[Json]] = {}
        self._istio: Counter[Labels] = Counter()
        self._times: Counter[tuple[Labels, bool]] = Counter()
        self._servers: dict[tuple[str, str], Counters] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.served: Counter[tuple[str, str]] = Counter()
        """Requests by namespace and predictor, mirrors left out: what a user saw."""
        self.failed: Counter[tuple[str, str]] = Counter()
        self._httpd = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.address = f"127.0.0.1:{self._httpd.server_port}"
        self.silent = False
        """When true the counters cannot be read, as in an outage of telemetry."""
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._send, self._look, self._httpd.serve_forever)
        ]

    def start(self) -> None:
        """Begin."""
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._httpd.shutdown()
        for one in self._threads:
            one.join(20)
        self._httpd.server_close()

    def to(self, namespace: str, model: str, users: Users) -> None:
        """These users ask this model from now on."""
        with self._lock:
            self._users[namespace, model] = users

    def none(self, namespace: str) -> None:
        """Nobody asks a namespace's models any more."""
        with self._lock:
            self._users = {key: one for key, one in self._users.items() if key[0] != namespace}

    def weights(self, namespace: str, model: str) -> dict[str, int]:
        """The share of each predictor in percent, as the data plane has it."""
        with self._lock:
            routes = self._routes.get((namespace, model), [])
            return {one.predictor: one.weight for one in routes if not one.mirror}

    def mirrored(self, namespace: str, model: str) -> str:
        """The predictor that gets copies of all requests; empty when none does."""
        with self._lock:
            routes = self._routes.get((namespace, model), [])
            return next((one.predictor for one in routes if one.mirror), "")

    # --- What the cluster says ----------------------------------------------------------------

    def _look(self) -> None:
        """Read weights and pods; a data plane goes on with the last ones it got."""
        while not self._stop.wait(LOOK):
            try:
                services = self._api.list(ISTIO, "VirtualService")
                pods = self._api.list("v1", "Pod", labelSelector="seldon-deployment-id")
            except UNREACHABLE:
                continue
            with self._lock:
                self._routes = {_owner(one): _routes(one) for one in services}
                self._pods = {}
                for pod in pods:
                    if _ready(pod):
                        meta = pod["metadata"]
                        place = meta["namespace"], meta["labels"]["seldon-app"]
                        self._pods.setdefault(place, []).append(pod)
                alive = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in pods}
                self._servers = {key: one for key, one in self._servers.items() if key in alive}

    # --- Requests -----------------------------------------------------------------------------

    def _send(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(TICK):
            now = time.monotonic()
            with self._lock:
                for key, users in self._users.items():
                    self._requests(key, users, now - last)
            last = now

    def _requests(self, key: tuple[str, str], users: Users, seconds: float) -> None:
        routes = self._routes.get(key, [])
        live = [one for one in routes if not one.mirror]
        total = sum(one.weight for one in live)
        if not total:
            return
        count = int(self._random.poisson(users.rate * seconds))
        shares = self._random.multinomial(count, [one.weight / total for one in live])
        for route, share in zip(live, shares, strict=True):
            failed = self._serve(key, route, users, int(share))
            self.served[key[0], route.predictor] += int(share)
            self.failed[key[0], route.predictor] += failed
        for route in routes:
            if route.mirror:
                self._serve(key, route, users, count)

    def _serve(self, key: tuple[str, str], route: Route, users: Users, count: int) -> int:
        """Requests to one destination; how many failed."""
        namespace, model = key
        pods = self._pods.get((namespace, route.service), [])
        if not pods:
            labels = _istio_labels(namespace, route, None, 503)
            self._istio[labels] += count
            self._times[labels, False] += count
            return count
        shares = self._random.multinomial(count, [1 / len(pods)] * len(pods))
        draws = [
            self._pod_serves(model, namespace, route, users, pod, int(share))
            for pod, share in zip(pods, shares, strict=True)
        ]
        return sum(draws)

    def _pod_serves(
        self, model: str, namespace: str, route: Route, users: Users, pod: Json, count: int
    ) -> int:
        failed = int(self._random.binomial(count, users.errors.get(route.predictor, 0)))
        slow = int(self._random.binomial(count - failed, users.slow.get(route.predictor, 0)))
        server = self._server(model, namespace, route, pod)
        for code, amount, seconds in (
            (500, failed, FAST),
            (200, slow, SLOW),
            (200, count - failed - slow, FAST),
        ):
            labels = _istio_labels(namespace, route, pod, code)
            self._istio[labels] += amount
            self._times[labels, seconds == SLOW] += amount
            for _ in range(amount):
                server.request(code, seconds)
        scores = self._random.uniform(size=count - failed).tolist()
        server.answered(len(scores), scores, {})
        judged = int(self._random.binomial(count - failed, users.feedback))
        wrong = int(self._random.binomial(judged, users.wrong.get(route.predictor, 0)))
        server.feedback["wrong"] += wrong
        server.feedback["right"] += judged - wrong
        return failed

    def _server(self, model: str, namespace: str, route: Route, pod: Json) -> Counters:
        name = namespace, pod["metadata"]["name"]
        if name not in self._servers:
            labels = {
                "model": model,
                "version": route.predictor.removeprefix("v"),
                "predictor": route.predictor,
            }
            bounds = [edge / 10 for edge in range(1, 10)]
            self._servers[name] = Counters(labels, SLOW_OVER, bounds)
        return self._servers[name]

    # --- The page for Prometheus --------------------------------------------------------------

    def text(self) -> bytes:
        """All counters in Prometheus's text form."""
        with self._lock:
            lines = [
                f"istio_requests_total{{{_text((*labels, *reporter))}}} {count}"
                for labels, count in self._istio.items()
                for reporter in _reporters(labels)
            ]
            for labels in self._istio:
                for reporter in _reporters(labels):
                    lines += self._histogram(labels, (*labels, *reporter))
            for (namespace, pod), server in self._servers.items():
                lines += _labelled(server.text().decode(), namespace, pod)
        return ("\n".join(lines) + "\n").encode()

    def _histogram(self, key: Labels, labels: Labels) -> list[str]:
        name = "istio_request_duration_milliseconds"
        fast, slow = self._times[key, False], self._times[key, True]
        lines = []
        for edge in (*BUCKETS, float("inf")):
            count = fast * (edge >= 1000 * FAST) + slow * (edge >= 1000 * SLOW)
            bound = "+Inf" if edge == float("inf") else f"{edge:g}"
            lines.append(f"{name}_bucket{{{_text((*labels, ('le', bound)))}}} {count}")
        total = 1000 * (fast * FAST + slow * SLOW)
        lines.append(f"{name}_sum{{{_text(labels)}}} {total}")
        lines.append(f"{name}_count{{{_text(labels)}}} {fast + slow}")
        return lines

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        traffic = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"" if traffic.silent else traffic.text()
                self.send_response(503 if traffic.silent else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """A scrape a second is not worth a line."""

        return Handler


def _owner(service: Json) -> tuple[str, str]:
    """The SeldonDeployment that a VirtualService belongs to."""
    meta = service["metadata"]
    owners = meta.get("ownerReferences", [])
    return meta["namespace"], owners[0]["name"] if owners else meta["name"]


def _routes(service: Json) -> list[Route]:
    """Where a VirtualService sends REST requests."""
    http = service["spec"]["http"][0]
    found = [_route(one["destination"], one.get("weight", 0)) for one in http["route"]]
    if len(found) == 1 and not found[0].weight:
        found = [_route(http["route"][0]["destination"], 100)]
    mirror = [_route(http["mirror"], 0, mirror=True)] if "mirror" in http else []
    return found + mirror


def _route(destination: Json, weight: int, *, mirror: bool = False) -> Route:
    host = destination["host"]
    return Route(
        predictor=destination["subset"],
        service=host.partition(".")[0],
        host=host,
        weight=weight,
        mirror=mirror,
    )


def _ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _istio_labels(namespace: str, route: Route, pod: Json | None, code: int) -> Labels:
    """What Istio's telemetry says of a request; of one that reached nobody, little."""
    labels = pod["metadata"]["labels"] if pod else {}
    workload = labels.get("app", "unknown")
    version = labels.get("version", "unknown")
    return tuple(
        {
            "source_workload": "istio-ingressgateway",
            "source_workload_namespace": "istio-system",
            "source_app": "istio-ingressgateway",
            "destination_workload": workload,
            "destination_workload_namespace": namespace if pod else "unknown",
            "destination_app": workload,
            "destination_version": version,
            "destination_canonical_service": workload,
            "destination_canonical_revision": version if pod else "latest",
            "destination_service": route.host,
            "destination_service_name": route.service,
            "destination_service_namespace": namespace,
            "request_protocol": "http",
            "response_code": str(code),
            "response_flags": "-" if pod else "UH",
            "grpc_response_status": "",
        }.items()
    )


def _reporters(labels: Labels) -> tuple[Labels, ...]:
    """The gateway tells of each request; a sidecar of each that reached its pod."""
    gateway = ("reporter", "source"), ("connection_security_policy", "unknown")
    sidecar = ("reporter", "destination"), ("connection_security_policy", "mutual_tls")
    reached = ("response_flags", "-") in labels
    return (gateway, sidecar) if reached else (gateway,)


def _text(labels: Labels) -> str:
    return ",".join(f'{key}="{value}"' for key, value in labels)


def _labelled(text: str, namespace: str, pod: str) -> list[str]:
    """A server's page with the labels that a scrape in a cluster adds."""
    lines = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        more = f'namespace="{namespace}",pod="{pod}"'
        whole = f"{labels.rstrip('}')},{more}" if labels else more
        lines.append(f"{name}{{{whole}}} {value}")
    return lines
