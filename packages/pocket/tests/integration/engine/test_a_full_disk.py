"""A disk that takes no more: a sentence, the old state whole, and a run after it that goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pocket.engine import Workspace, resources, up
from pocket.errors import DeploymentError
from pocket_testing.stacks import Stack

PROGRAM = """
    for number in range(COUNT):
        Thing(f"thing{number}", size=number, tags={"text": "x" * 200})
"""
LIMITED = """
import resource, sys
from pathlib import Path
from pocket.engine import up
from pocket.errors import DeploymentError
from pocket_testing.stacks import Stack
workspace = Stack(Path(sys.argv[1])).workspace
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    up(workspace)
except DeploymentError as error:
    print(error.what, "|", error.where, "|", error.fix)
"""


def limited(workspace: Workspace, size: int) -> str:
    """What `up` says in a process of its own, in which no file may become larger."""
    tests = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(workspace.root), str(size)],
        env={**os.environ, "PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("size", [pytest.param(600, marks=pytest.mark.long), 3_000, 9_000])
def test_a_write_that_fails_leaves_the_old_state_whole(tmp_path: Path, size: int) -> None:
    stack = Stack(tmp_path)
    up(stack.write(PROGRAM.replace("COUNT", "1")))
    before = (tmp_path / ".pocket/dev/state.json").read_text()
    workspace = stack.write(PROGRAM.replace("COUNT", "8"))
    said = limited(workspace, size)
    assert "this cannot be written: File too large |" in said
    assert str(tmp_path / ".pocket/dev") in said
    assert "run the same command again" in said
    assert (tmp_path / ".pocket/dev/state.json").read_text() == before
    assert not list((tmp_path / ".pocket/dev").glob(".*.tmp"))
    up(workspace)
    things = {one.id for one in resources(workspace) if one.type == "shelf:index:Thing"}
    assert things == set(stack.shelf.things())
    assert len(things) == 8
    assert not up(workspace).changed


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    workspace = stack.write('Thing("a")')
    (tmp_path / ".pocket").write_text("a file, where the folder would be")
    with pytest.raises(DeploymentError, match="cannot be written") as caught:
        up(workspace)
    assert ".pocket/dev" in caught.value.where
