"""The whole local environment, killed on its way up, then changed and removed as any other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from pocket.engine import Op, destroy, up
from tests.integration.infra.standing import PROJECT, Standing

pytestmark = pytest.mark.long
KILLS = 10
SPREAD = 20
"""Calls that may change something between two kills; an `up` of everything makes about 250."""


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


def test_killed_ten_times_it_comes_up_without_a_duplicate_or_an_orphan(
    standing: Standing, killed: list[int]
) -> None:
    assert killed == [-signal.SIGKILL] * KILLS + [0]
    assert standing.wrong() == []


def test_it_is_changed_and_removed_as_if_nobody_had_killed_it(
    standing: Standing, killed: list[int]
) -> None:
    with standing.changed(lake={"lifecycle": {"versions": "11d"}}):
        assert {step.op for step in up(standing.workspace).changes} == {Op.UPDATE}
        assert up(standing.workspace).changes == ()
    up(standing.workspace)
    destroy(standing.workspace)
    assert standing.there() == []
    assert standing.managed() == []
