"""A run killed anywhere, then run again, leaves exactly what an undisturbed one would: the real
SIGKILL."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("stage", "least", "names"),
    [
        pytest.param("create", 15, ["a", "b", "c", "d", "e"], marks=pytest.mark.long),
        pytest.param("change", 25, ["a", "b", "c", "d", "f"], marks=pytest.mark.long),
        ("destroy", 15, []),
    ],
)
def test_killed_anywhere_and_resumed(
    tmp_path: Path, stage: str, least: int, names: list[str]
) -> None:
    command = [sys.executable, "-m", "pocket_testing.crash_driver"]
    done = subprocess.run(
        [*command, str(tmp_path), stage, "after", "effect"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(one["killed"] for one in reports) >= least
    for one in reports:
        assert one["resumed"] == 0, (one, done.stderr)
        assert one["state"] == one["cloud"], f"an orphan or a loss: {one}"
        assert not one["twice"], one
        assert one["names"] == names, one
