"""The index of decisions names each page, by its title."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "decisions"


def test_the_index_names_every_decision_by_its_title() -> None:
    pages = {
        path.name: path.read_text().splitlines()[0].partition(". ")[2]
        for path in FOLDER.glob("[0-9]*.md")
    }
    index = re.findall(r"\[(.+?)\]\((\d{4}-.+?\.md)\)", (FOLDER / "README.md").read_text())
    assert {name: title for title, name in index} == pages
