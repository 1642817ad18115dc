"""``millwright doctor``."""

from __future__ import annotations

import typer

from cli.app import app, output
from cli.common import EitherName, EnvironmentOption, either, project
from cli.output import table

COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


@app.command()
def doctor(environment: EitherName = "", named: EnvironmentOption = "") -> None:
    """Show what is installed, what is missing, and what to do about it. Changes nothing."""
    import boto3

    from account.doctor import examine

    where = project(either(environment, named))
    checks = examine(where.folder, where.environment, boto3.Session())
    missing = [check for check in checks if check.state == "missing"]
    output.result(
        {"environment": where.name, "checks": [vars(check) for check in checks]},
        lambda console: console.print(
            table(
                f"What {where.name} needs",
                ("state", "what", "found", "what to do"),
                [
                    (
                        f"[{COLOURS[check.state]}]{check.state}[/]",
                        check.about,
                        check.found,
                        check.fix,
                    )
                    for check in checks
                ],
            )
        ),
    )
    if missing:
        output.say(f"\n{len(missing)} of {len(checks)} needed things are missing")
        raise typer.Exit(1)
    output.say("\neverything that is needed is here")
