"""A small API server over HTTP, with a Seldon and a Prometheus: what the operator talks to.

It keeps what optimistic concurrency needs (resourceVersions, generations, conflicts, the status
subresource) and writes down every request, so that a test can see in which order things happened.
"""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx
from kubernetes import client

from serving.rollout.kubernetes import Api
from serving.rollout.mlflow import MlflowServer
from serving.rollout.operator.stepper import Stepper
from serving.rollout.prometheus import Prometheus

Json = dict[str, Any]
PLACE = "/apis/millwright.dev/v1alpha1/namespaces/models/modelrollouts"
SELDON = "/apis/machinelearning.seldon.io/v1/namespaces/models/seldondeployments"
ROUTES = "/apis/networking.istio.io/v1beta1/namespaces/models/virtualservices"
EVENTS = "/api/v1/namespaces/models/events"


class Refused(Exception):  # noqa: N818
    """An answer that is none."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class ApiServer:
    """Objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.requests: list[tuple[str, str]] = []
        self._version = 0
        self._lock = threading.Lock()
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._httpd.serve_forever, args=(0.01,), daemon=True).start()
        settings = client.Configuration()
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        settings.host = self.url
        settings.retries = False
        self.api = Api(settings)

    def close(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    def writes(self) -> list[tuple[str, str]]:
        """What was written, in order; Events left out."""
        return [one for one in self.requests if one[0] != "GET" and one[1] != EVENTS]

    def put(self, path: str, body: Json, *, status: bool = False) -> Json:
        """Write, as a person or Seldon does."""
        with self._lock:
            return self._put(path, copy.deepcopy(body), status=status)

    def _put(self, path: str, body: Json, *, status: bool) -> Json:
        old = self.objects.get(path)
        self._version += 1
        if status:
            assert old is not None
            body = {**copy.deepcopy(old), "status": body.get("status", {})}
        elif old is not None and "status" in old:
            body["status"] = old["status"]
        metadata = body["metadata"]
        changed = old is None or old.get("spec") != body.get("spec")
        before = (old or {"metadata": {}})["metadata"]
        metadata["uid"] = before.get("uid") or f"uid-{self._version}"
        metadata["namespace"] = "models"
        metadata["generation"] = before.get("generation", 0) + changed
        metadata["resourceVersion"] = str(self._version)
        self.objects[path] = body
        return copy.deepcopy(body)

    def answer(self, method: str, path: str, body: Any) -> Json:
        with self._lock:
            self.requests.append((method, path))
            return copy.deepcopy(self._answer(method, path, body))

    def _answer(self, method: str, path: str, body: Any) -> Json:
        match method:
            case "GET":
                return self._get(path)
            case "POST":
                where = f"{path}/{body['metadata']['name']}"
                if where in self.objects:
                    raise Refused(409, "it exists already")
                return self._put(where, body, status=False)
            case "PUT":
                where = path.removesuffix("/status")
                if body["metadata"]["resourceVersion"] != self._version_of(where):
                    raise Refused(409, "the object has been modified")
                return self._put(where, body, status=path.endswith("/status"))
            case "PATCH":
                return self._patch(path, body)
            case _:
                self._get(path)
                if body["preconditions"]["resourceVersion"] != self._version_of(path):
                    raise Refused(409, "the object has been modified")
                return self.objects.pop(path)

    def _get(self, path: str) -> Json:
        if path in self.objects:
            return self.objects[path]
        if path == PLACE.split("/namespaces/")[0]:
            return {"resources": [{"name": PLACE.rpartition("/")[2]}]}
        if path in (ROUTES, EVENTS, PLACE):
            inside = [one for key, one in self.objects.items() if key.startswith(f"{path}/")]
            return {"items": inside}
        raise Refused(404, f"{path} not found")

    def _version_of(self, path: str) -> str:
        return str(self._get(path)["metadata"]["resourceVersion"])

    def _patch(self, path: str, body: Any) -> Json:
        found = copy.deepcopy(self._get(path))
        if isinstance(body, dict):
            return self._put(path, merged(found, body), status=False)
        annotations = found["metadata"].get("annotations", {})
        for change in body:  # JSON patch: a test and a removal of an annotation.
            key = change["path"].rsplit("/", 1)[1].replace("~1", "/")
            if change["op"] == "test" and annotations.get(key) != change["value"]:
                raise Refused(422, "the test failed")
            if change["op"] == "remove":
                del annotations[key]
        return self._put(path, found, status=False)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                try:
                    path = self.path.partition("?")[0]
                    code, found = 200, server.answer(self.command, path, body)
                except Refused as refused:
                    code, found = refused.code, {"kind": "Status", "message": str(refused)}
                data = json.dumps(found).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Handler


def merged(old: Any, change: Any) -> Any:
    """A merge patch (RFC 7396)."""
    if not isinstance(change, dict):
        return change
    base = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base


def series(vector: list[tuple[Json, float]]) -> Json:
    """Prometheus' form of an instant vector."""
    found = [{"metric": labels, "value": [0, str(value)]} for labels, value in vector]
    return {"status": "success", "data": {"resultType": "vector", "result": found}}


@dataclass
class Counted:
    """A Prometheus that one gateway reports to."""

    totals: dict[str, list[int]] = field(default_factory=dict)
    """Requests and failed ones, by service."""
    age: float = 1.0
    down: bool = False
    gateway: str = "10.0.0.1:15020"
    scraped: float = 1.7e9

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused")
        query = parse_qs(request.content.decode())["query"][0]
        return httpx.Response(200, json=self._answer(query))

    def _answer(self, query: str) -> Json:
        source = {"instance": self.gateway, "pod": "gateway-0"}
        if query == "time()":
            now = self.scraped + self.age
            return {"status": "success", "data": {"resultType": "scalar", "result": [0, repr(now)]}}
        if "istio_requests_total" not in query:
            return series([])
        if "timestamp" in query:
            return series([(source, self.age)])
        if "resets" in query:
            return series([(source, 0.0)])
        found = []
        for service, (total, bad) in self.totals.items():
            labels = {**source, "destination_service_name": service, "response_flags": "-"}
            found.append(({**labels, "response_code": "200"}, float(total - bad)))
            found.append(({**labels, "response_code": "503"}, float(bad)))
        return series(found)


class Cluster:
    """One model in one namespace."""

    def __init__(self, model: str = "churn") -> None:
        self.server = ApiServer()
        self.counted = Counted()
        self.now = 1.7e9
        self.model = model
        self.scrapes = True
        """Whether each step meets a scrape of its own."""
        self.path = f"{PLACE}/{model}"

    def close(self) -> None:
        self.server.close()

    def stepper(self, mlflow: MlflowServer | None = None) -> Stepper:
        transport = httpx.MockTransport(self.counted.handle)
        prometheus = Prometheus("http://prometheus", httpx.Client(transport=transport))
        return Stepper(self.server.api, prometheus, mlflow=mlflow, clock=lambda: self.now)

    def step(self, stepper: Stepper | None = None) -> float | None:
        if self.scrapes:
            self.counted.scraped = self.now
        return (stepper or self.stepper()).step("models", self.model)

    def want(self, version: int, **plan: Any) -> None:
        """Ask for a version."""
        plan = {"interval": "10s", "guards": {"errors": {}}, **plan}
        artifact = {"version": str(version), "uri": f"s3://artifacts/{self.model}/{version}"}
        old = self.server.objects.get(self.path, {"metadata": {"name": self.model}})
        spec = {"artifact": artifact, "plan": plan}
        body = {"metadata": copy.deepcopy(old["metadata"]), "spec": spec}
        self.server.put(self.path, body)

    def order(self, text: str) -> None:
        body = copy.deepcopy(self.server.objects[self.path])
        body["metadata"]["annotations"] = {"millwright.dev/order": text}
        self.server.put(self.path, body)

    @property
    def resource(self) -> Json:
        return self.server.objects[self.path]

    @property
    def status(self) -> Json:
        return dict(self.resource["status"])

    @property
    def seldon(self) -> Json:
        return self.server.objects[f"{SELDON}/{self.model}"]

    @property
    def events(self) -> list[Json]:
        return [one for key, one in self.server.objects.items() if key.startswith(f"{EVENTS}/")]

    def seldon_acts(self, ready: bool = True) -> None:
        """Make of the SeldonDeployment what Seldon makes of it: status, and then the routes."""
        path = f"{SELDON}/{self.model}"
        if path not in self.server.objects:
            return
        predictors = self.seldon["spec"]["predictors"]
        counts = {
            f"{self.model}-{one['name']}-0-{self.model}": {
                "replicas": 1,
                "availableReplicas": int(ready),
            }
            for one in predictors
        }
        self.server.put(path, {"status": {"deploymentStatus": counts}}, status=True)
        if not ready:
            return
        routes = [
            {"destination": {"host": "x", "subset": one["name"]}, "weight": one["traffic"]}
            for one in predictors
            if not one.get("shadow")
        ]
        prefix = {"match": [{"uri": {"prefix": f"/seldon/models/{self.model}/"}}], "route": routes}
        owner = {"uid": self.seldon["metadata"]["uid"]}
        meta = {"name": f"{self.model}-http", "ownerReferences": [owner]}
        self.server.put(
            f"{ROUTES}/{self.model}-http", {"metadata": meta, "spec": {"http": [prefix]}}
        )

    def pass_time(self, seconds: float, rate: float = 100.0, bad: float = 0.0) -> None:
        """Time and traffic by the weights; `bad` of the candidate's requests fail."""
        self.now += seconds
        for name, weight in self.weights().items():
            before = self.counted.totals.setdefault(f"{self.model}-{name}", [0, 0])
            total = int(rate * seconds * weight / 100)
            failed = int(total * (bad if name != "v1" else 0.005))
            self.counted.totals[f"{self.model}-{name}"] = [before[0] + total, before[1] + failed]

    def weights(self) -> dict[str, int]:
        """What Istio has, in percent."""
        routes = self.server.objects.get(f"{ROUTES}/{self.model}-http", {"spec": {"http": []}})
        found = [one for http in routes["spec"]["http"] for one in http["route"]]
        return {one["destination"]["subset"]: one["weight"] for one in found}

    def serve_first(self) -> None:
        """Version 1 serves."""
        self.want(1)
        self.step()
        self.seldon_acts()
        self.step()
        assert self.status["phase"] == "Promoted", self.status

    def until(self, *phases: str, bad: float = 0.0, steps: int = 200) -> str:
        for _ in range(steps):
            self.pass_time(10, bad=bad)
            self.step()
            self.seldon_acts()
            if self.status["phase"] in phases:
                return str(self.status["phase"])
        raise AssertionError(self.status["reason"])
