"""`serve tune` with real servers and its own loader."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cli.main import main
from contracts.errors import ServingError
from contracts.model import Batch, ServingSpec
from data.model_registry import ModelRegistry
from serving.runtime.store import fetch
from serving.tuning.measuring import CONNECTIONS, ROWS, measure
from serving.tuning.proposing import PLAIN, Setting, propose
from tests.integration.serving.conftest import NAME
from tests.serving_model import make_artifact

SETTINGS = (PLAIN, Setting(batch=Batch(wait=0.002)))


@pytest.mark.long
def test_each_setting_is_measured_in_time_and_nothing_stays(artifacts: dict[str, Path]) -> None:
    began = time.monotonic()
    cells = measure(*fetch(str(artifacts["v1"])), SETTINGS, seconds=20)
    assert time.monotonic() - began < 25
    loads = {(rows, connections) for rows in ROWS for connections in CONNECTIONS}
    assert {(cell.setting, cell.load) for cell in cells} == {
        (setting, load) for setting in SETTINGS for load in loads
    }
    assert all(cell.per_second > 10 and cell.cpu > 0 and cell.p99 >= cell.p50 for cell in cells)
    assert len(propose(cells, budget=0.05).reasons) == 1
    assert not [each for each in psutil.Process().children() if "serving" in str(each.cmdline())]


def test_a_model_that_fails_is_said_to(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "fails", fails=True)
    with pytest.raises(ServingError, match="requests failed"):
        measure(*fetch(str(artifact)), SETTINGS[:1], seconds=12)


def test_too_little_time_is_said(artifacts: dict[str, Path]) -> None:
    with pytest.raises(ServingError, match="2 s are too short to start 1 servers and measure"):
        measure(*fetch(str(artifacts["v1"])), SETTINGS[:1], seconds=2)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, artifacts: dict[str, Path]) -> str:
    """A registry with a version of the flights' model, and its address."""
    folder = tmp_path_factory.mktemp("registry")
    address = f"sqlite:///{folder}/mlflow.db"
    known = ModelRegistry(address)
    entry = known.open(NAME, key="run", location=folder.as_uri())
    artifact, content = fetch(str(artifacts["v1"]))
    known.publish(entry, artifact, content)
    known.set_alias(NAME, "champion", entry.version)
    return address


def tune(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", "serve", "tune", *words, "-e", "dev"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs the command in this process; its exit code, and what it says is wrong."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["millwright", "serve", "tune", *words, "-e", "dev"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.mark.long
def test_the_command_measures_a_registered_version_by_its_alias(registry: str) -> None:
    words = (NAME, "--mlflow", registry, "--version", "champion", "--seconds", "45", "--json")
    began = time.monotonic()
    done = tune(*words)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 75
    said = json.loads(done.stdout)
    assert said["version"] == "1"
    settings = {row["setting"] for row in said["measured"]}
    assert {"as it is", "batch, wait 0ms", "batch, wait 2ms"} <= settings
    ServingSpec.parse(said["serving"])
    assert len(said["reasons"]) == len(settings) - 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((NAME, "--version", "champoin"), "did you mean 'champion'?"),
        ((NAME, "--version", "7"), f"{NAME} has no version 7"),
        (("nosuch",), "there is no model 'nosuch'"),
        ((NAME, "--seconds", "1"), "--seconds"),
    ],
)
def test_the_command_says_what_it_cannot_measure(
    refused: Refused, registry: str, words: tuple[str, ...], sentence: str
) -> None:
    code, said = refused(*words, "--mlflow", registry)
    assert code in (1, 2)
    assert sentence in said
    assert "Traceback" not in said


def test_a_model_of_which_nothing_is_registered(refused: Refused, tmp_path: Path) -> None:
    code, said = refused(NAME, "--mlflow", f"sqlite:///{tmp_path}/none.db")
    assert code == 1
    assert "no version is registered" in said
    assert f"millwright train {NAME}" in said
