"""When a step's outputs are taken from an earlier run, and when they are not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from contracts.model import ModelSpec
from pipelines import caching, journal, results, running, runs
from pipelines.caching import StepCache
from pipelines.wiring import STEPS
from tests.content import MODELS

MODEL = ModelSpec.find(MODELS, "flight-delay").model_dump(mode="json", by_alias=True)


class Steps:
    """A run's folder and its cache, as kfp uses it."""

    def __init__(self, work: Path, name: str, *, others: bool = True) -> None:
        self.folder = work / name
        self.folder.mkdir(exist_ok=True)
        self.told: list[tuple[str, ...]] = []
        self.cache = StepCache(self.folder, {}, lambda *told: self.told.append(told), others=others)

    def key(self, source: Path, step: str = "tune", command: str = "run", **model: object) -> str:
        """Of a step that reads a model and what is at a path."""
        return self.cache.compute_key(
            f"comp-{step}",
            "image",
            [command],
            {
                "model": json.dumps(MODEL | model),
                "parts": dsl.Dataset(uri=str(source)),
                "origin": str(self.folder),
            },
        )

    def write(self, key: str, step: str, content: str = "made") -> Path:
        """The step runs and writes a folder with a file."""
        place = self.folder / runs.STEPS_FOLDER / "training-2026-01-01" / step / "tuning"
        (place / "in").mkdir(parents=True, exist_ok=True)
        (place / "in" / "file").write_text(content)
        self.cache.put(key, {"tuning": dsl.Dataset(name="tuning", uri=str(place))})
        return place

    def take(self, key: str) -> Any:
        """What comes in place of the step."""
        outputs = self.cache.get(key)
        return outputs and (Path(outputs["tuning"].path) / "in" / "file").read_text()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What the step reads."""
    path = tmp_path / "source"
    path.mkdir()
    (path / "rows").write_text("1 2 3")
    return path


@pytest.fixture
def first(tmp_path: Path, source: Path) -> Steps:
    """A run that has finished its step."""
    steps = Steps(tmp_path, "a")
    steps.write(steps.key(source), "tune")
    return steps


def test_another_run_takes_what_was_written_into_its_own_folder(tmp_path, source, first):
    steps = Steps(tmp_path, "b")
    assert steps.take(steps.key(source)) == "made"
    assert steps.told == [("tune", "cached", "a")]
    taken = runs.output(steps.folder, "tune", "tuning")
    assert taken is not None
    assert (taken / "in" / "file").read_text() == "made"
    # When the first run's tables have made room, the second's are still there.
    for file in caching.files(first.folder):
        file.unlink()
    assert Steps(tmp_path, "c").take(steps.key(source)) == "made"


def test_who_made_it_is_told_through_any_number_of_runs(tmp_path, source, first):
    for name in ("b", "c", "c"):
        steps = Steps(tmp_path, name)
        assert steps.take(steps.key(source)) == "made"
        for path in first.folder.glob("*"):
            shutil.rmtree(path)
    assert steps.told == [("tune", "kept", "a")]


def test_what_a_reused_step_warned_of_is_said_again_with_its_run(tmp_path):
    def written(run: Path) -> tuple[list[dict[str, object]], str]:
        for step, name, lines in (
            ("preprocess", "parts/preprocessing.json", ["one", "two"]),
            ("evaluate", "evaluation", ["one", "two", "three"]),
        ):
            path = run / runs.STEPS_FOLDER / "training-1" / step / name
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"warnings": lines}))
        log = journal.Log(run, journal.writer(run))
        log.reused("preprocess", "cached", "other")
        log.reused("evaluate", "kept")
        log.close()
        return journal.events(run), runs.log_path(run, "preprocess").read_text()

    events, text = written(tmp_path / "run")
    assert [(event["event"], event.get("text"), event.get("of")) for event in events] == [
        ("cached", None, "other"),
        ("warning", "one", "other"),
        ("warning", "two", "other"),
        ("kept", None, None),
        ("warning", "three", None),
    ]
    assert text == "warning of the run other: one\nwarning of the run other: two\n"
    assert results.warnings(running.FolderOutputs(tmp_path / "run")) == (
        "one (of the run other)",
        "two (of the run other)",
        "three",
    )


def test_a_run_that_goes_on_keeps_its_own(tmp_path, source, first):
    again = Steps(tmp_path, "a", others=False)
    assert again.take(again.key(source)) == "made"
    assert again.told == [("tune", "kept", "")]


def test_the_same_content_elsewhere_is_the_same(tmp_path, source, first):
    other = tmp_path / "other"
    other.mkdir()
    (other / "rows").write_text("1 2 3")
    assert Steps(tmp_path, "b").take(first.key(other)) == "made"


def test_what_a_step_does_not_read_of_the_model_does_not_count(tmp_path, source, first):
    steps = Steps(tmp_path, "b")
    assert steps.take(steps.key(source, gates={"roc_auc": ">= 0.99"}, select={"keep": 3})) == "made"


def different(steps: Steps, source: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The key when something that counts has changed."""
    match what:
        case "content":
            (source / "rows").write_text("1 2 4")
        case "a file's name":
            (source / "rows").rename(source / "lines")
        case "parameters":
            return steps.key(source, tune=MODEL["tune"] | {"trials": 3})
        case "the step":
            return steps.key(source, step="train")
        case "the step's face":
            return steps.key(source, command="walk")
        case "code":
            monkeypatch.setattr(runs, "code_digest", lambda: "another")
        case "packages":
            monkeypatch.setattr(caching, "installed", lambda: "another")
    return steps.key(source)


@pytest.mark.parametrize(
    "what",
    ["content", "a file's name", "parameters", "the step", "the step's face", "code", "packages"],
)
def test_whatever_decides_what_a_step_writes_counts(tmp_path, source, first, what, monkeypatch):
    steps = Steps(tmp_path, "b")
    assert steps.take(different(steps, source, what, monkeypatch)) is None
    assert steps.told == []


def test_without_the_cache_nothing_of_other_runs_is_taken(tmp_path, source, first):
    steps = Steps(tmp_path, "b", others=False)
    assert steps.take(steps.key(source)) is None


@pytest.mark.parametrize("what", ["changed", "cut off", "gone", "one more", "the entry is cut off"])
def test_what_is_not_as_it_was_written_is_made_again(tmp_path, source, first, what):
    key = first.key(source)
    place = runs.output(first.folder, "tune", "tuning")
    assert place is not None
    match what:
        case "changed":
            (place / "in" / "file").write_text("mode")
        case "cut off":
            os.truncate(place / "in" / "file", 2)
        case "gone":
            (place / "in" / "file").unlink()
        case "one more":
            (place / "in" / "file.tmp").write_text("half")
        case _:
            (entry,) = (first.folder / caching.FINISHED).iterdir()
            os.truncate(entry, 20)
    assert Steps(tmp_path, "b").take(key) is None


def test_what_was_written_is_taken_from_the_newest_run_that_still_has_it(tmp_path, source, first):
    key = first.key(source)
    second = Steps(tmp_path, "b")
    place = second.write(key, "tune", "made anew")
    entry = next((second.folder / caching.FINISHED).iterdir())
    os.utime(entry, (entry.stat().st_mtime + 10,) * 2)
    assert Steps(tmp_path, "c").take(key) == "made anew"
    (place / "in" / "file").unlink()
    (runs.output(tmp_path / "c", "tune", "tuning") / "in" / "file").unlink()
    assert Steps(tmp_path, "d").take(key) == "made"


def test_a_later_try_is_what_counts_in_the_run(tmp_path, source, first):
    """Also where an earlier try of the same run had written the step's outputs itself."""
    steps = Steps(tmp_path, "b")
    steps.write("tune-another", "tune", "old")
    assert steps.take(steps.key(source)) == "made"
    assert (runs.output(steps.folder, "tune", "tuning") / "in" / "file").read_text() == "made"


def test_a_step_cannot_read_what_does_not_count():
    from components.reads import READS, model_of

    text = json.dumps(MODEL)
    assert set(READS) <= set(STEPS)
    for step, names in READS.items():
        spec = model_of(step, text)
        for name in ModelSpec.model_fields:
            assert hasattr(spec, name) == (name in names), (step, name)
    assert model_of("register", text) == ModelSpec.model_validate(MODEL)


def test_packages_that_somebody_works_on_count_by_their_source():
    url = '{"dir_info": {"editable": true}, "url": "file:///a%20b/c"}'
    assert caching.edited(url) == Path("/a b/c")
    assert caching.edited('{"archive_info": {}, "url": "https://x/y.whl"}') is None
    assert caching.edited(None) is None
    assert caching.installed() == caching.installed()
