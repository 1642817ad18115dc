"""The package stands by itself: it names no program that uses it."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
USERS = ("mill" + "wright",)
"""Written so that this file may be looked through too."""


def test_no_file_names_a_program_that_uses_the_package() -> None:
    files = [
        path
        for path in PACKAGE.rglob("*")
        if path.is_file()
        and path.suffix in {".py", ".toml", ".md", ".yaml", ".json", ".typed"}
        and not any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    ]
    assert len(files) > 50
    naming = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").lower().splitlines(), 1)
        if any(user in line for user in USERS)
    ]
    assert naming == []
