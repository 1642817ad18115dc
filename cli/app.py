"""The command line's root: its options, and the output that every command shares."""

from __future__ import annotations

import typer

from cli.output import Output

app = typer.Typer(
    name="millwright",
    help="Machine-learning infrastructure as code: environments, pipelines, judged rollouts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
output = Output()
"""This process's output; the options below settle how it speaks."""


@app.callback()
def options(
    as_json: bool = typer.Option(False, "--json", help="Print results as JSON, for machines."),
    debug: bool = typer.Option(False, "--debug", help="Show the stack trace of an error."),
) -> None:
    """Machine-learning infrastructure as code: environments, pipelines, judged rollouts."""
    output.as_json = as_json
    output.debug = debug
