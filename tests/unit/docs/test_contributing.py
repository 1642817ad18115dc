"""The pages of how to add something: what they name exists, and is as few files as they promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INDEX = (ROOT / "CONTRIBUTING.md").read_text()
PAGES = {
    page: int(limit)
    for page, limit in re.findall(r"\]\((docs/contributing/[\w-]+\.md)\) \| (\d+) \|", INDEX)
}


def test_the_index_lists_every_page() -> None:
    there = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/contributing").glob("*.md")
    }
    assert there == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_lists_as_few_files_as_promised_and_each_has_an_example(page: str) -> None:
    rows = re.findall(
        r"^\| `(.+?)` \| .+ \| \[.+?\]\((.+?)\) \|$", (ROOT / page).read_text(), re.MULTILINE
    )
    assert 0 < len(rows) <= PAGES[page]
    for pattern, link in rows:
        example = (ROOT / page).parent.joinpath(link).resolve()
        assert example.is_file(), f"{page}: {link} is not there"
        name = example.relative_to(ROOT).as_posix()
        shape = re.sub(r"<[\w-]+>", r"[\\w-]+", re.escape(pattern).replace(r"\-", "-"))
        placed = re.fullmatch(shape + (".+" if pattern.endswith("/") else ""), name)
        assert placed, f"{page}: {name} is no `{pattern}`"


@pytest.mark.parametrize(
    "named",
    sorted(
        {
            name
            for page in PAGES
            for name in re.findall(r"`((?:tests|contracts)/[\w/.-]+)`", (ROOT / page).read_text())
        }
    ),
)
def test_what_a_page_names_is_there(named: str) -> None:
    assert (ROOT / named).exists()
