"""The command ``millwright``: its words, and how it ends.

Commands import what they need when they are called, so that ``--help`` answers at once. Exit codes:
0 done, 1 failed, 2 wrong usage, 3 done but the model or the rollout was rejected.
"""

from __future__ import annotations

import gc
import sys

import typer

import cli.commands  # noqa: F401 (registers the commands)
from cli.app import app, output
from contracts.errors import MillwrightError, UsageError

INTERRUPTED = 130
SELDOM = (50_000, 20, 20)
"""How seldom a command looks for garbage: what it imports are objects by the hundred thousand that
all stay, and looking through them again and again took a quarter of a short command."""
KEPT = "\ninterrupted; what was done is kept, and the same command goes on from there"

PULUMIS = {
    "--exclude": "exclude",
    "--policy-pack": "policy_pack",
    "--target": "target",
    "-t": "target",
}
"""Options that people know from the Pulumi CLI, and the engine's names of them."""


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(*SELDOM)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # which typer makes of ctrl-C
            output.say(KEPT)
    except typer.Exit as ended:
        code = ended.exit_code
    except MillwrightError as error:
        output.failure(error)
        code = error.exit_code
    except typer.Abort:
        output.say(KEPT)
        code = INTERRUPTED
    except typer.TyperException as error:
        wrong = misused(error)
        output.failure(wrong)
        code = wrong.exit_code
    # A process that ends looks through all it has for garbage: with the SDK and its million objects
    # that took a second, a third of a short command.
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


def misused(error: typer.TyperException) -> UsageError:
    """What is wrong with the command's words; an option of Pulumi's is refused by its name."""
    option = str(getattr(error, "option_name", ""))
    if option in PULUMIS:
        from pocket.engine import refuse
        from pocket.errors import PocketError

        try:
            refuse(**{PULUMIS[option]: option})
        except PocketError as refusal:
            return UsageError(refusal.what, where=option, fix=refusal.fix)
    return UsageError(error.format_message(), fix="`millwright --help` lists the commands")


if __name__ == "__main__":
    main()
