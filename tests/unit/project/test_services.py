"""How a command finds a service: by what a person gave, what runs here, or the outputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InfrastructureError, LocalError, UsageError
from project.handle import Project
from tests.unit.project.test_where_outputs_come_from import ROOT, values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def dev(folder: Path) -> Callable[..., Project]:
    """An environment on AWS whose outputs are in a file."""

    def make(addresses: dict[Any, str] | None = None, **changed: Any) -> Project:
        path = folder / "given.json"
        path.write_text(json.dumps(values(**changed)))
        return Project(folder, "dev", outputs_file=path, addresses=addresses or {})

    return make


def url(place: AbstractContextManager[str]) -> str:
    with place as at:
        return at


def test_an_address_of_the_outputs_is_used_as_it_is(dev: Callable[..., Project]) -> None:
    project = dev(gateway={"url": "https://models.example"})
    assert url(project.gateway()) == "https://models.example"
    assert not project.is_forwarded("gateway")


def test_what_a_person_gives_comes_first(dev: Callable[..., Project]) -> None:
    project = dev({"tracking": "http://127.0.0.1:5000/"})
    assert url(project.tracking()) == "http://127.0.0.1:5000"
    assert not project.is_forwarded("tracking")
    assert dev().is_forwarded("tracking")


@pytest.mark.parametrize(
    ("service", "title", "option"),
    [
        ("tracking", "MLflow", "--mlflow URL"),
        ("pipelines_server", "Kubeflow Pipelines server", "--kfp URL"),
        ("gateway", "front door", "--gateway URL"),
    ],
)
def test_a_service_that_is_not_there_is_a_sentence(
    dev: Callable[..., Project], service: str, title: str, option: str
) -> None:
    project = dev(tracking=None)
    with pytest.raises(InfrastructureError, match=f"dev has no {title}") as refused:
        url(getattr(project, service)())
    assert option in refused.value.fix
    assert "Pulumi.dev.yaml" in refused.value.fix


def test_the_laptop_has_its_own(folder: Path) -> None:
    project = Project(folder)
    assert url(project.tracking()) == f"sqlite:///{folder}/.millwright/local/mlflow.db"
    with pytest.raises(UsageError, match="its pipelines run on this machine"):
        url(project.pipelines_server())
    with pytest.raises(LocalError, match="is not up") as refused:
        url(project.gateway())
    assert "`millwright up`" in refused.value.fix
    with pytest.raises(UsageError, match="local has no Kubernetes cluster") as none:
        project.cluster()
    assert "--context" in none.value.fix


def test_models_are_in_the_namespace_that_the_outputs_say(
    folder: Path, dev: Callable[..., Project]
) -> None:
    assert Project(folder).models_namespace() == "default"
    assert dev(namespaces={"models": "serving"}).models_namespace() == "serving"


def test_outputs_on_the_laptop_say_what_runs_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder / ".millwright" / "local"
    root.mkdir(parents=True)
    (root / "outputs.json").write_text(json.dumps(values("local", tracking=None)))
    outputs = Project(folder).outputs()
    assert outputs.tracking
    assert outputs.tracking.url == f"sqlite:///{root}/mlflow.db"
    assert outputs.gateway is None, "nothing is served"
    assert outputs.namespaces == {"models": "default"}
