"""What the command line refuses, the sentence it says, and the code it ends with."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import main

ROOT = Path(__file__).parents[3]
Run = Callable[..., "Done"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the documents, in which nothing is up."""
    folder = tmp_path_factory.mktemp("project")
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copy(path, folder)
    for content in ("datasets", "models"):
        shutil.copytree(ROOT / content, folder / content)
    return folder


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def millwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process, as if typed in a project's folder."""

    def run(project: Path, *words: str) -> Done:
        monkeypatch.setenv("MILLWRIGHT_PROJECT", str(project))
        monkeypatch.setattr(sys, "argv", ["millwright", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["refesh"], 2, "Did you mean 'refresh'?"),
        (["up", "--target", "x"], 2, "`--target` (working on some of the resources) is not"),
        (["preview", "--policy-pack", "x"], 2, "a policy pack is not supported"),
        (["up", "--tarjet", "x"], 2, "No such option: --tarjet"),
        (["up", "nowhere"], 2, "expected one of: dev, local, prod, staging"),
        (["up", "prd"], 2, "did you mean 'prod'?"),
        (["up", "prod"], 2, "Stand it up with `pulumi up -s prod`"),
        (["train", "flight-dely"], 2, "did you mean 'flight-delay'?"),
        (["train", "nosuch/model.yaml"], 2, "nosuch: there is no model"),
        (["versions", "flight-dely"], 2, "did you mean 'flight-delay'?"),
        (["versions", "no such"], 2, "there is no model 'no such'"),
        (["rollout", "start", "flight-dely"], 2, "did you mean 'flight-delay'?"),
        (["rollout", "status", "flight-dely"], 2, "did you mean 'flight-delay'?"),
        (["train", "flight-delay", "--train-until", "June"], 2, "not a day such as 2013-07-01"),
        (["train", "flight-delay"], 1, "Run `millwright up`"),
        (["data", "load", "flihgts"], 2, "did you mean 'flights'?"),
        (["predict", "flight-delay", "--data", "{"], 2, "this is not JSON"),
        (
            ["predict", "flight-delay", "--data", '[{"hour": 1, "dest": "A", "hour": 1}]'],
            2,
            "a row has the key 'hour' twice",
        ),
        (["predict", "flight-delay", "--data", "3"], 2, "a row is an object of features"),
        (
            ["predict", "flight-delay", "--file", "none.json"],
            2,
            "none.json: it cannot be read: No such",
        ),
        (["rollout", "start", "flight-delay", "--interval", "soon"], 2, "is not a duration"),
        (["rollout", "pause", "flight-delay"], 1, "Run `millwright up`"),
    ],
)
def test_refusals(
    millwright: Run, project: Path, words: list[str], code: int, sentence: str
) -> None:
    done = millwright(project, *words)
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("data", "load", "flights", "-e"),
        ("train", "flight-delay", "-e"),
        ("versions", "flight-delay", "-e"),
        ("rollout", "status", "flight-delay", "-e"),
        ("predict", "flight-delay", "--data", "{}", "-e"),
        ("ui", "-e"),
        ("status", "-e"),
        ("doctor", "-e"),
        ("outputs", "-e"),
        ("kubeconfig", "-e"),
    ],
)
def test_an_unknown_environment_is_answered_with_those_there_are(
    millwright: Run, project: Path, words: tuple[str, ...]
) -> None:
    done = millwright(project, *words, "nosuch")
    assert done.returncode == 2, done.stderr
    assert "there is no environment 'nosuch'" in done.stderr
    assert "expected one of: dev, local, prod, staging" in done.stderr


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("data", "load", "flights"), "`millwright up`"),
        (("predict", "flight-delay", "--data", "{}"), "`millwright up`"),
        (("outputs",), "`millwright up`"),
        (("ui",), "`millwright up`"),
        (("data", "load", "flights", "-e", "dev"), "https://www.pulumi.com/docs/install"),
        (("versions", "flight-delay", "-e", "dev"), "--outputs FILE"),
        (("status", "-e", "dev"), "--outputs FILE"),
        (("predict", "flight-delay", "--data", "{}", "-e", "dev"), "--outputs FILE"),
    ],
)
def test_what_is_not_up_says_how_to_bring_it_up(
    millwright: Run,
    project: Path,
    words: tuple[str, ...],
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without the Pulumi CLI
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    done = millwright(project, *words)
    assert done.returncode == 1, done.stderr
    assert fix in done.stderr


def test_two_names_are_one_too_many(millwright: Run, project: Path) -> None:
    done = millwright(project, "status", "dev", "-e", "local")
    assert done.returncode == 2
    assert "two environments are named: dev and local" in done.stderr


def test_a_wrong_document_is_refused_before_anything_starts(
    millwright: Run, project: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    shutil.copytree(project, wrong)
    path = wrong / "models" / "flight-delay" / "model.yaml"
    path.write_text(path.read_text().replace("harm_budget", "harm_budgt"))
    stack = wrong / "Pulumi.local.yaml"
    stack.write_text(stack.read_text().replace("tier: local", "tier: locl"))
    trained, brought_up = millwright(wrong, "train", "flight-delay"), millwright(wrong, "up")
    assert "rollout.harm_budgt: unknown key; did you mean 'harm_budget'?" in trained.stderr
    assert "did you mean 'local'?" in brought_up.stderr
    assert (trained.returncode, brought_up.returncode) == (1, 1)
    assert not (wrong / ".millwright").exists()


def test_a_state_moves_out_and_in(millwright: Run, project: Path, tmp_path: Path) -> None:
    wrong = millwright(project, "state", "import", str(project / "Pulumi.yaml"))
    assert wrong.returncode == 2
    assert "this is no exported state" in wrong.stderr
    kind = "pulumi:pulumi:Stack"
    stack = {"urn": f"urn:pulumi:local::millwright::{kind}::millwright-local", "type": kind}
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}
    document = {"version": 3, "deployment": {"manifest": manifest, "resources": [stack]}}
    given, taken = tmp_path / "given.json", tmp_path / "taken.json"
    given.write_text(json.dumps(document))
    assert millwright(project, "--json", "state", "import", str(given)).returncode == 0
    assert millwright(project, "state", "export", str(taken)).returncode == 0
    assert taken.stat().st_mode & 0o777 == 0o600
    (found,) = json.loads(taken.read_text())["deployment"]["resources"]
    assert found["urn"] == stack["urn"]
    assert json.loads(millwright(project, "state", "export").stdout) == json.loads(
        taken.read_text()
    )


def test_machines_get_json(millwright: Run, project: Path) -> None:
    fine = millwright(project, "--json", "status")
    assert json.loads(fine.stdout)["processes"] == []
    failed = millwright(project, "--json", "rollout", "pause", "flight-delay")
    assert "is not up" in json.loads(failed.stderr)["error"]


def test_status_shows_what_is_known_and_names_what_is_not(
    millwright: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's resources are in the state; nobody can be asked what is served."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    kinds = ("pulumi:pulumi:Stack", "infra:Lake$aws:s3/bucket:Bucket")
    resources = [
        {"urn": f"urn:pulumi:dev::millwright::{kind}::one", "type": kind.split("$")[-1], "id": "x"}
        for kind in kinds
    ]
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}
    document = {"version": 3, "deployment": {"manifest": manifest, "resources": resources}}
    given = tmp_path / "given.json"
    given.write_text(json.dumps(document))
    assert millwright(project, "state", "import", str(given), "-e", "dev").returncode == 0
    done = millwright(project, "status", "-e", "dev", "--json")
    assert (done.returncode, json.loads(done.stdout)["resources"]) == (1, {"Lake": 1}), done.stderr
    assert "--outputs FILE" in json.loads(done.stdout)["unknown"][0]
    done = millwright(project, "status", "-e", "dev")
    assert "Lake" in done.stdout
    assert "what is served cannot be asked" in done.stderr
