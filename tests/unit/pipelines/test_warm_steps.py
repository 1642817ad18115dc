"""Steps as forks of a process with everything imported: what they say, and how they end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pipelines.warm import EXECUTOR, is_executor

SCRIPT = f'python3 {EXECUTOR} --component_module_path "$program_path/x.py" "$@"'
ENDS = ["ended: return", "failed: exit", "failed: raise", "failed: kill", "ended: return"]


def output(folder: Path, cold: int) -> str:
    """What the program says whose first steps are cold."""
    program = [sys.executable, "-m", "tests.unit.pipelines.warm_program", str(folder), str(cold)]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout


def test_steps_are_forks_that_end_as_they_like_and_leave_nothing(tmp_path: Path) -> None:
    text = output(tmp_path, 0)
    said = re.findall(r"step: (True|False) (\w+) (\d+)", text)
    assert [(imported, left) for imported, left, _ in said] == [("True", "None")] * 5
    assert len({parent for _, _, parent in said}) == 1, "all are children of the warm process"
    assert text.count("step: naïve") == 5
    assert "ValueError: the moon is full" in text
    assert re.findall(r"(?:ended|failed): \w+", text) == ENDS


def test_the_first_steps_do_not_wait_for_the_imports(tmp_path: Path) -> None:
    text = output(tmp_path, 2)
    said = re.findall(r"step: (True|False)", text)
    assert said == ["False", "False", "True", "True", "True"]
    assert re.findall(r"(?:ended|failed): \w+", text) == ENDS


def test_a_command_of_another_form_is_left_alone() -> None:
    assert is_executor(["sh", "-ec", SCRIPT, "source", "--executor_input", "{}"])
    assert not is_executor(["sh", "-ec", f"pip install x; {SCRIPT}", "source", "--executor_input"])
    assert not is_executor(["sh", "-ec", "python3 -m something.else", "source", "word"])
    assert not is_executor(["python3", "-c", SCRIPT, "source", "word"])
