"""The operator as a process, and a rollout as its users see it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.custom_resource import API_VERSION, KIND, ORDER
from tests.cluster.api import Api, Json, eventually, manifests
from tests.cluster.processes import write_kubeconfig
from tests.cluster.programs import Program, free_port
from tests.cluster.seldon_documents import APPS, ISTIO, SELDON
from tests.cluster.traffic import Traffic, Users

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests" / "operator"
PLAN: Json = {
    "interval": "1s",
    "deadline": "3m",
    "startup": "45s",
    "watch": "2s",
    "weight": {"start": "10%", "max": "50%"},
    "guards": {"errors": {}},
}
"""A rollout of seconds: the rules are the same, only impatient."""
RATE = 3000.0
"""Requests a second: enough for a verdict in a few looks."""
USUAL = 0.005
"""The error rate of a healthy version."""


@dataclass(frozen=True, kw_only=True)
class Installed:
    """How the manifests say that the operator is run."""

    namespace: str
    account: str
    command: list[str]
    settings: dict[str, str]
    """Its environment variables."""

    @property
    def user(self) -> str:
        """Its service account's name as the API server knows it."""
        return f"system:serviceaccount:{self.namespace}:{self.account}"


def install(api: Api) -> Installed:
    """Apply the operator's manifests, all but the running of its Deployment.

    These tests run the operator as a process, to kill it and to run two. Everything else is as
    the manifests say: the CRD, the account, its rights, the command, the settings.
    """
    documents = manifests(MANIFESTS)
    found = {one["kind"]: one for one in documents}
    deployment = found["Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    own = {one["name"]: one["value"] for one in container.get("env", [])}
    api.install(
        {**one, "spec": {**one["spec"], "replicas": 0}} if one is deployment else one
        for one in documents
    )
    return Installed(
        namespace=deployment["metadata"]["namespace"],
        account=pod["serviceAccountName"],
        command=[*container["command"], *container.get("args", [])],
        settings={**found["ConfigMap"]["data"], **own},
    )


class Operator:
    """One process of the operator, run as its Deployment says, with its account's token.

    Args:
        api: an administrator's view, to get the token.
        installed: what the manifests say.
        prometheus: URL of the telemetry.
        logs: where its log and kubeconfig go.
    """

    def __init__(self, api: Api, installed: Installed, prometheus: str, logs: Path) -> None:
        port = free_port()
        name = f"operator-{port}"
        kubeconfig = logs / f"{name}.kubeconfig"
        _write_kubeconfig(api, installed, kubeconfig)
        here = {
            "KUBECONFIG": str(kubeconfig),
            "MILLWRIGHT_PROMETHEUS": prometheus,
            "MILLWRIGHT_LISTEN": f"127.0.0.1:{port}",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable if one == "python" else one for one in installed.command]
        env = {**os.environ, **installed.settings, **here}
        self.program = Program(name, command, log=logs / f"{name}.log", env=env, cwd=ROOT)

    def start(self) -> None:
        """Start it, without waiting: what it does shows that it runs."""
        self.program.start()

    def ensure(self) -> None:
        """Start it where it does not run."""
        if not self.program.running:
            self.start()

    def kill(self) -> None:
        """SIGKILL."""
        self.program.kill()

    def stop(self) -> None:
        """SIGTERM."""
        self.program.stop()


def _write_kubeconfig(api: Api, installed: Installed, path: Path) -> None:
    """A kubeconfig with a token that the API server issues for the account."""
    place = api.path("v1", "ServiceAccount", installed.namespace, installed.account)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.call("POST", f"{place}/token", body)["status"]["token"]
    configuration = api.configuration
    write_kubeconfig(path, configuration.host, Path(configuration.ssl_ca_cert), token)


class World:
    """A namespace with a model whose rollouts a test watches.

    Args:
        api: an administrator's view.
        namespace: the test's own.
        traffic: the users.
        operator: the process that is at work.
    """

    def __init__(self, api: Api, namespace: str, traffic: Traffic, operator: Operator) -> None:
        self.api = api
        self.namespace = namespace
        self.traffic = traffic
        self.operator = operator

    def model(self, name: str = "churn") -> Model:
        """A model of this namespace, not served yet."""
        return Model(self, name)

    def owned(self) -> list[str]:
        """Everything that serves something here."""
        kinds = (
            (API_VERSION, KIND),
            (SELDON, "SeldonDeployment"),
            (ISTIO, "VirtualService"),
            (APPS, "Deployment"),
            ("v1", "Pod"),
        )
        return [
            f"{kind} {one['metadata']['name']}"
            for version, kind in kinds
            for one in self.api.list(version, kind, self.namespace)
        ]


class Model:
    """One ModelRollout."""

    def __init__(self, world: World, name: str) -> None:
        self._api = world.api
        self.world = world
        self.namespace = world.namespace
        self.name = name

    @property
    def reference(self) -> Json:
        """Which object this is about."""
        meta = {"name": self.name, "namespace": self.namespace}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta}

    def want(self, version: int, *, serving: Json | None = None, **plan: Any) -> None:
        """Ask for a version, served so, with the quick plan and these changes."""
        uri = f"s3://artifacts/{self.name}/{version}"
        serving = {"replicas": 1, "cpu": "100m", "memory": "128Mi", **(serving or {})}
        spec = {
            "artifact": {"version": str(version), "uri": uri},
            "serving": serving,
            "plan": {**PLAN, **plan},
        }
        self._api.apply({**self.reference, "spec": spec})

    def edit(self, **plan: Any) -> None:
        """Change the plan of what is asked for already."""
        self._api.merge(self.reference, {"spec": {"plan": plan}})

    def order(self, text: str) -> None:
        """Say something to it."""
        self._api.merge(self.reference, {"metadata": {"annotations": {ORDER: text}}})

    def delete(self) -> None:
        """Ask for its removal, without waiting."""
        self._api.delete(self.reference)

    def users(self, rate: float = RATE, **changes: Any) -> None:
        """Users ask the model; every version is healthy but for what is said."""
        errors = {f"v{number}": USUAL for number in range(1, 6)} | changes.pop("errors", {})
        users = Users(rate=rate, errors=errors, **changes)
        self.world.traffic.to(self.namespace, self.name, users)

    def serve_first(self, version: int = 1, **plan: Any) -> None:
        """Have a stable version that serves."""
        self.want(version, **plan)
        self.until("Promoted", stable=version)
        self.until_weights({f"v{version}": 100})

    @property
    def status(self) -> Json:
        """The status; empty before the first look and when it is gone."""
        found = self._api.get(API_VERSION, KIND, self.namespace, self.name) or {}
        return dict(found.get("status") or {})

    def until(
        self, *phases: str, within: float = 180.0, stable: int | None = None, **fields: Any
    ) -> Json:
        """Wait for one of these phases (with these values of other fields); the status then."""
        seen: list[str] = []

        def check() -> Json | None:
            status = self.status
            line = f"{status.get('phase')} {status.get('wanted')} {status.get('reason')}"
            if not seen or seen[-1] != line:
                seen.append(line)
            right = status.get("phase") in phases and (
                stable is None or status.get("stable", {}).get("version") == str(stable)
            )
            same = all(status.get(key) == value for key, value in fields.items())
            return status if right and same else None

        try:
            return eventually(check, f"{self.name} {' or '.join(phases)}", within, every=0.05)
        except AssertionError as error:
            story = "\n".join(seen[-15:])
            raise AssertionError(
                f"{error}\n{story}\n{self.world.operator.program.tail()}"
            ) from None

    def until_weights(self, weights: dict[str, int], within: float = 90.0) -> None:
        """Wait until the data plane uses exactly these weights."""
        eventually(
            lambda: self.world.traffic.weights(self.namespace, self.name) == weights,
            f"{self.name} with {weights}",
            within,
        )

    def seldon(self) -> Json:
        """Its SeldonDeployment."""
        found = self._api.get(SELDON, "SeldonDeployment", self.namespace, self.name)
        assert found, f"there is no SeldonDeployment {self.name}"
        return found

    def pods(self, predictor: str) -> set[str]:
        """The servers of a version, by what Kubernetes calls each of them for ever."""
        label = f"seldon-app={self.name}-{predictor}"
        found = self._api.list("v1", "Pod", self.namespace, labelSelector=label)
        return {one["metadata"]["uid"] for one in found}

    def served(self, predictor: str) -> int:
        """Requests that a version answered in this namespace."""
        return self.world.traffic.served[self.namespace, predictor]

    def events(self) -> list[Json]:
        """What `kubectl describe` would tell."""
        return [
            one
            for one in self._api.list("v1", "Event", self.namespace)
            if one["involvedObject"]["name"] == self.name and one["involvedObject"]["kind"] == KIND
        ]


def watch_phases(
    model: Model, on: Callable[[str], None], until: Iterable[str], within: float = 180.0
) -> list[str]:
    """Call back at the first sight of each phase, as soon as it is written; the phases in order."""
    seen: list[str] = []
    end = time.monotonic() + within
    last = set(until)
    while time.monotonic() < end:
        phase = model.status.get("phase")
        if phase and (not seen or seen[-1] != phase):
            if phase not in seen:
                on(phase)
            seen.append(phase)
            if phase in last:
                return seen
        time.sleep(0.02)
    raise AssertionError(f"{model.name}: none of {last} within {within:.0f}s; {seen}")
