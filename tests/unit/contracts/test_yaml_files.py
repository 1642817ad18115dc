"""Whatever stands in a YAML file, a person gets a sentence with the place, or what was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from contracts.dataset import DatasetSpec
from contracts.document import Document, Duration
from contracts.errors import DocumentError
from contracts.model import ModelSpec
from contracts.yaml_files import read_yaml

ROOT = Path(__file__).parents[3]
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 10)}]\n" for place in range(1, 9)
)


class Opening(Document):
    """A document with something of each kind."""

    hours: dict[str, tuple[int, int]] = Field(default_factory=dict)
    pause: Duration = 0.0
    share: float = 0.0
    name: str = ""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "opening.yaml"


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        (
            "a: 1\nb: 2020-13-01",
            ":2:4",
            "'2020-13-01' is not a date or time (month",
        ),
        ("b: [2020-02-30]", ":1:5", "'2020-02-30' is not a date or time"),
        ("b: 2020-01-01 25:00:00", ":1:4", "is not a date or time"),
        ("b: !!int abc", ":1:4", "'abc' is not a whole number"),
        ("b: !!float abc", ":1:4", "'abc' is not a number"),
        ("b: !!bool maybe", ":1:4", "'maybe' is not a truth value"),
        ("b: !!timestamp noon", ":1:4", "'noon' is not a date or time"),
        (f"b: {'9' * 5000}", ":1:4", "is not a whole number"),
        ("b: 010", ":1:4", "010 is 8 in YAML; write that, or quotes around it"),
        ("b: 012345670123", ":1:4", "in YAML; write that, or quotes around it"),
        ("b: 12:30:45", ":1:4", "12:30:45 is 45045 in YAML"),
        ("b: 1_000", ":1:4", "1_000 is 1000 in YAML"),
        ("a: 1\na: 2", ":2:1", "the key 'a' is written twice"),
        ("b: {no: integer}", ":1:5", "the key no is no text; write it in quotes"),
        ("b: {2020-01-01: x}", ":1:5", "the key 2020-01-01 is no text"),
        ("b: {~: x}", ":1:5", "the key ~ is no text"),
        ("b:\n  ? [a]\n  : x", ":2:5", "the key of several values is no text"),
        ("a: 1\n\tb: 2", ":2:1", "found a tab character that violates indentation"),
        ("b: !!python/object/apply:os.system [ls]", ":1:4", "could not determine a constructor"),
        ("b: !secret x", ":1:4", "could not determine a constructor"),
        ("b: *nobody", ":1:4", "found undefined alias 'nobody'"),
        ("b: &me [*me]", ":1:4", "an alias stands for what it is in"),
        (BOMB, ":", "values, more than 100,000"),
        ("a: 1\n---\na: 2", ":2:1", "but found another document"),
        ("a: 1\nb: \x07", ":2:4", "a character that it cannot hold"),
        ("<<: 3", ":1:", "expected a mapping"),
        ("[" * 3000, "", "nested too deep"),
        (f"b: {'[' * 50}{']' * 50}", "", "nested too deep"),
    ],
)
def test_what_yaml_cannot_read_is_a_sentence_with_its_place(
    file: Path, text: str, place: str, sentence: str
) -> None:
    file.write_text(text)
    with pytest.raises(DocumentError) as caught:
        read_yaml(file)
    assert sentence in caught.value.what
    assert caught.value.where.startswith(f"{file}{place}")


def test_what_is_nested_as_deep_as_anybody_writes_is_read(file: Path) -> None:
    text = f"{'[' * 49}{']' * 49}"
    file.write_text(f"b: {text}\n")
    assert read_yaml(file) == {"b": json.loads(text)}


def test_a_value_that_is_none_does_not_hide_the_other_problems(file: Path) -> None:
    """It is YAML, in which a day does not exist."""
    text = (ROOT / "models" / "flight-delay" / "model.yaml").read_text()
    text = text.replace("train: {until: 2013-09-01}", "train: {until: 2013-02-30}")
    text = text.replace("test: {until: 2013-11-01}", "test: {until: &day 2013-13-01}")
    text += "start: *day\n"
    text = text.replace("trials: 8", "trials: 010").replace("keep: 24", "kep: 24")
    file.write_text(text)
    with pytest.raises(DocumentError) as caught:
        ModelSpec.load(file)
    said = [problem.partition(": ")[2] for problem in caught.value.problems]
    assert caught.value.what == f"{len(said)} problems in this ModelSpec document"
    assert [sentence.partition(": ")[0] for sentence in said[:3]] == [
        "split.train.until",
        "split.test.until",
        "tune.trials",
    ]
    assert said[0].endswith("'2013-02-30' is not a date or time (day is out of range for month)")
    assert "select.kep: unknown key; did you mean 'keep'?" in said
    assert "start: unknown key" in str(caught.value)
    assert len({sentence.partition(": ")[0] for sentence in said}) == len(said)
    assert "not YAML" not in str(caught.value)


def test_a_value_that_is_none_is_refused_also_where_text_is_meant(file: Path) -> None:
    file.write_text("name: 2013-02-30\nhours: {mon: [1, 2]}\n")
    with pytest.raises(DocumentError, match="1 problem in this Opening") as caught:
        Opening.load(file)
    (problem,) = caught.value.problems
    assert problem.startswith("line 1: name: '2013-02-30' is not a date or time")
    file.write_text("outer:\n  name: a\n  share: 1_0\n  naem: b\n")
    with pytest.raises(DocumentError, match="2 problems in this Opening") as caught:
        Opening.load(file, key="outer")
    first, second = caught.value.problems
    assert first == "line 3: outer.share: 1_0 is 10 in YAML; write that, or quotes around it"
    assert second == "line 4: naem: unknown key; did you mean 'name'?"


def test_several_values_that_are_none_are_told_together(file: Path) -> None:
    file.write_text("a: 2020-13-01\nb: [1, 010]\n")
    with pytest.raises(DocumentError, match="2 values cannot be read") as caught:
        read_yaml(file)
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        ["line 1", "a"],
        ["line 2", "b.1"],
    ]


def test_bytes_that_are_no_text_are_a_sentence(file: Path) -> None:
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(DocumentError, match="cannot be read: 'utf-8' codec"):
        read_yaml(file)
    with pytest.raises(DocumentError, match="cannot be read"):
        read_yaml(file.parent)


def test_a_number_with_an_exponent_is_one(file: Path) -> None:
    """To YAML 1.1 it is text, and a learning rate of 1e-3 would reach a library as such."""
    file.write_text("[1e-3, 1E5, -2.5e+3, 0x1F, 1e, e3, 1.2.3]")
    assert read_yaml(file) == [0.001, 1e5, -2500.0, 31, "1e", "e3", "1.2.3"]


def test_what_is_merged_in_may_be_overridden(file: Path) -> None:
    file.write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: *b, z: 4}\n")
    assert read_yaml(file) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 3, "z": 4},
    }


def test_problems_name_the_line_of_their_key(file: Path) -> None:
    file.write_text(
        "# when\nopening:\n  hours:\n    monday: [9, 17]\n    tuesday: [9, x]\n  pause: soon\n"
    )
    with pytest.raises(DocumentError) as caught:
        Opening.load(file, key="opening")
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "line 5: hours.tuesday.1: input should be a valid integer (found 'x')",
        "line 6: pause: 'soon' is not a duration",
    ]
    assert caught.value.where == f"{file}: opening"


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates().map(str),
    st.text(max_size=5),
    st.sampled_from(
        ["1e999", ".inf", ".nan", "!!binary aGk=", "!!set {a}", "99999999999d", "2020-13-01"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = [
    "name",
    "tables",
    "history",
    "quarantine",
    "source",
    "split",
    "estimator",
    "tune",
    "rollout",
]


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.sampled_from([DatasetSpec, ModelSpec]))
def test_a_hostile_document_is_refused_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, object], kind: type[Document]
) -> None:
    file = tmp_path_factory.getbasetemp() / "hostile.yaml"
    # What is text here stands in the file as it is, so that tags and odd numbers are read as such.
    file.write_text("".join(f"{key}: {inner}\n" for key, inner in value.items()), "utf-8")
    with pytest.raises(DocumentError):
        kind.load(file)


@pytest.mark.parametrize("history", [".inf", "-.inf", ".nan", "99999999999d", "1e300", "-1"])
def test_a_duration_that_no_clock_has_is_refused(file: Path, history: str) -> None:
    file.write_text(f"pause: {history}\n")
    with pytest.raises(DocumentError, match="line 1: pause: "):
        Opening.load(file)
