"""Steps as forks of a process with everything imported: what they say, and how they end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipelines import runs
from pipelines.warm import EXECUTOR, apart, is_executor

SCRIPT = f'python3 {EXECUTOR} --component_module_path "$program_path/x.py" "$@"'
WAYS = ("return", "exit", "raise", "kill", "return")
ENDS = ["ended: return", "failed: exit", "failed: raise", "failed: kill", "ended: return"]
PROGRAM = [sys.executable, "-m", "tests.unit.pipelines.warm_program"]


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_steps_are_forks_that_end_as_they_like_and_leave_nothing(tmp_path: Path) -> None:
    words = [*PROGRAM, str(tmp_path), *WAYS]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout
    said = re.findall(r"step: (True|False) (\w+) (\d+)", text)
    assert [(imported, left) for imported, left, _ in said] == [("True", "None")] * 5
    assert {parent for _, _, parent in said} == {re.findall(r"program: (\d+)", text)[0]}
    assert text.count("step: naïve") == 5
    assert "ValueError: the moon is full" in text
    assert re.findall(r"(?:ended|failed): \w+", text) == ENDS


def test_a_step_that_outlives_its_run_does_not_hold_the_runs_lock(tmp_path: Path) -> None:
    """So that asking again goes on at once with a run whose process was killed."""
    program = subprocess.Popen([*PROGRAM, str(tmp_path), f"wait {tmp_path}"])
    try:
        until((tmp_path / "step").is_file)
        assert runs.busy(tmp_path)
    finally:
        program.kill()
        program.wait()
    step = int((tmp_path / "step").read_text() or 0)
    os.kill(step, 0)
    assert not runs.busy(tmp_path)
    os.kill(step, signal.SIGKILL)


def test_what_a_run_has_open_and_unwritten_stays_out_of_what_its_forks_open(tmp_path: Path) -> None:
    """A line of the run's log once went into the model registry's database."""
    logs = [(tmp_path / f"{number}.log").open("w", encoding="utf-8") for number in range(40)]
    for log in logs:
        log.write("half a line")

    def work() -> bytes:
        files = [(tmp_path / f"{number}.db").open("w+b", buffering=0) for number in range(80)]
        for file in files:
            file.write(b"rows")
        for log in logs:
            log.close()
        for file in files:
            file.seek(0)
        return b"".join(file.read() for file in files)

    assert apart(work) == b"rows" * 80
    for log in logs:
        log.close()
    assert {(tmp_path / f"{number}.log").read_text() for number in range(40)} == {"half a line"}


def test_a_command_of_another_form_is_left_alone() -> None:
    assert is_executor(["sh", "-ec", SCRIPT, "source", "--executor_input", "{}"])
    assert not is_executor(["sh", "-ec", f"pip install x; {SCRIPT}", "source", "--executor_input"])
    assert not is_executor(["sh", "-ec", "python3 -m something.else", "source", "word"])
    assert not is_executor(["python3", "-c", SCRIPT, "source", "word"])
