"""The platform knows no dataset: the demo's words stand only in content, docs and the demo."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS = re.compile(r"flight|weather|carrier|airport|airline|tailnum", re.IGNORECASE)
OTHER_MEANINGS = re.compile(r"in[-_ ]?flight|(associate)?_?carrier_?(gateway|ip)", re.IGNORECASE)
"""Requests in flight, and AWS's carrier gateways."""
CONTENT = ("datasets/", "models/", "docs/", "tests/", "benchmarks/", "packages/pocket/tests/")
DEMO = ("README.md", "cli/walkthrough.py")
DEPENDENCIES = ("pyproject.toml", "requirements.lock")
"""The demo's data is a package."""


def test_no_room_knows_the_demos_data() -> None:
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    files = [name for name in listed if not name.startswith(CONTENT)]
    known = []
    for name in sorted({*files} - {*DEMO, *DEPENDENCIES}):
        try:
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            continue
        known += [
            f"{name}:{number}: {line.strip()}"
            for number, line in enumerate(lines, 1)
            if WORDS.search(OTHER_MEANINGS.sub("", line))
        ]
    assert len(files) > 200
    assert known == []
