"""`millwright rollout --context`: the same words against a ModelRollout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cli.main import main
from contracts.artifact import DOCUMENT_FILE, MODEL_FILE
from tests.serving_model import make_artifact
from tests.unit.rollout.cluster_world import Cluster

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster with the context `tests` in the kubeconfig, and a model's document beside it."""
    made = Cluster("flight-delay")
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": made.server.url}}],
        "users": [{"name": "tests", "user": {}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(ROOT))
    yield made
    made.close()


def say(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command; its exit code."""
    place = ("--context", "tests", "--namespace", "models")
    monkeypatch.setattr(sys, "argv", ["millwright", "--json", "rollout", *words, *place])
    with pytest.raises(SystemExit) as ended:
        sys.exit(main())
    return int(ended.value.code or 0)


def test_the_verbs_are_the_laptops(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = ("--version", "1", "--uri", "s3://artifacts/flight-delay/1")
    assert say(monkeypatch, "start", "flight-delay", *artifact) == 0
    plan = cluster.resource["spec"]["plan"]
    assert plan["weight"]["step"] == "1%"
    assert plan["guards"]["slow"]["over"] == "50ms", "the model's own plan"
    cluster.step()
    cluster.seldon_acts()
    cluster.step()
    capsys.readouterr()
    assert say(monkeypatch, "status", "flight-delay") == 0
    assert json.loads(capsys.readouterr().out)["phase"] == "Promoted"
    assert say(monkeypatch, "watch", "flight-delay") == 0, "it is over"
    capsys.readouterr()
    assert say(monkeypatch, "history", "flight-delay") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert say(monkeypatch, "pause", "flight-delay") == 1
    assert "no rollout is under way" in capsys.readouterr().err
    cluster.want(2)
    cluster.step()
    assert say(monkeypatch, "abort", "flight-delay") == 0
    assert cluster.resource["metadata"]["annotations"] == {"millwright.dev/order": "abort 2"}


def test_a_broken_artifact_is_refused_before_a_pod_is_made_of_it(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    folder = make_artifact(tmp_path / "artifact", version="1")
    model = (folder / MODEL_FILE).read_bytes()
    for damage, sentence in (
        (lambda: (folder / MODEL_FILE).unlink(), "model.onnx cannot be read"),
        (lambda: (folder / MODEL_FILE).write_bytes(model[:-9]), "digest"),
        (lambda: (folder / DOCUMENT_FILE).write_text("{"), "not JSON"),
        (lambda: (folder / DOCUMENT_FILE).write_text("{}"), "artifact.json"),
        (lambda: (folder / DOCUMENT_FILE).unlink(), "artifact.json cannot be read"),
    ):
        damage()
        place = ("--version", "1", "--uri", str(folder))
        assert say(monkeypatch, "start", "flight-delay", *place) == 1
        assert sentence in capsys.readouterr().err
        with pytest.raises(KeyError):
            _ = cluster.resource


@pytest.mark.parametrize(
    "uri", ["s3://artifacts/flight-delay/1", "gs://artifacts/flight-delay/1", "/nowhere/1"]
)
def test_an_artifact_that_cannot_be_reached_from_here_is_left_to_the_cluster(
    uri: str,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert say(monkeypatch, "start", "flight-delay", "--version", "1", "--uri", uri) == 0
    assert f"{uri} was not looked into" in capsys.readouterr().err
    assert cluster.resource["spec"]["artifact"]["uri"] == uri
