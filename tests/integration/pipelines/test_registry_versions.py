"""Versions in a real MLflow store: numbers, kills between the steps of making one, aliases."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from cli.main import main
from components.register.step import make_candidate
from contracts.artifact import Artifact, Tensor, TrainingData
from contracts.errors import DataError
from data.model_registry import ModelRegistry
from tests.integration.pipelines.conftest import copy_documents

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def artifact(version, digest="d1"):
    return Artifact(
        name="toy",
        version=version,
        task="classification",
        digest=digest,
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 1)),),
        outputs=(Tensor(name="label", datatype="INT64", shape=(-1,)),),
        created=NOW,
        code_version="abc",
        trained_on=TrainingData(dataset="toys", start=NOW, end=NOW, rows=1, fingerprint="f"),
        metrics={},
        features=("x",),
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    return ModelRegistry(f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db")


@pytest.mark.long
def test_two_that_meet_a_new_database_at_once_find_it_whole(tmp_path):
    """Two trainings, or a training and what prepares its registry beside it."""
    code = f"from data.model_registry import *; ModelRegistry('sqlite:///{tmp_path}/m.db').versions('x')"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("Creating initial MLflow database tables" in text for text in said) == 1


def test_a_version_is_made_once_and_seen_when_it_is_whole(registry, tmp_path):
    location = tmp_path.as_uri()
    first = registry.open("toy", key="run-1", location=location)
    assert registry.versions("toy") == []
    with pytest.raises(DataError, match="toy has no version 1"):
        registry.get("toy", "1")

    again = registry.open("toy", key="run-1", location=location)
    assert (again.version, again.run_id) == (first.version, first.run_id) == ("1", first.run_id)
    for _ in range(2):  # a kill after the objects, before the mark
        registry.record(again, metrics={"m": 1.0}, parameters={"p": 1}, tags={"t": "x"})
        registry.publish(again, artifact("1"), b"model")
    found, uri = registry.get("toy", "1")
    assert found == artifact("1")
    assert uri == f"{location}/1"
    assert (tmp_path / "1" / "model.onnx").read_bytes() == b"model"

    with pytest.raises(DataError, match="another model is already registered here"):
        registry.publish(again, artifact("1", digest="d2"), b"other")

    second = registry.open("toy", key="run-2", location=location)
    registry.publish(second, artifact("2"), b"model")
    assert [entry.version for entry in registry.versions("toy")] == ["1", "2"]
    aliases(registry, again, second)


def aliases(registry, first, second):
    """The candidate is the newest that is not stable, however often a run is repeated."""
    make_candidate(registry, first)
    make_candidate(registry, second)
    make_candidate(registry, first)
    assert registry.alias("toy", "candidate") == "2"
    registry.set_alias("toy", "stable", "2")
    registry.delete_alias("toy", "candidate")
    registry.delete_alias("toy", "candidate")
    make_candidate(registry, second)
    assert registry.alias("toy", "candidate") is None
    assert registry.alias("toy", "stable") == "2"
    with pytest.raises(DataError, match="toy has no version 9"):
        registry.set_alias("toy", "stable", "9")


def test_an_unknown_model_has_no_versions(registry):
    assert registry.versions("nobody") == []
    assert registry.versions("no body's") == registry.versions("") == []
    assert registry.alias("nobody", "stable") is None


@pytest.mark.parametrize("document", ["", "not a model's", None])
def test_versions_are_listed_from_the_registry_alone(tmp_path, monkeypatch, capsys, document):
    """Whatever became of the model's document and its features."""
    copy_documents(tmp_path)
    if document is not None:
        (tmp_path / "models" / "toy").mkdir()
        (tmp_path / "models" / "toy" / "model.yaml").write_text(document)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    made = ModelRegistry(uri)
    entry = made.open("toy", key="run-1", location=(tmp_path / "made").as_uri())
    made.publish(entry, artifact("1"), b"model")
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(tmp_path))
    words = ["millwright", "--json", "versions", "toy", "--mlflow", uri]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code == 0, err
    assert [row["version"] for row in json.loads(out)] == ["1"]
