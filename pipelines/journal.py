"""What a run on this machine says, as files: a log for each step, and one line for each event.

The run's process writes them, so that they are there whoever follows, or when nobody does.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from components import entry
from contracts.errors import MillwrightError
from pipelines import runs
from pipelines.following import REUSED, StepStatus
from pipelines.results import WARNERS, warned
from pipelines.wiring import STEPS

EVENTS = "events"
RAISED = re.compile(r"^\s*[\w.]+(Error|Exception|Interrupt|Exit|Warning)\b.*")
NOISE = re.compile(r"^\s*$|KFP Executor|^\d\d:\d\d:\d\d\.\d+ - |^-+$")

Listener = Callable[[Mapping[str, object]], None]
"""Hears each event: ``step``, ``event`` and what belongs to it."""


@dataclass
class Log(io.TextIOBase):
    """Divides the run's output into the steps' logs, and hears what the steps say.

    It stands in for a process's standard output.
    """

    folder: Path
    listener: Listener
    current: str = "pipeline"
    error: MillwrightError | None = None
    files: dict[str, IO[str]] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)
    """What the reused steps warned of."""
    _line: str = ""

    def write(self, text: str) -> int:
        """Output, in pieces of any size."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self.add(f"{line}\n")
        return len(text)

    def add(self, line: str) -> None:
        """One line of output."""
        said = entry.heard(line)
        if said is None:
            self._keep(line)
            return
        step, event = str(said["step"]), str(said["event"])
        if event == "started":
            self.current = step
        elif event == "finished":
            self.current = "pipeline"
        elif event == "warning":
            self._keep(f"warning: {said.get('text')}\n")
        else:
            self.error = entry.restore(said)
            self._keep(f"{self.error}\n")
        self.listener(said)

    def _keep(self, line: str) -> None:
        """Into the current step's log."""
        if self.current not in self.files:
            path = runs.log_path(self.folder, self.current)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files[self.current] = path.open("a", encoding="utf-8")
        self.files[self.current].write(line)
        self.files[self.current].flush()

    def reused(self, step: str, how: str, origin: str = "") -> None:
        """A step that is not run: its outputs are there from before, and so is what it warned of.

        Args:
            step: the step.
            how: ``kept`` or ``cached``.
            origin: the other run whose step it was; empty where it was this one's.
        """
        of = {"of": origin} if origin else {}
        self.listener({"step": step, "event": how, **of})
        before, self.current = self.current, step
        paths = (runs.output(self.folder, step, name) for own, name in WARNERS if own == step)
        for text in (line for path in paths if path for line in warned(path.read_bytes())):
            if text not in self.warned:  # a step's document has what those before it found as well
                self.warned.add(text)
                self._keep(f"warning{f' of the run {origin}' if origin else ''}: {text}\n")
                self.listener({"step": step, "event": "warning", "text": text, **of})
        self.current = before

    def close(self) -> None:
        """Close the files."""
        for file in self.files.values():
            file.close()


def writer(folder: Path) -> Listener:
    """Keeps events in the run's folder; those of an earlier try go."""
    path = folder / EVENTS
    path.write_text("", encoding="utf-8")

    def keep(event: Mapping[str, object]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.time(), **event}) + "\n")

    return keep


def events(folder: Path) -> list[dict[str, object]]:
    """The events of the run's latest try, oldest first; a line that is being written, or that a
    full disk has cut off, is left."""
    path = folder / EVENTS
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    read = []
    for line in text.split("\n")[:-1]:
        with suppress(json.JSONDecodeError):
            read.append(json.loads(line))
    return read


def steps(events: list[dict[str, object]]) -> tuple[StepStatus, ...]:
    """How each step stands after these events."""
    stands = {step: StepStatus(step=step) for step in STEPS}
    for event in events:
        step, what = str(event["step"]), str(event["event"])
        seconds = float(str(event.get("seconds", 0.0)))
        if what == "started":
            stands[step] = StepStatus(step=step, state="running")
        elif what in ("finished", "failed", *REUSED):
            stands[step] = StepStatus(step=step, state=what, seconds=seconds)
    return tuple(stands.values())


def origin(events: list[dict[str, object]], step: str) -> str:
    """The other run that made what this run has of a step; empty where this one did."""
    taken = (event for event in reversed(events) if event["step"] == step and "of" in event)
    return str(next(taken, {}).get("of", ""))


def last_words(text: str) -> str:
    """The line of a log that most likely says what went wrong."""
    useful = [line.strip() for line in text.splitlines() if not NOISE.search(line)]
    raised = [line for line in useful if RAISED.match(line)]
    return (raised or useful or ["it ended without a word"])[-1]
