"""``millwright demo``: everything once, on real data."""

from __future__ import annotations

import typer

from cli.app import app
from cli.commands.environment import tear_down
from cli.common import stack


@app.command()
def demo(
    stop: bool = typer.Option(False, "--stop", help="Remove what an earlier demo left running."),
) -> None:
    """Run everything on real data, with a report at the end."""
    where = stack()
    if stop:
        tear_down(where)
        return
    from cli.walkthrough import Demo

    Demo(where).run()
