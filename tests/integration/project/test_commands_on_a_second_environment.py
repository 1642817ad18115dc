"""Every command on an environment of tier `dev`, stood up where an emulator plays AWS.

The same commands as on the laptop, each in a process of its own, told apart by -e alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from contracts.artifact import Artifact
from contracts.model import ModelSpec
from contracts.rollout import WHOLE, Target
from data.model_registry import ModelRegistry
from laptop.serving import LocalServing
from laptop.supervisor import Supervisor
from pocket import emulator
from serving.rollout.core.observations import Predictor
from serving.rollout.seldon import seldon_deployment
from tests.content import HOSTILE
from tests.forked_commands import Done, millwright
from tests.serving_model import make_artifact
from tests.unit.rollout.cluster_world import Cluster

ROOT = Path(__file__).resolve().parents[3]
NAME = "proof"
MODEL = "flight-delay"
DOCUMENT = {
    "name": NAME,
    "tier": "dev",
    "account": "123456789012",
    "region": "eu-central-1",
    "on_cluster": {"enabled": False},
}
DATASET = """
schema_version: 1
name: sales
loader: load.py
tables:
  sales:
    key: [id]
    time: at
    columns:
      id: {type: text}
      at: {type: timestamp}
      amount: {type: number}
"""
LOADER = """
import datetime as dt
import pyarrow as pa

def load():
    at = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return {"sales": pa.table({"id": ["a", "b"], "at": [at, at], "amount": [1.0, 2.0]})}
"""


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """A person's terminal in a project's folder.

    Args:
        folder: the project's.
        variables: what is set in it beside the usual.
    """

    folder: Path
    variables: dict[str, str]

    def run(self, *words: str, **more: str) -> Done:
        """``millwright …``."""
        ours = ("AWS_", "MILLWRIGHT_", "POCKET_", "PULUMI_", "KUBECONFIG")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return millwright(
            *words,
            folder=ROOT,
            environment={
                **kept,
                "MILLWRIGHT_PROJECT": str(self.folder),
                "COLUMNS": "200",
                **self.variables,
                **more,
            },
        )


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """In a project whose environment `proof` is up."""
    folder = tmp_path_factory.mktemp("project") / HOSTILE
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    for name in ("local", "dev"):
        (folder / f"Pulumi.{name}.yaml").write_text((ROOT / f"Pulumi.{name}.yaml").read_text())
    stack = {"config": {"millwright:environment": DOCUMENT}}
    (folder / f"Pulumi.{NAME}.yaml").write_text(yaml.safe_dump(stack))
    shutil.copytree(ROOT / "infra", folder / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models").symlink_to(ROOT / "models")
    dataset = folder / "datasets" / "sales"
    dataset.mkdir(parents=True)
    (dataset / "dataset.yaml").write_text(DATASET)
    (dataset / "load.py").write_text(LOADER)
    root = tmp_path_factory.mktemp("aws") / HOSTILE
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        try:
            address = emulator.start(root, region="eu-central-1").endpoint_url
            variables = {
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
            }
            made = Terminal(folder=folder, variables=variables)
            up = made.run("up", NAME, "--yes")
            assert up.code == 0, up.out + up.err
            for name, value in {**variables, "AWS_DEFAULT_REGION": "eu-central-1"}.items():
                patch.setenv(name, value)
            yield made
        finally:
            Supervisor(root).stop_all()


@pytest.fixture(scope="module")
def outputs(terminal: Terminal) -> Any:
    return terminal.run("--json", "outputs", NAME).answer


def test_outputs_are_shown_and_can_be_handed_on(
    terminal: Terminal, outputs: Any, tmp_path: Path
) -> None:
    assert (outputs["environment"], outputs["account_id"]) == (NAME, DOCUMENT["account"])
    assert outputs == terminal.run("outputs", "-e", NAME, "--json").answer
    shown = terminal.run("outputs", NAME)
    assert f"lake.raw                     {outputs['lake']['raw']}".split() == next(
        line.split() for line in shown.out.splitlines() if line.startswith("lake.raw")
    )
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(outputs))
    for words, more in (
        (("outputs", NAME, "--json", "--outputs", str(file)), {}),
        (("outputs", NAME, "--json"), {"MILLWRIGHT_OUTPUTS": str(file)}),
    ):
        # A job in CI has neither the state nor the Pulumi CLI.
        elsewhere = Terminal(folder=bare(terminal, tmp_path), variables=terminal.variables)
        assert elsewhere.run(*words, **more).answer == outputs


def bare(terminal: Terminal, tmp_path: Path) -> Path:
    """A checkout of the project in which nothing was brought up."""
    folder = tmp_path / "checkout"
    if not folder.is_dir():
        folder.mkdir()
        for path in terminal.folder.iterdir():
            if not path.name.startswith("."):
                (folder / path.name).symlink_to(path)
    return folder


def test_the_pulumi_cli_knows_the_outputs_of_what_it_brought_up(
    terminal: Terminal, outputs: Any, tmp_path: Path
) -> None:
    cli = tmp_path / "bin" / "pulumi"
    cli.parent.mkdir()
    cli.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "if sys.argv[-1] != 'proof':\n"
        "    sys.exit(\"error: no stack named 'dev' found\")\n"
        f"print({json.dumps(outputs)!r})\n"
    )
    cli.chmod(0o755)
    variables = {**terminal.variables, "PATH": f"{cli.parent}:{os.environ['PATH']}"}
    elsewhere = Terminal(folder=bare(terminal, tmp_path), variables=variables)
    assert elsewhere.run("--json", "outputs", NAME).answer == outputs
    refused = elsewhere.run("--json", "data", "load", "sales", "-e", "dev")
    assert refused.code == 1
    assert "no stack named 'dev' found" in json.loads(refused.err)["error"]
    assert "`pulumi up -s dev`" in json.loads(refused.err)["fix"]


def test_data_goes_into_the_environments_lake(terminal: Terminal, outputs: Any) -> None:
    answer = terminal.run("--json", "data", "load", "sales", "-e", NAME).answer
    assert answer["rows"] == {"sales": 2}
    objects = boto3.client("s3").list_objects_v2(Bucket=outputs["lake"]["raw"])["Contents"]
    assert any(each["Key"].startswith("sales/sales/") for each in objects)


@pytest.fixture(scope="module")
def registry(
    terminal: Terminal, outputs: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Target]:
    """A tracking server's address, and a version registered there, whose artifact is in the lake
    of the environment."""
    folder = tmp_path_factory.mktemp("registry")
    address = f"sqlite:///{folder / 'mlflow.db'}"
    made, client = ModelRegistry(address), boto3.client("s3")
    location = f"s3://{outputs['lake']['artifacts']}/models/{MODEL}"
    entry = made.open(MODEL, key="first", location=location)
    artifact = make_artifact(folder / "made", version=entry.version)
    made.publish(
        entry, Artifact.load(artifact / "artifact.json"), (artifact / "model.onnx").read_bytes()
    )
    assert client.list_objects_v2(Bucket=outputs["lake"]["artifacts"])["KeyCount"] >= 2
    return address, Target(version=entry.version, uri=f"{location}/{entry.version}")


def test_versions_are_those_of_its_own_registry(
    terminal: Terminal, registry: tuple[str, Target]
) -> None:
    address, target = registry
    answer = terminal.run("--json", "versions", MODEL, "-e", NAME, "--mlflow", address).answer
    assert [(each["version"], each["uri"]) for each in answer] == [(target.version, target.uri)]
    lacking = terminal.run("--json", "versions", MODEL, "-e", NAME)
    assert lacking.code == 1
    assert json.loads(lacking.err)["error"] == f"{NAME} has no MLflow"
    assert "--mlflow URL" in json.loads(lacking.err)["fix"]


def test_a_model_from_elsewhere_is_registered_in_it(
    terminal: Terminal, outputs: Any, tmp_path: Path
) -> None:
    folder = bare(terminal, tmp_path)
    (folder / "models").unlink()
    for name, content in (("outputs.json", outputs), ("rows.json", [{"area": 2.0}])):
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "code").mkdir()
    (tmp_path / "code/predict.py").write_text(
        "class Predictor:\n    def predict(self, table):\n        return table['area'] * 2\n"
    )
    words = (
        *("register", "house-price", "--predictor", str(tmp_path / "code"), "-e", NAME),
        *("--examples", str(tmp_path / "rows.json"), "--task", "regression"),
        *("--mlflow", f"sqlite:///{tmp_path / 'mlflow.db'}"),
        *("--outputs", str(tmp_path / "outputs.json")),
    )
    elsewhere = Terminal(folder=folder, variables=terminal.variables)
    made = elsewhere.run("--json", *words).answer
    assert made["uri"] == f"s3://{outputs['lake']['artifacts']}/models/house-price/1"
    objects = boto3.client("s3").list_objects_v2(
        Bucket=outputs["lake"]["artifacts"], Prefix="models/house-price/"
    )
    assert sorted(each["Key"].rsplit("/")[-1] for each in objects["Contents"]) == [
        "artifact.json",
        "predictor.zip",
    ]
    again = elsewhere.run(*words)
    assert (again.code, "house-price version 1 already" in again.out) == (0, True), again
    assert f"`millwright rollout start house-price -e {NAME}`" in again.out


def test_a_prediction_goes_through_its_front_door(
    terminal: Terminal, registry: tuple[str, Target], tmp_path: Path
) -> None:
    _, target = registry
    supervisor = Supervisor(tmp_path)
    serving = LocalServing(tmp_path, supervisor, env=terminal.variables)
    spec = ModelSpec.find(ROOT / "models", MODEL)
    served = spec.model_copy(update={"serving": spec.serving.model_copy(update={"replicas": 1})})
    try:
        serving.apply(seldon_deployment(served, [Predictor(target=target, weight=WHOLE)]))
        url = serving.settle(MODEL).url.split("/seldon/")[0]
        row = json.dumps({"hour": 17, "carrier": "B6", "distance": 800})
        words = ("predict", MODEL, "-e", NAME, "--gateway", url, "--data", row)
        answer = terminal.run("--json", *words).answer
        assert answer["version"] == target.version
        assert len(answer["outputs"]["label"]) == 1
    finally:
        supervisor.stop_all()
    lacking = terminal.run("predict", MODEL, "-e", NAME, "--data", row, "--json")
    assert lacking.code == 1
    assert json.loads(lacking.err)["error"] == f"{NAME} has no front door"


def test_its_status_has_the_resources_and_what_its_cluster_serves(
    terminal: Terminal, registry: tuple[str, Target], tmp_path: Path
) -> None:
    address, target = registry
    cluster = Cluster(MODEL)
    try:
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": {"server": cluster.server.url}}],
            "users": [{"name": "tests", "user": {}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig))
        place = ("-e", NAME, "--context", "tests", "--namespace", "models")
        more = {"KUBECONFIG": str(path)}
        started = terminal.run("rollout", "start", MODEL, *place, "--mlflow", address, **more)
        assert started.code == 0, started.err
        assert cluster.resource["spec"]["artifact"] == target.model_dump(mode="json")
        cluster.step()
        cluster.seldon_acts()
        cluster.step()
        answer = terminal.run("--json", "status", *place, **more).answer
        assert answer["resources"]["Lake"] > 10
        assert [each["phase"] for each in answer["rollouts"]] == ["Promoted"]
        assert answer["served"] == [
            {"model": MODEL, "predictor": f"v{target.version}", "ready": True, "weight": WHOLE}
        ]
        text = terminal.run("status", *place, **more).out
        assert "Served" in text
        assert "100.00%" in text
    finally:
        cluster.close()


def test_the_doctor_looks_at_its_account(terminal: Terminal) -> None:
    done = terminal.run("--json", "doctor", "-e", NAME)
    answer = json.loads(done.out)
    rows = {each["about"]: each for each in answer["checks"]}
    assert answer["environment"] == NAME
    assert rows["Credentials"]["state"] == "ok"
    assert rows["Region eu-central-1"]["state"] == "ok"
    assert done.code == (1 if any(each["state"] == "missing" for each in rows.values()) else 0)


def test_kubectl_gets_an_entry_without_a_token(
    terminal: Terminal, outputs: Any, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    answer = terminal.run("--json", "kubeconfig", NAME, KUBECONFIG=str(path)).answer
    assert answer["file"] == str(path)
    written = yaml.safe_load(path.read_text())
    name = outputs["cluster"]["name"]
    assert answer["context"] == f"arn:aws:eks:eu-central-1:123456789012:cluster/{name}"
    (user,) = written["users"]
    assert set(user["user"]) == {"exec"}
    arguments = ["--region", "eu-central-1", "eks", "get-token", "--cluster-name", name]
    assert user["user"]["exec"]["args"] == [*arguments, "--output", "json"]
    printed = yaml.safe_load(terminal.run("kubeconfig", "-e", NAME, "--print").out)
    assert printed == written
    assert terminal.run("kubeconfig", "local").code == 2
