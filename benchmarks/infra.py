"""How long environments take: previews of all of them, and the local one's whole life.

Three columns of the same work on the same program: within one process that has its imports behind
it (as tests and the demo are), as cold commands (as a person at a prompt has it), and, where
`pulumi` is on PATH, the Pulumi CLI with the same provider served as its plugin, also cold.

    python -m benchmarks.infra [--rounds 3]
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from pocket import emulator as cloud
from pocket import engine
from pocket.engine import Workspace
from pocket.provider.provider import AwsProvider
from pocket.provider.serving import write_plugin
from tests.integration.infra.standing import PROJECT, STACK, Standing

ENVIRONMENTS = sorted(path.name.split(".")[1] for path in PROJECT.glob("Pulumi.*.yaml"))
LIFE = ("up", "up again, nothing to do", "destroy")
console = Console(width=120)
Act = Callable[[], object]


@dataclass
class Times:
    """Seconds by what was done, of one way of doing it."""

    name: str
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def take(self, what: str, act: Act) -> None:
        """Do it, and note how long it took."""
        started = time.perf_counter()
        act()
        self.seconds.setdefault(what, []).append(time.perf_counter() - started)

    def median(self, what: str) -> float | None:
        """The median of its rounds, where there are any."""
        found = self.seconds.get(what)
        return statistics.median(found) if found else None


def in_process(made: Standing) -> tuple[Times, int]:
    """Direct calls of the engine; gives the number of resources as well."""
    times = Times("in one process")

    def workspace(stack: str) -> Workspace:
        return Workspace(
            root=made.project,
            stack=stack,
            program=made.project / "infra",
            providers={"aws": AwsProvider, **_others()},
            state_folder=".millwright",
        )

    for name in ENVIRONMENTS:
        times.take(f"preview {name}", functools.partial(engine.preview, workspace(name)))
    times.take(LIFE[0], lambda: engine.up(workspace(STACK)))
    times.take(LIFE[1], lambda: engine.up(workspace(STACK)))
    count = len(engine.resources(workspace(STACK)))
    times.take(LIFE[2], lambda: engine.destroy(workspace(STACK)))
    return times, count


def _others() -> Mapping[str, engine.ProviderFactory]:
    """The providers that the laptop gives the engine beside AWS."""
    from laptop.stack import Stack
    from project.handle import Project

    return Stack(Project(PROJECT)).workspace.providers


def commands(made: Standing) -> Times:
    """`millwright …`, each a new process. The cloud runs already; its start is not counted, but
    `destroy` also proves that nothing is left and stops it."""
    times = Times("cold command")

    def millwright(*words: str) -> Act:
        return _process(
            [sys.executable, "-c", "from cli.main import main; main()", *words],
            made,
            MILLWRIGHT_PROJECT=str(made.project),
        )

    for name in ENVIRONMENTS:
        times.take(f"preview {name}", millwright("preview", name))
    for what in LIFE[:2]:
        times.take(what, millwright("up", "--yes"))
    times.take(LIFE[2], millwright("destroy", "--yes"))
    return times


def pulumi(made: Standing) -> Times:
    """The Pulumi CLI, with the same provider as its plugin."""
    times = Times("Pulumi CLI")
    plugins = made.project / "plugins"
    write_plugin(plugins)
    with suppress(FileExistsError):
        (made.project / ".venv").symlink_to(PROJECT / ".venv")
    state = made.project / "pulumi-state"
    state.mkdir(exist_ok=True)

    def run(*words: str) -> Act:
        return _process(
            ["pulumi", *words, "--non-interactive", "--cwd", str(made.project)],
            made,
            PATH=f"{plugins}:{os.environ['PATH']}",
            PULUMI_BACKEND_URL=f"file://{state}",
            PULUMI_CONFIG_PASSPHRASE="benchmark",
            PULUMI_SKIP_UPDATE_CHECK="true",
        )

    for name in ENVIRONMENTS:
        run("stack", "init", name)()
        try:
            times.take(f"preview {name}", run("preview", "-s", name))
        except SystemExit as failure:  # an environment may need plugins that nobody installed
            console.print(f"preview {name}: {str(failure)[-300:]}", style="dim", markup=False)
    for what in LIFE[:2]:
        times.take(what, run("up", "-s", STACK, "--yes", "--skip-preview"))
    times.take(LIFE[2], run("destroy", "-s", STACK, "--yes", "--skip-preview"))
    return times


def _process(argv: list[str], made: Standing, **more: str) -> Act:
    def act() -> None:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            cwd=PROJECT,
            env={**os.environ, **cloud.environment(made.endpoints), **more},
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout}\n{done.stderr}")

    return act


def measure(rounds: int) -> tuple[list[Times], int]:
    """Every way, so many rounds; each way has an environment of its own."""
    ways: dict[str, Times] = {}
    count = 0
    for _ in range(rounds):
        for way in (in_process, commands, *([pulumi] if shutil.which("pulumi") else [])):
            folder = Path(tempfile.mkdtemp(prefix="environments-"))
            made = Standing(folder / "project")
            os.environ.update(cloud.environment(made.endpoints))
            cloud.read_ahead(made.endpoints)  # as `millwright up` has it when it starts one
            try:
                answer = way(made)
                times, count = answer if isinstance(answer, tuple) else (answer, count)
            finally:
                made.close()
                shutil.rmtree(folder, ignore_errors=True)
            kept = ways.setdefault(times.name, Times(times.name))
            for what, seconds in times.seconds.items():
                kept.seconds.setdefault(what, []).extend(seconds)
    return list(ways.values()), count


def show(ways: list[Times], count: int, rounds: int) -> None:
    cores, load = os.cpu_count(), psutil.getloadavg()[0]
    title = (
        f"Environments: {count} resources in the local one; {datetime.now(UTC):%Y-%m-%d}, "
        f"{cores} cores, load {load:.1f}, Python {platform.python_version()}; seconds, "
        f"median of {rounds}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for way in ways:
        table.add_column(way.name, justify="right")
    table.add_column("CLI / cold command", justify="right")
    by_name = {way.name: way for way in ways}
    for what in [*(f"preview {name}" for name in ENVIRONMENTS), *LIFE]:
        ours, theirs = (
            by_name[name].median(what) if name in by_name else None
            for name in ("cold command", "Pulumi CLI")
        )
        ratio = f"{theirs / ours:.2f}" if ours and theirs else "-"
        cells = (way.median(what) for way in ways)
        shown = ("-" if cell is None else f"{cell:.2f}" for cell in cells)
        table.add_row(what, *shown, ratio)
    console.print(table)
    if "Pulumi CLI" not in by_name:
        console.print("`pulumi` is not on PATH: no column of the CLI.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    show(*measure(rounds), rounds)


if __name__ == "__main__":
    main()
