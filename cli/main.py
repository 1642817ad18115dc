"""The command ``millwright``: its words, and how it ends.

Commands import what they need when they are called, so that ``--help`` answers at once. Exit codes:
0 done, 1 failed, 2 wrong usage, 3 done but the model or the rollout was rejected.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys

import typer

import cli.commands  # noqa: F401 (registers the commands)
from cli.app import app, output, shared_first
from cli.entry import INTERRUPTED
from cli.misplaced import refusal
from contracts.errors import LocalError, MillwrightError, UsageError
from pocket.errors import PocketError
from project.pocket_errors import from_pocket

SELDOM = (50_000, 20, 20)
"""How seldom a command looks for garbage: what it imports are objects by the hundred thousand that
all stay, and looking through them again and again took a quarter of a short command."""
KEPT = "\ninterrupted; what was done is kept, and the same command goes on from there"
BAD_ENDPOINT = "Invalid endpoint: "
"""How botocore refuses an address; those in variables are refused before it reads them."""
HELP_SHOWN = "NoArgsIsHelpError"
"""What the parser raises, after it has printed a group's help, where no command was named."""

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
    words = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):  # what a terminal cannot show is written as an escape
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    output.as_json, output.debug = "--json" in words, "--debug" in words
    try:
        refuse_bytes(words)
        refuse_rows_in_json(words)
        code = app(args=shared_first(words), standalone_mode=False)
        if code == INTERRUPTED:  # which typer makes of ctrl-C
            output.say(KEPT)
        sys.stdout.flush()  # where it cannot be written, that is said, and not left to the end
    except typer.Exit as ended:
        code = ended.exit_code
    except (typer.Abort, KeyboardInterrupt):
        output.say(KEPT)
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a person gets a sentence, whatever it is
        if type(error).__name__ == HELP_SHOWN:
            sys.exit(0)
        known = sentence(error)
        if isinstance(error, OSError):
            give_up_output()
        if not isinstance(error, BrokenPipeError):  # whoever read it has enough
            output.failure(known, error)
        code = known.exit_code
    # A process that ends looks through all it has for garbage: with the SDK and its million objects
    # that took a second, a third of a short command.
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


def give_up_output() -> None:
    """Let go of what is left to be written, where it cannot be."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def sentence(error: Exception) -> MillwrightError:
    """An exception as a person reads it."""
    match error:
        case MillwrightError():
            return error
        case PocketError():
            return from_pocket(error)
        case typer.TyperException():
            return misused(error, sys.argv[1:])
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            fix = "Make room, and say the same again: what was done is kept."
            return LocalError("the disk is full", where=str(error.filename or ""), fix=fix)
        case OSError(strerror=str(reason), filename=name) if reason:
            it = "it" if name else "there"
            fix = f"Can this user read and write {it}?"
            return LocalError(reason[:1].lower() + reason[1:], where=str(name or ""), fix=fix)
        case ValueError(args=(str(said),)) if said.startswith(BAD_ENDPOINT):
            return UsageError(
                f"{said.removeprefix(BAD_ENDPOINT)!r} is no address of a server",
                where="endpoint_url",
                fix="Write http://HOST:PORT in the profile, in AWS_CONFIG_FILE or ~/.aws/config.",
            )
    return LocalError(
        f"Millwright's own fault: {type(error).__name__}: {error}",
        fix="Say the same with --debug, and report what it prints.",
    )


def refuse_bytes(words: list[str]) -> None:
    """Refuse what is no text, which neither a document nor a request could hold.

    Raises:
        UsageError: a word is not UTF-8.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{word!r} is no text in UTF-8") from None


def refuse_rows_in_json(words: list[str]) -> None:
    """Say what became of `predict --json ROWS`, which is an option of every command now.

    Raises:
        UsageError: rows stand after it.
    """
    if "predict" in words and "--json" in words:
        rows = words[words.index("--json") + 1 :][:1]
        if rows and (rows[0] == "-" or rows[0].startswith(("{", "[", "@", '"'))):
            raise UsageError(
                "`--json` has the answer printed as JSON, as with every command, and takes no rows",
                where="--json",
                fix="Give rows with --data JSON, --file FILE or on the standard input.",
            )


def misused(error: typer.TyperException, words: list[str]) -> UsageError:
    """What is wrong with the command's words; an option of Pulumi's is refused by its name."""
    option = str(getattr(error, "option_name", ""))
    context = getattr(error, "ctx", None)
    if option and context is not None and hasattr(context.command, "commands"):
        misplaced = refusal(context.find_root().command, words)
        if misplaced:
            return misplaced
    if option in PULUMIS:
        from pocket.engine import refuse

        try:
            refuse(**{PULUMIS[option]: option})
        except PocketError as refused:
            return UsageError(refused.what, where=option, fix=refused.fix)
    command = context.command_path if context else "millwright"
    return UsageError(error.format_message(), fix=f"`{command} --help` says what there is")


if __name__ == "__main__":
    main()
