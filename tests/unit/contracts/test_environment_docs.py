"""docs/environments.md names every setting that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.document import documents_in
from contracts.environment import Environment
from contracts.environment.settings import rows, written

TEXT = Path(__file__).resolve().parents[3].joinpath("docs/environments.md").read_text()
SECTIONS = {
    name: documents_in(field.annotation) for name, field in Environment.model_fields.items()
}
SETTINGS = [
    f"{name}.{setting}" if inner else name
    for name, inner in SECTIONS.items()
    for setting in (inner[0].model_fields if inner else [""])
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_is_documented(setting: str) -> None:
    assert f"`{setting}`" in TEXT or f"`{setting}." in TEXT


def test_the_table_is_current() -> None:
    assert written(TEXT) == TEXT, "run `make generate`"


def test_every_setting_says_what_it_is() -> None:
    silent = [name for name, _, description in rows() if not description]
    assert not silent


def test_a_file_without_the_heading_is_left_alone() -> None:
    assert written("# Something else\n") == "# Something else\n"
