"""Environments for the folder's tests, each in a project and a cloud of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.infra.standing import PROJECT, Standing

KILLS = 10
SPREAD = 20
"""Calls that may change something between two kills; an `up` of everything makes about 250."""


@contextmanager
def connected(standing: Standing) -> Iterator[Standing]:
    """As `Standing.connected`; the cloud is stopped afterwards."""
    try:
        with standing.connected():
            yield standing
    finally:
        standing.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The program of `infra/`; its cloud runs, and nothing is in it yet."""
    with connected(Standing(tmp_path_factory.mktemp("environment"))) as made:
        yield made


@pytest.fixture(scope="module")
def killed(standing: Standing) -> list[int]:
    """The exit statuses of the runs that brought it up: killed ten times, then left alone."""
    command = [sys.executable, "-m", "tests.integration.infra.kills"]
    done = subprocess.run(
        [*command, str(standing.project), f"--times={KILLS}", f"--every={SPREAD}"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    statuses: list[int] = json.loads(done.stdout.splitlines()[-1])
    return statuses


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A small program with one of each way in which the provider creates."""
    program = Path(__file__).parent / "reduced"
    with connected(Standing(tmp_path_factory.mktemp("reduced"), program=program)) as made:
        yield made
