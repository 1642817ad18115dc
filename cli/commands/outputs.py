"""``millwright outputs`` and ``millwright kubeconfig``: what an environment gives its users."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.app import app, output
from cli.common import EitherName, EnvironmentOption, OutputsOption, either, project
from cli.output import pairs
from contracts.document import Document


@app.command()
def outputs(
    environment: EitherName = "",
    named: EnvironmentOption = "",
    outputs: OutputsOption = "",
) -> None:
    """Show what an environment gives its users: stores, services, namespaces, images.

    With --json as --outputs takes them.
    """
    where = project(either(environment, named), outputs=outputs)
    document = where.outputs()
    output.result(
        document.model_dump(mode="json"),
        lambda console: console.print(pairs(dict(flat(document)))),
    )


def flat(document: Document, prefix: str = "") -> list[tuple[str, object]]:
    """A document's values by their paths; what is empty is left out."""
    rows: list[tuple[str, object]] = []
    for name in type(document).model_fields:
        value, path = getattr(document, name), f"{prefix}{name}"
        if isinstance(value, Document):
            rows += flat(value, f"{path}.")
        elif isinstance(value, dict):
            rows += [(f"{path}.{key}", inner) for key, inner in value.items()]
        elif isinstance(value, tuple):
            rows += [(path, ", ".join(value))] if value else []
        elif value not in ("", 0, None):
            rows.append((path, value))
    return rows


@app.command()
def kubeconfig(
    environment: EitherName = "",
    named: EnvironmentOption = "",
    outputs: OutputsOption = "",
    file: Annotated[
        str, typer.Option(metavar="FILE", help="Write it here, not where kubectl looks.")
    ] = "",
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the entry, and write nothing.")
    ] = False,
) -> None:
    """Give kubectl an environment's cluster: an entry that signs in as the AWS CLI does.

    No token is in it: kubectl runs `aws eks get-token`. Other entries stay as they are.
    """
    import yaml

    from project import kubeconfig as config

    where = project(either(environment, named), outputs=outputs)
    entry = config.entry(where)
    if only_print:
        sys.stdout.write(yaml.safe_dump(config.document(entry), sort_keys=False))
        return
    path = Path(file) if file else config.default_file(entry.name)
    config.merge(path, entry)
    output.result(
        {"context": entry.name, "file": str(path)},
        lambda console: console.print(
            f"    context [bold]{entry.name}[/] in {path}", soft_wrap=True
        ),
    )
