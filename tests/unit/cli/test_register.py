"""The files of example rows, and the words, that `register` takes and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.commands.registering import class_names, interpretation, read_examples
from contracts.errors import MillwrightError
from contracts.model import ServedModel


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('[{"a": 1}, {"a": null}]', [{"a": 1}, {"a": None}]),
        ('{"a": 1}\n\n{"a": "b"}\n', [{"a": 1}, {"a": "b"}]),
        ('{"a": 1}', [{"a": 1}]),
        ('{\n "a": 1\n}', [{"a": 1}]),
    ],
)
def test_rows_are_a_list_or_a_line_each(tmp_path: Path, text: str, rows: object) -> None:
    (tmp_path / "rows").write_text(text)
    assert read_examples(str(tmp_path / "rows")) == rows


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "neither JSON nor JSON lines"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[1]", "these are no example rows"),
        (b"[]", "these are no example rows"),
        (b'{"a": 1}\n{"a": ', "neither JSON nor JSON lines"),
        (b'[{"a": NaN}]', "NaN is no number of JSON; null is a missing one"),
        (b'[{"a": 1, "a": 2}]', "Give each column one value"),
        (b"[" * 100_000, "neither JSON nor JSON lines"),
    ],
)
def test_what_is_no_file_of_rows(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(MillwrightError) as raised:
        read_examples(str(tmp_path / "rows"))
    assert sentence in str(raised.value)


def model(task: str, **more: object) -> ServedModel:
    return ServedModel.parse({"name": "toy", "task": task, "rollout": {}, **more})


def test_what_outputs_mean_is_in_the_document_and_the_words() -> None:
    judged = model("classification", feedback={"threshold": 0.3})
    made = interpretation(judged, "no, yes", "no")
    assert (made.classes, made.positive, made.threshold) == (("no", "yes"), "no", 0.3)
    assert class_names("0,1") == (0, 1)
    made = interpretation(model("regression", feedback={"tolerance": "10%"}), "", "")
    assert made.tolerance is not None
    assert made.tolerance.relative == 0.1


@pytest.mark.parametrize(
    ("task", "classes", "positive", "sentence"),
    [
        ("regression", "a,b", "", "a regression predicts numbers"),
        ("regression", "", "a", "a regression predicts numbers"),
        ("classification", "a", "", "must be at least two"),
        ("classification", "a,b", "c", "'c' is not one of"),
    ],
)
def test_meanings_that_are_refused(task: str, classes: str, positive: str, sentence: str) -> None:
    with pytest.raises(MillwrightError) as raised:
        interpretation(model(task), classes, positive)
    assert sentence in str(raised.value)
