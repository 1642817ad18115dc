"""The three images, built and started as nodes start them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from contracts.images import OWN
from contracts.model import ModelSpec
from images.lists import CHECKOUT
from images.publish import BuiltImage
from images.recipe import read_recipe
from images.tools import LABEL
from serving.rollout.pods import USER
from tests.images.containers import GIVEN, Container, Runner
from tests.kubernetes_api import EmptyCluster
from tests.serving_model import make_artifact

Build = Callable[[str], BuiltImage]
LIMITS = {"runtime": 550, "operator": 650, "pipelines": 1400}
"""Megabytes, with a base of Debian's packages."""
LOOK = """
import importlib.util, json, os, pathlib, sys
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "groups": os.getgroups(),
    "builders": [name for name in ("pip", "setuptools", "wheel", "ensurepip", "pkg_resources")
                 if importlib.util.find_spec(name)],
    "wheels": [str(path) for path in pathlib.Path("/usr").rglob("*.whl")],
    "secrets": [str(path) for path in pathlib.Path("/run").rglob("*")
                if path.name in ("pip.conf", "ca.pem")],
    "telemetry": os.environ.get("ORT_DISABLE_TELEMETRY"),
}))
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a page says that all is well."""
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def check_confined(container: Container) -> None:
    """It is the image's user with the image's group alone, and can write nowhere."""
    process = container.inside()
    assert set(process.uids()) == {USER}
    assert set(process.gids()) == {USER}
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    with pytest.raises(OSError, match="Read-only file system"):
        Path(f"/proc/{process.pid}/root/opt/millwright/new").touch()


@pytest.mark.parametrize("name", OWN)
def test_an_image_holds_what_it_runs_for_nobody_that_matters(
    name: str, built: Build, runner: Runner, base: str
) -> None:
    image = built(name)
    assert image.size / 1e6 < LIMITS[name], f"{name} has {image.size / 1e6:.0f} MB"
    config = runner.config(image.reference)
    assert config.user == f"{USER}:{USER}"
    assert config.labels[LABEL] == f"sha256:{read_recipe(name, base=base).digest}"
    seen = json.loads(runner.run(image.reference, ["python", "-c", LOOK]))
    telemetry = None if name == "operator" else "1"
    assert seen == {
        "user": USER,
        "group": USER,
        "groups": seen["groups"],
        "builders": [],
        "wheels": [],
        "secrets": [],
        "telemetry": telemetry,
    }
    assert set(seen["groups"]) <= {USER}


def test_what_was_built_from_the_same_content_is_kept(built: Build) -> None:
    first, second = built("runtime"), built("runtime")
    assert second.seconds == 0
    assert second.reference == first.reference


def test_the_model_server_answers(built: Build, runner: Runner, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_artifact(tmp_path / "artifact", version="7")
    port = free_port()
    arguments = ["--artifact", f"{GIVEN}/artifact", "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--name", "flight-delay", "--predictor", "v7"]
    url = f"http://127.0.0.1:{port}"
    with runner.start(built("runtime").reference, arguments, given=tmp_path) as server:
        server.wait_until(lambda: answers(f"{url}/v2/health/ready"))
        check_confined(server)
        inputs = [
            {"name": "distance", "datatype": "FP32", "shape": [2, 1], "data": [100.0, 900.0]},
            {"name": "hour", "datatype": "FP32", "shape": [2, 1], "data": [7.0, 22.0]},
            {"name": "carrier", "datatype": "BYTES", "shape": [2, 1], "data": ["UA", "B6"]},
        ]
        answer = httpx.post(f"{url}/v2/models/flight-delay/infer", json={"inputs": inputs})
        assert answer.status_code == 200, answer.text
        outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
        assert len(outputs["label"]) == 2
        assert sum(outputs["probabilities"][:2]) == pytest.approx(1, abs=1e-5)
        counted = httpx.get(f"{url}/metrics").text
        assert any(
            line.endswith((" 1", " 1.0"))
            for line in counted.splitlines()
            if "requests_total" in line and 'predictor="v7"' in line
        ), counted
        server.inside().terminate()
        assert server.process.wait(30) == 0, server.log.read_text()


def test_the_operator_watches(built: Build, runner: Runner, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (spec,) = [
        document["spec"]["template"]["spec"]
        for document in yaml.safe_load_all(
            (CHECKOUT / "manifests/operator/deployment.yaml").read_text()
        )
        if document["kind"] == "Deployment"
    ]
    settings = yaml.safe_load((CHECKOUT / "manifests/operator/settings.yaml").read_text())["data"]
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] == USER
    port = free_port()
    with EmptyCluster() as cluster:
        cluster.kubeconfig(tmp_path).chmod(0o644)
        variables = {
            **settings,
            "MILLWRIGHT_PROMETHEUS": cluster.url,
            "MILLWRIGHT_LISTEN": f"127.0.0.1:{port}",
            "MILLWRIGHT_KUBECONFIG": f"{GIVEN}/kubeconfig",
        }
        command = spec["containers"][0]["command"]
        with runner.start(
            built("operator").reference,
            command,
            given=tmp_path,
            variables=variables,
            entrypoint=False,
        ) as operator:
            watched = list(cluster.watched.values())
            operator.wait_until(lambda: all(event.is_set() for event in watched))
            check_confined(operator)
            health = httpx.get(f"http://127.0.0.1:{port}/healthz")
            assert (health.status_code, health.text) == (200, "ok\n")
            assert "millwright_operator_steps" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert psutil.pid_exists(operator.inside().pid)


class Kubeflow:
    """Runs steps as Kubeflow Pipelines does: its compiled command, artifacts as files."""

    def __init__(self, runner: Runner, image: str, folder: Path, model: ModelSpec) -> None:
        compiled = next(
            yaml.safe_load_all((CHECKOUT / "manifests/pipelines/training.yaml").read_text())
        )
        self.executors: dict[str, Any] = compiled["deploymentSpec"]["executors"]
        self.components: dict[str, Any] = compiled["components"]
        self.runner, self.image, self.folder, self.model = runner, image, folder, model

    def step(self, name: str) -> None:
        """Run a step on the artifacts that are there; its own are there then, by their names."""
        container = self.executors[f"exec-{name}"]["container"]
        component = self.components[f"comp-{name}"]
        given = {
            "inputs": {
                "parameterValues": {"model": self.model.model_dump_json(by_alias=True)},
                "artifacts": self.artifacts(component["inputDefinitions"]["artifacts"]),
            },
            "outputs": {
                "artifacts": self.artifacts(component["outputDefinitions"]["artifacts"]),
                "outputFile": f"{GIVEN}/{name}.json",
            },
        }
        arguments = [json.dumps(given) if one == "{{$}}" else one for one in container["args"]]
        self.runner.run(
            self.image, [*container["command"], *arguments], given=self.folder, scratch=True
        )

    def artifacts(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Artifacts of these names, as files of the folder."""
        return {
            name: {
                "artifacts": [
                    {
                        "name": name,
                        "type": definition["artifactType"],
                        "uri": f"{GIVEN}/{name}",
                        "metadata": {},
                    }
                ]
            }
            for name, definition in definitions.items()
        }


def test_steps_run_by_the_compiled_pipelines_own_commands(
    built: Build, runner: Runner, tmp_path: Path
) -> None:
    from components.documents import Evaluation, read
    from tests.images.features import write_features

    model = write_features(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777)
    steps = Kubeflow(runner, built("pipelines").reference, tmp_path, model)
    for name in ("preprocess", "select", "tune", "train", "evaluate"):
        steps.step(name)
    evaluation = read(Evaluation, tmp_path / "evaluation")
    assert evaluation.metrics["roc_auc"].value > 0.6
    assert (tmp_path / "evaluation").stat().st_uid == USER


def test_every_step_can_be_imported(built: Build, runner: Runner) -> None:
    modules = sorted(
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        for path in (CHECKOUT / "components").rglob("*.py")
        if path.name != "__init__.py"
    )
    code = "\n".join(f"import {module}" for module in modules)
    runner.run(built("pipelines").reference, ["python", "-c", code], scratch=True)
