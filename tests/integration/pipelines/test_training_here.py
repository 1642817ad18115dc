"""``train --here``: an environment of tier dev's stores, and this machine's processor. Nine real
steps, its lake on an S3 server, its MLflow a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from contracts.outputs import ServiceOutputs
from tests.content import HOSTILE
from tests.integration.pipelines.conftest import copy_documents
from tests.mlflow_server import mlflow_server


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[str]:
    """The environment's MLflow."""
    with mlflow_server(tmp_path) as address:
        yield address


@pytest.mark.long
def test_a_version_is_registered_in_the_environments_own_stores(
    place, mlflow, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / HOSTILE
    folder.mkdir()
    copy_documents(folder)
    model = place.model("here")
    outputs = place.outputs.model_copy(
        update={"environment": "dev", "tracking": ServiceOutputs(url=mlflow)}
    )
    file = folder / "outputs.json"
    file.write_text(outputs.model_dump_json(), encoding="utf-8")
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(folder))

    def millwright(*words: str) -> str:
        words = ("millwright", "--json", *words, "-e", "dev", "--outputs", str(file))
        monkeypatch.setattr(sys, "argv", list(words))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    made = json.loads(millwright("train", str(model), "--here"))
    assert made["uri"] == "s3://pipelines-test-artifacts/models/flight-delay/1"
    assert "models/flight-delay/1/model.onnx" in place.artifacts()
    assert Path(made["location"]).is_relative_to(folder / ".millwright" / "dev" / "runs")
    (version,) = json.loads(millwright("versions", str(model)))
    assert (version["version"], version["aliases"]) == ("1", ["candidate"])
    (listed,) = json.loads(millwright("runs", "list", "--here"))
    assert (listed["run"], listed["state"]) == (made["run"], "done")
