"""The command line on an environment that is not on this machine: AWS's APIs, a cluster of EKS.

AWS is an emulator, the cluster's control plane is real, and so is what the ports of pods lead to:
MLflow, and a model server behind Envoy. Each command is a process, as people start them.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from contracts.artifact import Artifact
from contracts.model import ModelSpec
from contracts.rollout import WHOLE, Target
from data.model_registry import ModelRegistry
from laptop.serving import LocalServing
from laptop.supervisor import HttpReady, Port, Spec, Supervisor
from project.forward import join
from serving.rollout.core.observations import Predictor
from serving.rollout.seldon import seldon_deployment
from tests.cluster import eks
from tests.cluster.api import Api, Json, eventually
from tests.cluster.clusters import Cluster
from tests.cluster.rollouts import PLAN, ROOT, World
from tests.serving_model import make_artifact
from tests.unit.project.test_where_outputs_come_from import values

MODEL = "flight-delay"
SERVICES = {"mlflow": 5000, "gateway": 8080}


@contextmanager
def relayed(port: int, target: int) -> Iterator[None]:
    """Connections to one port of this machine go to another."""
    import socket

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            join(self.request, socket.create_connection(("127.0.0.1", target)))

    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Relay) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def pod_of(name: str, namespace: str, port: int) -> list[Json]:
    """A service with one pod, whose port has a name."""
    labels = {"app": name}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    container = {
        "name": name,
        "image": "example/any",
        "ports": [{"name": "http", "containerPort": port}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    ports = [{"port": 80, "targetPort": "http"}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": ports},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [container]},
        },
    ]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment `dev`, and what a person's terminal has in it."""

    folder: Path
    namespace: str
    variables: dict[str, str]

    def run(self, *words: str) -> Any:
        """``millwright --json …`` on it; what it answers.

        Raises:
            AssertionError: it failed; shows what it said.
        """
        done = self.started(*words)
        out, err = done.communicate(timeout=180)
        assert done.returncode == 0, out + err
        return json.loads(out)

    def started(self, *words: str) -> subprocess.Popen[str]:
        """The command, while it runs; with ctrl-C as at a prompt, also from a shell's background,
        where SIGINT is ignored."""
        return subprocess.Popen(
            [sys.executable, "-c", "from cli.main import main; main()", "--json", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **self.variables},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


@pytest.fixture
def environment(tmp_path: Path, api: Api, cluster: Cluster, world: World) -> Iterator[Environment]:
    plane, namespace = cluster.plane, world.namespace
    if plane is None:
        pytest.skip(
            "where the cluster is not ours, nobody signs in by AWS and no port is forwarded"
        )
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    document = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    document["config"]["millwright:environment"]["account"] = eks.ACCOUNT
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump(document))
    (folder / "models").symlink_to(ROOT / "models")
    services = {
        "tracking": {"namespace": namespace, "service": "mlflow", "port": 80},
        "gateway": {"namespace": namespace, "service": "gateway", "port": 80},
    }
    outputs = values(
        account_id=eks.ACCOUNT,
        cluster={"name": eks.CLUSTER, "endpoint": plane.server},
        namespaces={"models": namespace},
        **services,
    )
    (folder / "outputs.json").write_text(json.dumps(outputs))
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": eks.GROUP},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": eks.GROUP}],
    }
    objects = [binding, *(o for n, p in SERVICES.items() for o in pod_of(n, namespace, p))]
    with eks.emulated(plane) as address:
        for each in objects:
            api.apply(each)
        yield Environment(
            folder=folder,
            namespace=namespace,
            variables={
                "MILLWRIGHT_PROJECT": str(folder),
                "MILLWRIGHT_OUTPUTS": str(folder / "outputs.json"),
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "COLUMNS": "200",
            },
        )


def pods_are_ready(api: Api, namespace: str) -> bool:
    ready = [
        condition["status"] == "True"
        for pod in api.list("v1", "Pod", namespace)
        if pod["metadata"]["name"] in SERVICES
        for condition in pod.get("status", {}).get("conditions", [])
        if condition["type"] == "Ready"
    ]
    return len(ready) == len(SERVICES) and all(ready)


def test_a_rollout_is_started_and_seen(environment: Environment, world: World, api: Api) -> None:
    spec = ModelSpec.find(ROOT / "models", MODEL)
    artifact = ("--version", "1", "--uri", f"s3://artifacts/{MODEL}/1")
    started = environment.started("rollout", "start", MODEL, "-e", "dev", *artifact)
    _, err = started.communicate(timeout=180)
    assert started.returncode == 0, err
    model = world.model(MODEL)
    written = api.get("millwright.dev/v1alpha1", "ModelRollout", environment.namespace, MODEL)
    assert written
    assert written["spec"]["artifact"] == {"version": "1", "uri": f"s3://artifacts/{MODEL}/1"}
    assert written["spec"]["serving"]["replicas"] == spec.serving.replicas
    api.merge(model.reference, {"spec": {"plan": PLAN}})
    model.until("Promoted", stable=1)
    assert environment.run("rollout", "status", MODEL, "-e", "dev")["phase"] == "Promoted"
    assert environment.run("rollout", "history", MODEL, "-e", "dev")
    answer = environment.run("status", "-e", "dev")
    assert [each["model"] for each in answer["rollouts"]] == [MODEL]
    assert answer["served"] == [{"model": MODEL, "predictor": "v1", "ready": True, "weight": WHOLE}]
    assert answer == environment.run("status", "dev"), "by its place as by -e"


def test_kubectl_signs_in_as_the_aws_cli_does(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubeconfig"
    answer = environment.run("kubeconfig", "dev", "--file", str(path))
    arn = f"arn:aws:eks:{eks.REGION}:{eks.ACCOUNT}:cluster/{eks.CLUSTER}"
    assert answer == {"context": arn, "file": str(path)}
    assert "token" not in yaml.safe_load(path.read_text())["users"][0]["user"]
    tools = tmp_path / "tools"
    tools.mkdir()
    eks.stand_in(tools)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    for name, value in environment.variables.items():
        monkeypatch.setenv(name, value)
    configuration = client.Configuration()
    config.load_kube_config(config_file=str(path), client_configuration=configuration)
    core = client.CoreV1Api(client.ApiClient(configuration))
    assert core.read_namespace(environment.namespace).metadata.name == environment.namespace


@pytest.fixture
def places(
    environment: Environment, api: Api, cluster: Cluster, tmp_path: Path
) -> Iterator[Callable[[], str]]:
    """MLflow with one version and a served model, where the pods' ports lead."""
    plane = cluster.plane
    assert plane
    root = tmp_path / "here"
    supervisor = Supervisor(root)
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = ModelRegistry(database)
    location = (tmp_path / "artifacts").as_uri()
    entry = registry.open(MODEL, key="first", location=location)
    made = make_artifact(tmp_path / "made", version=entry.version)
    registry.publish(
        entry, Artifact.load(made / "artifact.json"), (made / "model.onnx").read_bytes()
    )
    serving = LocalServing(root, supervisor)
    target = Target(version=entry.version, uri=str(tmp_path / "artifacts" / entry.version))
    spec = ModelSpec.find(ROOT / "models", MODEL)
    served = spec.model_copy(update={"serving": spec.serving.model_copy(update={"replicas": 1})})
    predictors = [Predictor(target=target, weight=WHOLE)]
    serving.apply(seldon_deployment(served, predictors, namespace=environment.namespace))
    try:
        serving.settle(MODEL)
        mlflow = supervisor.start(
            Spec(
                name="mlflow",
                argv=(
                    *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
                    *("--port", Port(), "--workers", "1", "--backend-store-uri", database),
                ),
                ready=HttpReady(path="/health"),
                ready_within=180,
            )
        )
        envoy = supervisor.find("envoy")
        assert envoy
        with ExitStack() as stack:
            stack.enter_context(relayed(plane.forwards[5000], mlflow.ports["port"]))
            stack.enter_context(relayed(plane.forwards[8080], envoy.ports["port"]))
            eventually(lambda: pods_are_ready(api, environment.namespace), "the pods ready")
            yield lambda: entry.version
    finally:
        supervisor.stop_all()


def test_services_in_the_cluster_are_reached_by_their_pods_ports(
    environment: Environment, places: Callable[[], str]
) -> None:
    (version,) = environment.run("versions", MODEL, "-e", "dev")
    assert version["version"] == places()
    row = json.dumps({"hour": 17, "carrier": "B6", "distance": 800})
    answer = environment.run("predict", MODEL, "-e", "dev", "--data", row)
    assert (answer["version"], answer["predictor"]) == (places(), f"v{places()}")
    assert len(answer["outputs"]["label"]) == 1
    the_pages_are_open_until_ctrl_c(environment)


def the_pages_are_open_until_ctrl_c(environment: Environment) -> None:
    running = environment.started("ui", "-e", "dev")
    try:
        assert running.stdout
        lines: list[str] = []
        for line in running.stdout:
            lines.append(line)
            if line.startswith("}"):
                break
        url = json.loads("".join(lines))["mlflow"]
        with urllib.request.urlopen(f"{url}/health", timeout=30) as answer:
            assert answer.read() == b"OK"
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.communicate()
