"""``millwright state export | import``: the stack's state, as Pulumi's own commands have it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.app import app, output
from cli.common import EnvironmentOption, stack
from contracts.errors import UsageError
from pocket.files import write_whole

group = typer.Typer(
    help="Move the state to `pulumi stack import`, and from `pulumi stack export`.",
    no_args_is_help=True,
)
app.add_typer(group, name="state")

STANDARD = "-"
StateFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file, or - for the terminal.")]


@group.command("export")
def export_(file: StateFile = Path(STANDARD), environment: EnvironmentOption = "local") -> None:
    """Write the state as `pulumi stack import` takes it; its secrets stay encrypted.

    Their passphrase is in .millwright/passphrase, unless PULUMI_CONFIG_PASSPHRASE gives one.
    """
    where = stack(environment)
    document = where.engine.export_state(where.workspace)
    text = json.dumps(document, indent=4, ensure_ascii=False) + "\n"
    if str(file) == STANDARD:
        sys.stdout.write(text)
        return
    write_whole(file, text)
    show_count(file, document)


@group.command("import")
def import_(file: StateFile, environment: EnvironmentOption = "local") -> None:
    """Take a state over, in place of the one that is here; the former one is in the history.

    PULUMI_CONFIG_PASSPHRASE has to be the one that its secrets were encrypted with.
    """
    try:
        text = sys.stdin.read() if str(file) == STANDARD else file.read_text(encoding="utf-8")
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("deployment"), dict):
            raise ValueError("it has no deployment")
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"this is no exported state: {error}",
            where=str(file),
            fix="Give a file that `pulumi stack export` or `millwright state export` wrote.",
        ) from None
    where = stack(environment)
    where.engine.import_state(where.workspace, document)
    show_count(file, document)


def show_count(file: Path, document: dict[str, Any]) -> None:
    """How much the state holds."""
    count = len(document["deployment"].get("resources") or ())
    answer = {"file": str(file), "resources": count}
    output.result(answer, lambda console: console.print(f"{count} resources"))
