"""`serve tune` with real servers and its own loader."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from contracts.errors import ServingError
from contracts.model import Batch
from serving.runtime.store import fetch
from serving.tuning.measuring import CONNECTIONS, ROWS, measure
from serving.tuning.proposing import PLAIN, Setting, propose
from tests.serving_model import make_artifact

SETTINGS = (PLAIN, Setting(batch=Batch(wait=0.002)))


def test_each_setting_is_measured_in_time_and_nothing_stays(artifacts: dict[str, Path]) -> None:
    began = time.monotonic()
    cells = measure(*fetch(str(artifacts["v1"])), SETTINGS, seconds=20)
    assert time.monotonic() - began < 25
    loads = {(rows, connections) for rows in ROWS for connections in CONNECTIONS}
    assert {(cell.setting, cell.load) for cell in cells} == {
        (setting, load) for setting in SETTINGS for load in loads
    }
    assert all(cell.per_second > 10 and cell.cpu > 0 and cell.p99 >= cell.p50 for cell in cells)
    assert len(propose(cells, budget=0.05).reasons) == 1
    assert not [each for each in psutil.Process().children() if "serving" in str(each.cmdline())]


def test_a_model_that_fails_is_said_to(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "fails", fails=True)
    with pytest.raises(ServingError, match="requests failed"):
        measure(*fetch(str(artifact)), SETTINGS[:1], seconds=12)
