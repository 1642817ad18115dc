"""The command ``millwright``: its words, and how it ends.

Commands import what they need when they are called, so that ``--help`` answers at once. Exit
codes: 0 done, 1 failed, 2 wrong usage, 3 done but the model or the rollout was rejected.
"""

from __future__ import annotations

import sys

import typer

from cli.output import Output
from contracts.errors import MillwrightError, UsageError

INTERRUPTED = 130
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


def main() -> None:
    """Run the command line and exit with its code."""
    import cli.commands  # noqa: F401 (registers the commands)

    try:
        code = app(standalone_mode=False)
    except typer.Exit as ended:
        code = ended.exit_code
    except MillwrightError as error:
        output.failure(error)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        output.say("\ninterrupted; what was done is kept, and the same command goes on from there")
        code = INTERRUPTED
    except typer.TyperException as error:
        wrong = UsageError(error.format_message(), fix="`millwright --help` lists the commands")
        output.failure(wrong)
        code = wrong.exit_code
    sys.exit(code if isinstance(code, int) else 0)
