"""How results and errors reach a person or a machine.

Tables and progress for people, one JSON document for machines (``--json``), and errors as
sentences. Kept in one place so that every command answers alike.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contracts.errors import MillwrightError

LOG_WIDTH = 160
"""Columns where nobody watches: a log file has no edge to break a table at."""


def console(*, stderr: bool = False) -> Console:
    """Writes to a terminal as wide as it is, or to a file."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=LOG_WIDTH)


@dataclass
class Output:
    """Where a command writes, and how. One a process, settled by the command line's options."""

    as_json: bool = False
    debug: bool = False
    project: Path = field(default_factory=Path.cwd)
    """The folder from which the project's is looked for."""
    console: Console = field(default_factory=lambda: console())
    errors: Console = field(default_factory=lambda: console(stderr=True))

    def say(self, text: str) -> None:
        """A line for a person; machines get only the result."""
        if not self.as_json:
            self.console.print(text, soft_wrap=True)

    def result(self, value: object, show: Callable[[Console], None] | None = None) -> None:
        """The command's result: JSON for machines, ``show`` (or a table) for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, default=str, indent=2) + "\n")
        elif show is not None:
            show(self.console)

    def warn(self, text: str, word: str = "warning") -> None:
        """What a person should know, beside the result."""
        self.errors.print(f"[yellow]{word}[/] ", end="")
        self.errors.print(text, markup=False, soft_wrap=True)

    def failure(self, error: MillwrightError, cause: Exception | None = None) -> None:
        """An error as a sentence; the trace of what it comes from only when asked for."""
        if self.debug:
            traceback.print_exception(cause or error, file=sys.stderr)
        if self.as_json:
            answer = {"error": error.what, "where": error.where, "fix": error.fix}
            answer["problems"] = list(getattr(error, "problems", ()))  # type: ignore[assignment]
            sys.stderr.write(json.dumps(answer) + "\n")
            return
        self.errors.print("[bold red]error[/] ", end="")
        self.errors.print(str(error), markup=False, soft_wrap=True)

    @contextmanager
    def step(self, number: int, of: int, title: str) -> Iterator[None]:
        """A numbered step of long work, with its time."""
        began = time.monotonic()
        self.say(f"\n[bold cyan]{number}/{of}[/] [bold]{title}[/]")
        yield
        self.say(f"    [dim]{time.monotonic() - began:.1f} s[/]")


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
) -> Table:
    """A table for people; the columns named in ``right`` hold numbers."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def pairs(values: Mapping[str, object]) -> Table:
    """Names and values, one a line."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="dim")
    made.add_column()
    for name, value in values.items():
        made.add_row(name, str(value))
    return made


def is_terminal() -> bool:
    """Whether a person watches (and not a log file)."""
    return sys.stdout.isatty() and "CI" not in os.environ
