"""The command line's own words: shared options, the order of its commands, completion, tables."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli import completing
from cli.app import PANELS, app, shared_first
from cli.main import main
from cli.rollout_tables import LEGEND, decision_table, phase_of, status_table
from contracts.rollout import Phase, RolloutSpec, RolloutStatus, Target
from contracts.version import VERSION

ROOT = Path(__file__).parents[3]
WORD = st.sampled_from(["train", "x", "--json", "--debug", "-e", "--", "--project=a", "-"])


@given(st.lists(WORD))
def test_shared_options_move_and_nothing_else_does(words: list[str]) -> None:
    moved = shared_first(words)
    assert sorted(moved) == sorted(words)
    end = words.index("--") if "--" in words else len(words)
    shared = ("--json", "--debug", "--project=a")
    assert moved == [
        *(word for word in words[:end] if word in shared),
        *(word for word in words[:end] if word not in shared),
        *words[end:],
    ]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["millwright", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "--project", "{}", "data", "list"),
        ("data", "list", "--json", "--project", "{}"),
        ("data", "--project={}", "list", "--json"),
    ],
)
def test_shared_options_stand_anywhere(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLWRIGHT_PROJECT", raising=False)
    assert run(monkeypatch, *(word.format(ROOT) for word in words)) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["flights"]
    assert run(monkeypatch, "data", "list") == 2
    assert "millwright --project DIR" in capsys.readouterr().err


def test_help_has_the_order_of_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = typer.main.get_command(app)
    shown = [name for names in PANELS.values() for name in names]
    assert sorted(command.commands) == sorted(shown), "each command is in one panel"  # type: ignore[attr-defined]
    assert run(monkeypatch) == 0
    said = capsys.readouterr()
    assert said.err == ""
    places = [said.out.index(panel) for panel in PANELS]
    assert places == sorted(places)
    assert run(monkeypatch, "rollout") == 0
    assert capsys.readouterr().err == ""
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"millwright {VERSION}\n"


def test_names_are_completed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(ROOT))
    assert completing.environments("p") == ["prod"]
    assert completing.models("fl") == ["flight-delay"]
    assert completing.datasets("") == ["flights"]
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(tmp_path / "none"))
    assert completing.models("") == completing.environments("") == []


def text(table: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_model_that_was_never_rolled_out_is_not_promoted() -> None:
    blank = RolloutStatus(model="m")
    assert phase_of(blank) == ""
    assert "no version was rolled out yet" in text(status_table([blank]))
    assert "Promoted" not in text(status_table([blank]))
    served = blank.model_copy(update={"stable": Target(version="1", uri="s3://m/1")})
    assert phase_of(served) is Phase.PROMOTED


def test_every_column_of_a_rollout_says_what_it_is() -> None:
    made = decision_table([], RolloutSpec())
    assert all(column.header for column in made.columns)
    assert sum("new | old" in str(column.header) for column in made.columns) == 2
    assert str(made.caption) == LEGEND
    assert "100 %" in LEGEND
