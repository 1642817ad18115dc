"""Options of a command that are given before it: where they go.

Most tools take them anywhere; the parser here takes before a command only what every command has.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts.errors import UsageError


def refusal(root: Any, words: Sequence[str]) -> UsageError | None:
    """What to say to a command line with options of its command before it; None to any other.

    Args:
        root: the command line's command; its groups have `commands`.
        words: what was given after the program's name.
    """
    for path, early, late in _readings(root, words):
        shared, own = early
        if not own:
            return None
        right = ["millwright", *shared, *path, *own, *late]
        command = " ".join(["millwright", *path])
        return UsageError(
            f"it is an option of `{command}`, and stands after that",
            where=_spelling(own[0]),
            fix=f"Write `{shlex.join(right)}`.",
        )
    return None


Early = tuple[list[str], list[str]]
"""The options before a command's last word: those of the root, and its own."""


def _readings(root: Any, words: Sequence[str]) -> Iterator[tuple[list[str], Early, list[str]]]:
    """Each way to read the words as a command with nothing but options before its last word."""
    for path, between, late, leaf in _commands(root, words):
        early = _as_options(between, _options(root), _options(leaf))
        if early:
            yield path, early, late


def _commands(
    group: Any, words: Sequence[str]
) -> Iterator[tuple[list[str], list[str], list[str], Any]]:
    """The words of a command, what stands between them, what follows them, and the command."""
    for at, word in enumerate(words):
        command = group.commands.get(word)
        before, after = list(words[:at]), list(words[at + 1 :])
        if command is not None and hasattr(command, "commands"):
            for path, between, late, leaf in _commands(command, after):
                yield [word, *path], [*before, *between], late, leaf
        elif command is not None:
            yield [word], before, after, command


def _options(command: Any) -> dict[str, bool]:
    """Its options' spellings, and whether each takes a value."""
    return {
        spelling: not (parameter.is_flag or parameter.count)
        for parameter in command.params
        if parameter.param_type_name == "option"
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }


def _spelling(word: str) -> str:
    """The option's own part of a word, which may hold its value as well."""
    return word.split("=")[0] if word.startswith("--") else word[:2]


def _as_options(
    words: Sequence[str], shared: Mapping[str, bool], own: Mapping[str, bool]
) -> Early | None:
    """The words as options of either kind; None where one is neither an option nor its value."""
    early: Early = ([], [])
    left = iter(words)
    for word in left:
        name = _spelling(word)
        if name not in shared and name not in own:
            return None
        place = early[0] if name in shared else early[1]
        place.append(word)
        if word == name and (shared.get(name) or own.get(name)):
            value = next(left, None)
            if value is None:
                return None
            place.append(value)
    return early
