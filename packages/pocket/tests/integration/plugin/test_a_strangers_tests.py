"""The example, and tests side by side, as somebody runs them who only installed the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "example"


def run(folder: Path, *options: str) -> str:
    """Run pytest in a folder as from a prompt there; what it printed."""
    foreign = ("PYTEST", "PYTHONPATH", "AWS_", "POCKET_", "PULUMI")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**environment, "AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_the_example_passes_and_leaves_its_folder_as_it_was(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "orders", ignore=shutil.ignore_patterns("__pycache__"))
    before = {path.name for path in (tmp_path / "orders").iterdir()}
    assert "4 passed" in run(tmp_path / "orders")
    after = {path.name for path in (tmp_path / "orders").iterdir()}
    assert after - before <= {"__pycache__"}


SIDE_BY_SIDE = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_alone(pocket, number, worker_id, record):
    assert pocket.client("s3").list_buckets()["Buckets"] == []
    pocket.client("s3").create_bucket(Bucket="mine")
    record(f"{worker_id} {pocket.url}")

@pytest.fixture()
def record():
    def write(line):
        with open("urls.txt", "a") as file:
            file.write(line + "\\n")
    return write
"""


@pytest.mark.long
def test_workers_have_an_emulator_each(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_side_by_side.py").write_text(SIDE_BY_SIDE)
    assert "4 passed" in run(tmp_path, "-n", "2")
    lines = (tmp_path / "urls.txt").read_text().split("\n")[:-1]
    by_worker: dict[str, set[str]] = {}
    for line in lines:
        worker, url = line.split()
        by_worker.setdefault(worker, set()).add(url)
    assert all(len(urls) == 1 for urls in by_worker.values())
    assert len({url for urls in by_worker.values() for url in urls}) == len(by_worker) == 2
