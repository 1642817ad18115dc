"""An option of a command that is given before it: the sentence says where it goes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

import cli.commands  # noqa: F401 (registers the commands)
from cli.app import app
from cli.misplaced import refusal

ROOT = typer.main.get_command(app)


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from leaves(inner, (*words, name))
        else:
            yield (*words, name), inner


CASES = [
    pytest.param(words, option, id=" ".join((*words, option.opts[0])))
    for words, command in leaves(ROOT)
    for option in command.params
    if option.param_type_name == "option"
    and not {"--help", "--version"} & set(option.opts)  # which say it, wherever they stand
]


@pytest.mark.parametrize(("words", "option"), CASES)
def test_every_option_of_every_command(words: tuple[str, ...], option: Any) -> None:
    for spelling in (*option.opts, *option.secondary_opts):
        given = [spelling] if option.is_flag else [spelling, "a value"]
        for at in range(len(words)):
            before = [*words[:at], *given, *words[at:], "x", "--json"]
            said = refusal(ROOT, before)
            assert said is not None, before
            assert said.where == spelling
            assert f"`millwright {' '.join(words)}`" in said.what
            right = ["millwright", *words, *given, "x", "--json"]
            assert said.fix == f"Write `{shlex.join(right)}`."


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("-e dev train m --no-wait", "train -e dev m --no-wait"),
        ("-edev train m", "train -edev m"),
        ("--environment=dev runs list", "runs list --environment=dev"),
        ("--debug -e dev --project=a train m", "--debug --project=a train -e dev m"),
        ("rollout -e dev start m --version 3", "rollout start -e dev m --version 3"),
        ("-e train train m", "train -e train m"),
        ("-e dev rollout -n a start m", "rollout start -e dev -n a m"),
    ],
)
def test_what_is_written_instead(given: str, right: str) -> None:
    said = refusal(ROOT, given.split())
    assert said is not None
    assert said.fix == f"Write `millwright {right}`."


@pytest.mark.parametrize(
    "given",
    ["", "-e", "-e dev", "-e train", "-z train", "--json train m", "x -e dev train", "train"],
)
def test_other_words_are_not_reordered(given: str) -> None:
    assert refusal(ROOT, given.split()) is None
