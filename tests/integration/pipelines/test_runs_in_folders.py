"""Runs on this machine, by the commands for those on a server: processes with acted steps."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cli.main import main
from contracts.outputs import LakeOutputs
from pipelines import processes, runs
from pipelines.following import RunState
from pipelines.running import FolderRuns
from pipelines.wiring import STEPS
from pocket.supervisor.marks import lives
from project.handle import Project
from tests.integration.pipelines.conftest import (
    LentProcess,
    beginning,
    copy_documents,
    platform,
)

ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, "-m", "tests.acted_run")


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Millwright = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose local environment is up, as far as a training asks."""
    copy_documents(tmp_path)
    lake = LakeOutputs(raw="raw", curated="curated", artifacts="artifacts", key_arn="")
    root = tmp_path / ".millwright" / "local"
    root.mkdir(parents=True)
    outputs = platform(lake).model_copy(update={"environment": "local"})
    (root / "outputs.json").write_text(outputs.model_dump_json(), encoding="utf-8")
    monkeypatch.setattr(Project, "connect", lambda self: None)
    monkeypatch.setattr(processes, "PROGRAM", PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Whoever edits the code while the tests run has started another run, rightly.
    monkeypatch.setattr(runs, "code_digest", lambda: "the same")
    yield tmp_path
    left = FolderRuns(root / "runs")
    for status in left.list(100):
        left.stop(status)


@pytest.fixture(scope="module")
def process() -> Iterator[LentProcess]:
    """For tests that are not about the process whose forks runs are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "PROGRAM", PROGRAM)
        patch.setenv("PYTHONPATH", str(ROOT))
        process = LentProcess.start()
    yield process
    process.end()


@pytest.fixture
def one_process(process: LentProcess, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what trainings ask."""
    process.lend(monkeypatch)


@pytest.fixture
def here(folder: Path) -> FolderRuns:
    """The environment's runs."""
    return FolderRuns(folder / ".millwright" / "local" / "runs")


@pytest.fixture
def millwright(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> Millwright:
    """Runs the command line in this process."""
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(folder))

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["millwright", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return run


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def finished(status: object) -> list[str]:
    """The steps that have."""
    return [step.step for step in status.steps if step.state == "finished"]


def test_a_run_is_followed_to_its_version(millwright, here):
    done = millwright("train", "flight-delay")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if "✓" in line] == list(STEPS)
    assert "0.6900 to 0.7300" in done.stdout
    assert "registered toy version 1 at s3://models/toy/1" in done.stdout

    (listed,) = json.loads(millwright("--json", "runs", "list").stdout)
    assert (listed["model"], listed["state"]) == ("flight-delay", "done")
    name = listed["run"]
    assert name in millwright("runs", "list").stdout
    shown = json.loads(millwright("--json", "runs", "show", name).stdout)
    assert [step["state"] for step in shown["steps"]] == ["finished"] * 9
    assert (shown["version"], shown["metrics"]) == ("1", {"roc_auc": 0.71})
    assert shown["location"] == str(here.work / name)
    # A run that has ended is told of as it went, and a path names it as well.
    again = millwright("--json", "runs", "follow", shown["location"])
    assert json.loads(again.stdout)["version"] == "1"


@pytest.mark.long
def test_a_detached_run_goes_on_and_can_be_followed_and_stopped(
    millwright, here, monkeypatch, process
):
    monkeypatch.setenv("ACTED_WAITS", "select")
    done = millwright("--json", "train", "flight-delay", "--detach")
    assert done.returncode == 0, done.stderr
    name = json.loads(done.stdout)["run"]
    until(lambda: here.status(name).steps[4].state == "running")
    assert finished(here.status(name)) == list(STEPS[:4])
    assert json.loads(millwright("--json", "runs", "list").stdout)[0]["state"] == "running"
    # Asking for it again, as after a kill of the command that followed it, is no second run.
    asked = millwright("--json", "train", "flight-delay", "--detach")
    assert json.loads(asked.stdout)["run"] == name
    timer = threading.Timer(0.2, (here.work / name / "go").touch)
    timer.start()
    done = millwright("runs", "follow")
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if "✓" in line] == list(STEPS)

    process.lend(monkeypatch)
    monkeypatch.setenv("ACTED_WAITS", "tune")
    name = json.loads(millwright("--json", "train", "flight-delay", "--detach").stdout)["run"]
    until(lambda: here.status(name).steps[5].state == "running")
    assert f"{name} is stopped" in millwright("runs", "stop", name).stdout
    assert here.status(name).state is RunState.STOPPED
    assert "had ended: stopped" in millwright("runs", "stop", name).stdout
    done = millwright("runs", "follow", name)
    assert (done.returncode, f"run {name}: it was stopped" in done.stderr) == (1, True)

    # Asking for the same again goes on with it.
    (here.work / name / "go").touch()
    done = millwright("--json", "train", "flight-delay")
    assert (done.returncode, json.loads(done.stdout or "{}").get("run")) == (0, name), done.stderr
    assert here.status(name).state is RunState.DONE


def test_a_run_ends_with_the_command_that_follows_it(here, millwright, monkeypatch):
    """Asking again goes on after the last finished step; so the person is told."""
    monkeypatch.setenv("ACTED_WAITS", "tune")
    monkeypatch.setattr("pipelines.following.time.sleep", lambda seconds: None)

    def interrupt(self, status):
        if finished(status)[-1:] == ["select"]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.following.Follower.tell", interrupt)
        done = millwright("train", "flight-delay")
    assert done.returncode == 130
    assert "the same command goes on from there" in done.stdout
    (status,) = here.list(10)
    assert status.state is RunState.STOPPED
    assert not runs.busy(Path(status.location))


@pytest.mark.usefixtures("one_process")
def test_a_run_that_goes_ends_with_its_environment(millwright, here, folder, monkeypatch):
    """And leaves neither a process nor a folder that it would fill again."""
    monkeypatch.setenv("ACTED_WAITS", "tune")
    name = json.loads(millwright("--json", "train", "flight-delay", "--detach").stdout)["run"]
    until(lambda: here.status(name).steps[5].state == "running")
    process = psutil.Process(int((here.work / name / runs.PROCESS).read_text()))
    done = millwright("--json", "destroy", "--yes")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stopped"] == [f"run {name}"]
    assert not lives(process)
    assert not here.work.exists()


@pytest.mark.usefixtures("one_process")
def test_a_run_without_its_command_is_taken_over(millwright, here, monkeypatch):
    """A command that was killed leaves its run going: asking again follows it."""
    monkeypatch.setenv("ACTED_WAITS", "tune")
    name = json.loads(millwright("--json", "train", "flight-delay", "--detach").stdout)["run"]
    until(lambda: here.status(name).steps[5].state == "running")
    process = (here.work / name / runs.PROCESS).read_text()
    start = FolderRuns.start

    def taken_over(self, request):
        taken = start(self, request)
        (here.work / taken / "go").touch()
        return taken

    monkeypatch.setattr(FolderRuns, "start", taken_over)
    done = millwright("--json", "train", "flight-delay")
    assert (done.returncode, json.loads(done.stdout or "{}").get("run")) == (0, name), done.stderr
    assert [status.run for status in here.list(10)] == [name]
    assert (here.work / name / runs.PROCESS).read_text() == process


@pytest.mark.usefixtures("one_process")
def test_a_rejected_model_and_a_failed_step(millwright, here, monkeypatch):
    monkeypatch.setenv("ACTED_REJECTS", "1")
    done = millwright("train", "flight-delay")
    assert done.returncode == 3
    assert "✗ register" in done.stdout
    assert "a gate failed: roc_auc is 0.71" in done.stderr
    assert "0.7100" in done.stdout
    assert millwright("runs", "follow").returncode == 3
    assert "rejected" in millwright("runs", "show").stdout
    assert here.list(1)[0].state is RunState.REJECTED

    monkeypatch.setenv("ACTED_REJECTS", "")
    monkeypatch.setenv("ACTED_FAILS", "engineer")
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert "step engineer: no rows are left (split.test)" in done.stderr
    assert "logs/engineer.log" in done.stderr
    shown = json.loads(millwright("--json", "runs", "show").stdout)
    assert shown["state"] == "failed"
    assert "no rows are left" in shown["reason"]
    assert millwright("runs", "follow").returncode == 1


def test_a_process_that_dies_before_its_first_step_says_why(millwright, monkeypatch):
    code = """
import sys
from pipelines import local, warm

def main(folder, cached):
    print("the disk is full")
    return 1

local.main = main
warm.serve(int(sys.argv[1]), ())
"""
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, "-c", code))
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "logs/pipeline.log" in done.stderr

    code = "import sys; sys.exit('there is no memory')"
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, "-c", code))
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert "there is no memory" in done.stderr


def test_two_cannot_work_on_one_run(here, folder, monkeypatch, capfd):
    from pipelines import local

    work = here.work / "toy-20260101T000000000000-abc"
    work.mkdir(parents=True)
    (work / runs.ARGUMENTS).write_text("{}")
    with runs.locked(work) as free:
        assert free
        assert local.main(work) == 1
    assert "still going in another process" in capfd.readouterr().out


@pytest.mark.usefixtures("one_process")
def test_unknown_runs(millwright, here):
    done = millwright("runs", "show")
    assert (done.returncode, "there are no runs yet" in done.stderr) == (2, True)
    assert "there are no runs yet" in millwright("runs", "list").stdout
    name = json.loads(millwright("--json", "train", "flight-delay").stdout)["run"]
    for command in ("show", "follow", "stop"):
        done = millwright("runs", command, f"{name[:-1]}x")
        assert (done.returncode, f"did you mean {name!r}?" in done.stderr) == (2, True)
        done = millwright("runs", command, "flight-dely")
        assert (done.returncode, "did you mean 'flight-delay'?" in done.stderr) == (2, True)


@pytest.mark.usefixtures("one_process")
def test_a_run_is_named_by_its_model_or_its_beginning(millwright, here):
    day = ("--train-until", "2013-08-01")
    first, second = (
        json.loads(millwright("--json", "train", "flight-delay", *words).stdout)["run"]
        for words in ((), day)
    )
    ours = beginning(first, second)

    def named(command, word):
        return json.loads(millwright("--json", "runs", command, word).stdout)["run"]

    for command in ("show", "follow", "stop"):
        assert named(command, "flight-delay") == second
        assert named(command, first[: len(ours) + 1]) == first
        done = millwright("runs", command, ours)
        assert done.returncode == 2
        assert f"{ours!r} is the beginning of 2 runs' names" in done.stderr
        assert first in done.stderr


def test_a_server_is_used_where_one_is_named(millwright):
    """An environment on this machine may use one; what it lacks for that is said."""
    done = millwright("train", "flight-delay", "--kfp", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "is a place on this machine" in done.stderr
    done = millwright("runs", "list", "--kfp", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "does not answer: " in done.stderr
    assert "Connection refused" in done.stderr
    assert os.environ.get("AWS_ENDPOINT_URL") is None
