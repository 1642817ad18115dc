"""A file is there whole or not at all, whatever stops its writer, and a person is told why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import entry
from data.files import whole, write_parquet, write_whole

PROGRAM = """
import resource, sys
from pathlib import Path
from components.entry import step
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with step("train"):
    {write}
"""
"""A step on a disk that holds no more than four kilobytes of a file."""
WRITES = {
    "text": "from data.files import write_whole; write_whole(Path(sys.argv[1]), 'x' * 9999)",
    "parquet": (
        "import numpy, pyarrow; from data.files import write_parquet; "
        "rows = pyarrow.table({'x': numpy.random.default_rng(0).normal(size=9999)}); "
        "write_parquet(rows, Path(sys.argv[1]))"
    ),
    "joblib": (
        "import joblib, numpy; from data.files import whole\n"
        "    with whole(Path(sys.argv[1])) as temporary:\n"
        "        joblib.dump(numpy.zeros(9999), temporary)"
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_disk_without_room_leaves_nothing_half_written(
    tmp_path: Path, write: str, before: bytes | None
) -> None:
    file = tmp_path / "out" / "file"
    if before is not None:
        write_whole(file, before)
    words = [sys.executable, "-c", PROGRAM.format(write=write), str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    said = [event for line in done.stdout.splitlines() if (event := entry.heard(line))]
    error = entry.restore(said[-1])
    assert "file too large" in error.what.lower()
    assert error.where == str(file)
    assert [path.name for path in file.parent.iterdir()] == (["file"] if before else [])
    assert before is None or file.read_bytes() == before
    assert "Traceback" in done.stderr, "whoever looks into the log finds where"


def test_a_full_disk_is_called_one() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        Path("/dev/full").write_bytes(b"x")
    error = entry.sentence(caught.value)
    assert error.what == "the disk is full"
    assert error.fix == "make room and train again: finished steps are kept"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied", "/x"), "/x: permission denied"),
        (OSError(30, "Read-only file system", "/x"), "/x: read-only file system"),
        (MemoryError(), "there is not enough memory"),
        (pa.ArrowInvalid("bad\nmore"), "ArrowInvalid: bad"),
        (KeyError(), "KeyError: without a word"),
    ],
)
def test_whatever_a_step_meets_is_a_sentence(error: Exception, sentence: str) -> None:
    assert str(entry.sentence(error)).startswith(sentence)


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError) as caught:
        write_whole(tmp_path / "file" / "inner", "text")
    assert str(tmp_path) in str(entry.sentence(caught.value))


def test_an_interrupted_writer_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def interrupted() -> None:
        with whole(path) as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nanoseconds_are_cut_off_and_not_an_error(tmp_path: Path) -> None:
    write_parquet(pa.table({"at": pa.array([1_001], pa.timestamp("ns"))}), tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet")["at"].cast(pa.int64()).to_pylist() == [1]


def test_a_journal_that_was_cut_off_is_still_read(tmp_path: Path) -> None:
    from pipelines import journal

    lines = [json.dumps({"step": "ingest", "event": "started"}), '{"step": "ing', "", "{}"]
    (tmp_path / journal.EVENTS).write_text("\n".join(lines[:3]) + '\n{"at"')
    assert journal.events(tmp_path) == [{"step": "ingest", "event": "started"}]
