"""A loop may be killed between saving a decision and telling it, and in the middle of a line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from contracts.errors import RolloutError
from contracts.rollout import Decision, Phase, RolloutStatus
from laptop.rollout import _Files, names


def decision(look: int) -> Decision:
    return Decision(at=100.0 + look, look=look, phase=Phase.RAMPING, weight=500, reason="r")


@pytest.fixture
def files(tmp_path):
    return _Files(tmp_path, "flight-delay")


def test_what_was_decided_and_not_told_is_told_once(files):
    decided = tuple(decision(look) for look in range(4))
    for one in decided[:2]:
        files.add(one)
    files.complete_history(decided)
    files.complete_history(decided)
    assert files.history() == list(decided)


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_half_a_line_is_written_anew(files, tmp_path, cut):
    decided = tuple(decision(look) for look in range(3))
    for one in decided:
        files.add(one)
    path = tmp_path / "rollouts" / "flight-delay.history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]) + lines[2][:cut])
    assert files.history() == list(decided[:2])
    files.complete_history(decided)
    assert files.history() == list(decided)


def test_the_models_of_which_a_version_was_asked_for(files, tmp_path):
    (tmp_path / "rollouts" / "flight-delay.wish.json").write_text("{}")
    files.put_status(RolloutStatus(model="flight-delay"))
    assert names(tmp_path) == ["flight-delay"]
    assert names(tmp_path / "nowhere") == []


HOLDER = """
import sys, time
from pathlib import Path
from laptop.rollout import _Files
with _Files(Path(sys.argv[1]), "flight-delay").looping():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_loop_leaves_no_lock(files, tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RolloutError, match="is being run already"), files.looping():
        pass
    holder.kill()
    holder.wait()
    with files.looping():
        pass
