"""What every document refuses, and the sentence a person then sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from contracts.document import Document, Duration, Share, format_duration, parse_duration
from contracts.errors import DocumentError


class Oven(Document):
    """A part of the example."""

    degrees: int = 200
    """How hot it gets."""


class Bakery(Document):
    """An example document."""

    name: str
    """What the sign says."""
    oven: Oven = Oven()
    ovens: dict[str, Oven] = Field(default_factory=dict)
    bake: Duration = 60.0
    sugar: Share = 0.1


def problems(value: object) -> str:
    with pytest.raises(DocumentError) as caught:
        Bakery.parse(value, where="bakery.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, "name: missing; it is required: what the sign says"),
        ({"nmae": "x", "name": "x"}, "nmae: unknown key; did you mean 'name'?"),
        ({"name": 3}, "name: input should be a valid string (found 3)"),
        (
            {"name": "x", "oven": {"degres": 3}},
            "oven.degres: unknown key; did you mean 'degrees'?",
        ),
        (
            {"name": "x", "ovens": {"big": {"zzz": 3}}},
            "ovens.big.zzz: unknown key; expected one of: degrees",
        ),
        (
            {"name": "x", "oven": {"degrees": True}},
            "oven.degrees: input should be a valid integer (found True)",
        ),
        (
            {"name": "x", "oven": {"degrees": "200"}},
            "oven.degrees: input should be a valid integer (found '200')",
        ),
        ({"name": "x", "bake": "5 minutes"}, "bake: '5 minutes' is not a duration; write one such"),
        ({"name": "x", "bake": -1}, "bake: -1 is not a duration"),
        ({"name": "x", "bake": True}, "bake: True is not a duration"),
        ({"name": "x", "sugar": "101%"}, "is not a share; write a percentage such as 1% or 50%"),
        ([], "(the document itself): input should be an object"),
    ],
)
def test_refusals_say_key_and_expectation(value: object, sentence: str) -> None:
    assert sentence in problems(value)


def test_all_problems_are_shown_at_once_with_the_file() -> None:
    text = problems({"oven": {"x": 1}, "bake": "?"})
    assert text.startswith("bakery.yaml: 3 problems in this Bakery document")
    assert text.count("\n  - ") == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: [", "this is not YAML"),
        ("name: a\nname: b\n", ":2:1: this is not YAML: the key 'name' is written twice"),
    ],
)
def test_files_that_are_not_documents(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "bakery.yaml"
    file.write_text(text)
    with pytest.raises(DocumentError, match=r"bakery\.yaml") as caught:
        Bakery.load(file)
    assert sentence in str(caught.value)


def test_missing_file_and_missing_key(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="there is no such file"):
        Bakery.load(tmp_path / "none.yaml")
    file = tmp_path / "bakery.yaml"
    file.write_text("config: {}\n")
    with pytest.raises(DocumentError, match=r"the key 'config\.bakery' is missing"):
        Bakery.load(file, key="config.bakery")


@given(st.integers(min_value=0, max_value=10**7))
def test_a_duration_reads_back_as_it_was_written(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


def test_a_document_reads_back_as_it_was_written() -> None:
    bakery = Bakery(name="x", bake=0.05, sugar=0.333)
    assert Bakery.parse(bakery.model_dump(mode="json")) == bakery
