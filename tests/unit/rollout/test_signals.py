"""The table of guards: its rows are right, and a new one reaches everything that is made of it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from contracts import signals
from contracts.rollout import Counters
from contracts.signals import SIGNALS, TALLIES, Guard, Signal, Tally, problems
from serving.metrics import READINGS
from serving.rollout.core.signals import families, outcomes

ROOT = Path(__file__).parents[3]
CORE = ROOT / "serving" / "rollout" / "core"
ALLOWED = {"contracts", "numpy", "scipy"}
ALLOWED |= {"__future__", "collections", "dataclasses", "functools", "math", "typing"}


def test_the_rows_are_right() -> None:
    assert problems(SIGNALS, TALLIES) == []
    assert READINGS.keys() == {tally.name for tally in TALLIES}, "each has its reading"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bad": "nothing"}, "errors: nobody counts 'nothing'"),
        ({"bad": "slow"}, "errors: requests and slow are counted by two"),
        ({"minimum": "min_feedback"}, "errors: 'min_feedback' is no setting of it"),
    ],
)
def test_a_row_that_is_not_right_is_told(change: dict[str, str], sentence: str) -> None:
    assert problems([replace(SIGNALS[0], **change)], TALLIES) == [sentence]


def test_a_row_has_its_minimum_from_its_settings() -> None:
    wrong = signals.signal("wrong")
    assert wrong.least(wrong.settings(min_feedback=7)) == 7  # type: ignore[call-arg]
    assert Signal(name="x", title="x", total="timed", bad="slow").least(Guard()) == 0


def test_who_counts_what_is_read_off_the_table() -> None:
    assert families() == {
        "epoch": ("requests", "errors"),
        "servers": ("timed", "slow", "feedback", "wrong", "received", "predictions"),
    }
    counted = Counters(timed=10, slow=3)
    assert outcomes(counted, "errors") is None
    assert outcomes(counted, "slow").bad == 3  # type: ignore[union-attr]


def test_a_new_guard_is_a_row() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.rollout.new_guard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    came = json.loads(done.stdout)
    assert came["plan"] == 2
    assert came["cluster"] == ["refusals"]
    assert "did you mean 'refusals'?" in came["misspelt"]
    assert came["worse"][0] == "RollingBack"
    assert came["worse"][1].startswith("refusals: ")
    assert came["alike"] == ["Promoting", "no worse than tolerated in every guard"]
    assert came["crd"] == "Refused requests."
    assert came["rule"].endswith("|| has(self.refusals)")
    assert came["counters"]
    assert "bad: refusals" in came["table"]
    assert "refusals" in came["report"]
    assert "refused requests" in came["report"]
    assert "against: refusals" in came["report"]
    assert came["laptop"] == 2
    assert came["prometheus"] == 7


def test_a_tally_without_a_reading_is_found() -> None:
    tally = Tally(name="new", source="servers", meaning="New.")
    assert READINGS.keys() != {known.name for known in [*TALLIES, tally]}


def test_the_core_imports_contracts_numpy_and_scipy_alone() -> None:
    for path in CORE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                known = name.partition(".")[0] in ALLOWED
                assert known or name.startswith("serving.rollout.core"), f"{path.name}: {name}"
