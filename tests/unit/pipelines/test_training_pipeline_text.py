"""What needs no run: the compiled pipeline, what the steps say, and which run is continued."""

import fcntl
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from kfp import components

from components import entry
from contracts.errors import DataError, DocumentError, RejectedError
from pipelines import journal, runs, wiring

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_compiled_pipeline_is_nine_steps_that_kfp_loads(tmp_path):
    path = tmp_path / "training.yaml"
    wiring.compile(path, wiring.build("registry/pipelines-python:1"))
    loaded = components.load_component_from_file(str(path))
    assert loaded.component_spec.name == "training"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    tasks = document["root"]["dag"]["tasks"]
    assert set(tasks) == set(wiring.STEPS)
    for step, before in zip(wiring.STEPS[1:], wiring.STEPS, strict=False):
        assert before in tasks[step]["dependentTasks"] or before == "select"
    executors = document["deploymentSpec"]["executors"].values()
    assert {one["container"]["image"] for one in executors} == {"registry/pipelines-python:1"}
    assert "pip install" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "error",
    [
        RejectedError("a gate failed", where="model toy", fix="try again"),
        DataError("no rows", where="split.test"),
        DocumentError("2 problems", where="model.yaml", problems=("a: wrong", "b: missing")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_crosses_the_process_as_it_was(capsys, error):
    with pytest.raises(SystemExit) as caught, entry.step("train"):
        raise error
    assert caught.value.code == error.exit_code
    said = entry.heard("    " + capsys.readouterr().out.splitlines()[-1])
    assert said is not None
    restored = entry.restore(said)
    assert type(restored) is type(error)
    assert str(restored) == str(error)


def test_a_step_says_that_it_started_and_finished(capsys):
    with entry.step("train"):
        print("working")
    lines = capsys.readouterr().out.splitlines()
    said = [entry.heard(line) for line in lines]
    assert [one and one["event"] for one in said] == ["started", None, "finished"]


@pytest.mark.parametrize("line", ["", "plain", "@millwright {", "@millwright 3"])
def test_other_lines_say_nothing(line):
    assert entry.heard(line) is None


def marked(**fields):
    return f"    {entry.MARK}{json.dumps(fields)}\n"


def test_output_goes_to_the_steps_logs_and_progress_is_told(tmp_path):
    events = []
    log = journal.Log(
        tmp_path,
        lambda said: events.append((said["step"], said["event"], said.get("seconds", 0.0))),
    )
    log.add("before\n")
    log.reused("ingest", "kept")
    log.add(marked(step="validate", event="started"))
    log.add("    a line\n")
    log.add(marked(step="validate", event="finished", seconds=1.5))
    log.close()
    assert events == [
        ("ingest", "kept", 0.0),
        ("validate", "started", 0.0),
        ("validate", "finished", 1.5),
    ]
    assert runs.log_path(tmp_path, "validate").read_text("utf-8") == "    a line\n"
    assert runs.log_path(tmp_path, "pipeline").read_text("utf-8") == "before\n"


def test_the_last_words_are_the_exceptions(tmp_path):
    path = tmp_path / "step.log"
    path.write_text(
        "[KFP Executor 2026-01-01 INFO]: hello\n    Traceback (most recent call last):\n"
        '      File "x.py", line 1\n    ValueError: the moon is full\n\n'
        "12:00:00.000 - ERROR - Task finished with status FAILURE\n-----\n",
        encoding="utf-8",
    )
    assert journal.last_words(path.read_text("utf-8")) == "ValueError: the moon is full"
    path.write_text("Killed\n", encoding="utf-8")
    assert journal.last_words(path.read_text("utf-8")) == "Killed"
    assert journal.last_words("") == "it ended without a word"


def test_the_same_question_continues_an_unfinished_run(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "code_digest", lambda: "one")
    asked = {"model": "{}", "code_version": "a"}
    first = runs.open_run(tmp_path, "toy", asked, NOW)
    later = NOW.replace(year=2027)
    assert runs.open_run(tmp_path, "toy", asked | {"code_version": "b"}, later) == first
    assert json.loads((first / "arguments.json").read_text("utf-8"))["key"] == first.name

    other = runs.open_run(tmp_path, "toy", {"model": "{1}"}, later)
    assert other != first
    with (first / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert runs.open_run(tmp_path, "toy", asked, later) == first, "it is followed"
    runs.finish(first, "done")
    assert runs.state(first) == "done"
    monkeypatch.setattr(runs, "code_digest", lambda: "two")
    assert runs.open_run(tmp_path, "toy", asked, later.replace(month=2)).name > other.name


def test_of_old_runs_only_documents_and_logs_are_kept(tmp_path):
    folders = []
    for day in range(1, runs.KEPT + 2):
        folder = runs.open_run(tmp_path, "toy", {"model": str(day)}, NOW.replace(day=day))
        data = folder / "steps" / "training" / "ingest" / "tables"
        data.mkdir(parents=True)
        (data / "rows.parquet").write_bytes(b"1")
        (data.parent / "report").write_text("{}", encoding="utf-8")
        runs.finish(folder, "done")
        folders.append(data)
    assert [folder.exists() for folder in folders] == [False] + [True] * runs.KEPT
    assert (folders[0].parent / "report").is_file()


def test_the_codes_version_is_a_commit():
    assert runs.code_version()
    assert len(runs.code_digest()) == 64


def test_the_compiled_pipeline_in_the_tree_is_current(tmp_path):
    wiring.compile(tmp_path / "training.yaml")
    written = Path(__file__).parents[3] / "manifests" / "pipelines" / "training.yaml"
    assert written.read_text() == (tmp_path / "training.yaml").read_text(), "run `make generate`"
