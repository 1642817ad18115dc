"""Files are whole or as they were, and a lock says who holds it and dies with its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pocket.files import HeldError, locked, write_whole


def test_a_file_is_replaced_as_a_whole_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for content in ("one", b"\x00two"):
        write_whole(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_a_failure_leaves_the_former_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    write_whole(path, "former")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "former"
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_who_holds_a_lock_is_said_and_what_died_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, time; from pathlib import Path; from pocket.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HeldError) as refused, locked(path, wait=False):
            pass
        assert refused.value.holder == str(holder.pid)
    finally:
        holder.kill()
        holder.wait()
    with locked(path) as died:
        assert died == str(holder.pid)
        assert path.read_text() == str(os.getpid())
    with locked(path) as died:
        assert died == ""
