"""The command line's root: its options, the order of its commands, and the output of them all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup

from cli.output import Output
from contracts.version import VERSION
from project.folder import PROJECT_VARIABLE

PANELS: Final[dict[str, tuple[str, ...]]] = {
    "To begin": ("demo", "doctor"),
    "1. An environment": ("preview", "up", "status", "outputs", "kubeconfig", "ui"),
    "2. From data to a model": ("data", "train", "register", "runs", "versions"),
    "3. From a model to its users": ("rollout", "predict", "serve"),
    "Upkeep": ("images", "refresh", "state", "destroy", "sweep"),
}
"""The commands in the order of the work."""


class Commands(TyperGroup):
    """The root's commands, as `PANELS` has them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the work; one that is in no panel comes last."""
        ordered = [name for names in PANELS.values() for name in names]
        return sorted(self.commands, key=[*ordered, *self.commands].index)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """With the panel that it is shown in."""
        command = super().get_command(ctx, cmd_name)
        for panel, names in PANELS.items():
            if command is not None and cmd_name in names:
                command.rich_help_panel = panel  # type: ignore[attr-defined]
        return command


app = typer.Typer(
    name="millwright",
    cls=Commands,
    help="Machine-learning infrastructure as code: environments, pipelines, judged rollouts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
output = Output()
"""This process's output; the options below settle how it speaks."""


def show_version(wanted: bool) -> None:
    """Say which release this is, and end."""
    if wanted:
        typer.echo(f"millwright {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    as_json: bool = typer.Option(
        False, "--json", help="Print results as JSON, for machines; also after the command."
    ),
    debug: bool = typer.Option(
        False, "--debug", help="Show the stack trace of an error; also after the command."
    ),
    project: str = typer.Option(
        "",
        "--project",
        metavar="DIR",
        help=f"The project's folder, instead of the one around here; or {PROJECT_VARIABLE}.",
    ),
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Show the version, and exit."
    ),
) -> None:
    """Machine-learning infrastructure as code: environments, pipelines, judged rollouts."""
    output.as_json = as_json
    output.debug = debug
    output.project = Path(project or os.environ.get(PROJECT_VARIABLE) or Path.cwd()).resolve()


def shared_first(words: list[str]) -> list[str]:
    """A command line with the options that every command shares before the command, where the
    parser takes them; whoever writes them puts them after it as well.
    """
    first: list[str] = []
    others: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            others += [word, *left]
        elif word in ("--json", "--debug") or word.startswith("--project="):
            first.append(word)
        elif word == "--project":
            first += [word, *([value] if (value := next(left, None)) is not None else [])]
        else:
            others.append(word)
    return first + others
