"""Outputs by the embedded engine, the Pulumi CLI or a file; what each says when it has none."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import DocumentError, InfrastructureError, LocalError, UsageError
from contracts.outputs import PlatformOutputs
from project.handle import Project
from project.sources import EngineState, OutputsFile, PulumiStack

ROOT = Path(__file__).parents[3]
CLI = """#!{python}
import json, os, pathlib, sys
log = pathlib.Path({folder!r}) / "asked.json"
log.write_text(json.dumps([sys.argv[1:], os.getcwd()]))
sys.stdout.write({stdout!r})
sys.stderr.write({stderr!r})
sys.exit({code})
"""


def values(environment: str = "dev", **changed: Any) -> dict[str, Any]:
    """The outputs of an environment, as the program exports them."""
    return {
        "environment": environment,
        "region": "eu-central-1",
        "account_id": "111111111111",
        "network": {
            "vpc_id": "vpc-1",
            "public_subnet_ids": [],
            "private_subnet_ids": ["subnet-1"],
            "database_subnet_ids": ["subnet-2"],
        },
        "lake": {"raw": "raw", "curated": "curated", "artifacts": "artifacts", "key_arn": "arn:k"},
        "warehouse": {
            "workgroup": "warehouse",
            "database": "dev",
            "user": "admin",
            "secret_arn": "arn:s",
            "role_arn": "arn:r",
        },
        "online_store": {"tables": {"features": "features"}},
        "cache": {"host": "cache.example", "port": 6379, "tls": True},
        "cluster": {"name": "millwright-dev-cluster", "endpoint": "https://eks.example"},
        "registries": {},
        "roles": {},
        "key_arns": {},
        "tracking": {"namespace": "mlflow", "service": "mlflow", "port": 80},
        **changed,
    }


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts an executable `pulumi` on PATH, which answers as it is told."""

    def answers(stdout: str = "", *, stderr: str = "", code: int = 0) -> None:
        path = tmp_path / "bin" / "pulumi"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            CLI.format(
                python=sys.executable,
                folder=str(tmp_path),
                stdout=stdout,
                stderr=stderr,
                code=code,
            )
        )
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)

    return answers


def test_the_cli_is_asked_in_the_projects_folder_without_secrets(
    tmp_path: Path, stand_in: Any
) -> None:
    stand_in(json.dumps(values()))
    folder = tmp_path / "project"
    folder.mkdir()
    outputs = PulumiStack(folder=folder, name="dev").read()
    assert outputs == PlatformOutputs.parse(values())
    asked, where = json.loads((tmp_path / "asked.json").read_text())
    assert asked == ["stack", "output", "--json", "--show-secrets=false", "--stack", "dev"]
    assert Path(where).samefile(folder)


@pytest.mark.parametrize(
    ("answer", "said", "fix"),
    [
        (
            {"stderr": "error: no stack named 'dev' found\n", "code": 255},
            "no stack named 'dev' found",
            "pulumi up -s dev",
        ),
        (
            {"stderr": "warning: old\nerror: PULUMI_ACCESS_TOKEN must be set\n", "code": 255},
            "PULUMI_ACCESS_TOKEN must be set",
            "pulumi login",
        ),
        ({"stdout": "{}"}, "has not been brought up", "pulumi up -s dev"),
        ({"stdout": "Please choose a stack:"}, "not JSON: Please choose", "--outputs FILE"),
        ({"stdout": ""}, "not JSON: nothing", "--outputs FILE"),
    ],
)
def test_what_the_cli_cannot_say_is_a_sentence(
    tmp_path: Path, stand_in: Any, answer: dict[str, Any], said: str, fix: str
) -> None:
    stand_in(**answer)
    with pytest.raises(InfrastructureError) as refused:
        PulumiStack(folder=tmp_path, name="dev").read()
    assert said in refused.value.what
    assert fix in refused.value.fix
    assert "'dev'" in refused.value.where


def test_without_the_cli_it_says_what_else_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match="not installed") as refused:
        PulumiStack(folder=tmp_path, name="dev").read()
    assert "--outputs FILE" in refused.value.fix


def test_outputs_of_another_program_are_refused_by_their_keys(
    tmp_path: Path, stand_in: Any
) -> None:
    stand_in(json.dumps({"bucket": "mine"}))
    with pytest.raises(DocumentError) as refused:
        PulumiStack(folder=tmp_path, name="dev").read()
    assert any("bucket" in problem for problem in refused.value.problems)


def test_a_file_has_to_be_of_the_environment_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    with pytest.raises(InfrastructureError, match="no such file") as refused:
        OutputsFile(path=path, name="dev").read()
    assert "pulumi stack output --json -s dev" in refused.value.fix
    path.write_text(json.dumps(values()))
    assert OutputsFile(path=path, name="dev").read().lake.raw == "raw"
    with pytest.raises(InfrastructureError, match="outputs of 'dev', not of 'prod'"):
        OutputsFile(path=path, name="prod").read()


def test_the_engines_state_says_how_to_bring_it_up(tmp_path: Path) -> None:
    for name, command in (("local", "`millwright up`"), ("proof", "`millwright up proof`")):
        state = EngineState(root=tmp_path / name, name=name)
        with pytest.raises(InfrastructureError) as refused:
            state.read()
        assert command in refused.value.fix
    (tmp_path / "proof").mkdir()
    state.write(PlatformOutputs.parse(values("proof")))
    assert state.read() == PlatformOutputs.parse(values("proof"))


def test_who_is_asked_follows_from_where_the_environment_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ROOT.glob("Pulumi*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert isinstance(Project(tmp_path).source, EngineState)
    assert isinstance(Project(tmp_path, "dev").source, PulumiStack)
    given = Project(tmp_path, "dev", outputs_file=tmp_path / "outputs.json")
    assert isinstance(given.source, OutputsFile)
    # What an emulator's environment left behind is not taken for AWS's, nor the other way round.
    state = EngineState(root=tmp_path / ".millwright" / "dev", name="dev")
    state.root.mkdir(parents=True)
    state.write(PlatformOutputs.parse(values()))
    assert isinstance(Project(tmp_path, "dev").source, PulumiStack)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert Project(tmp_path, "dev").source == state


def test_an_unknown_environment_names_those_there_are(tmp_path: Path) -> None:
    for name in ("local", "dev"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("")
    with pytest.raises(UsageError, match="no environment 'nosuch'") as refused:
        _ = Project(tmp_path, "nosuch").environment
    assert "dev, local" in refused.value.fix


def test_a_full_disk_leaves_the_former_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    state = EngineState(root=tmp_path, name="local")
    state.write(PlatformOutputs.parse(values("former")))
    before = state.path.read_text()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LocalError, match="cannot be written: No space left") as refused:
        state.write(PlatformOutputs.parse(values("new")))
    assert (refused.value.where, "`millwright up`" in refused.value.fix) == (str(state.path), True)
    assert [path.read_text() for path in tmp_path.iterdir()] == [before]
