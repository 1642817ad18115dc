"""``millwright …``, each command in a process of its own, forked from one with its imports.

Most of a short command is imports, which a test of many commands need not pay for each. What a
process forgets at its end, and what it finds when it starts, is as from a person's prompt; that
commands import what they need has its own tests.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As whoever imports MLflow in the product does; it is read while that is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
FORKS = multiprocessing.get_context("forkserver")
# Not the Kubernetes client: it looks at KUBECONFIG while it is imported.
FORKS.set_forkserver_preload(
    ["cli.main", "boto3", "laptop.stack", "mlflow", "pocket.engine", "pocket.provider.provider"]
)


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """What it answered, as JSON; it did what was asked."""
        assert self.code == 0, self.out + self.err
        return json.loads(self.out)


def millwright(
    *words: str, folder: Path, environment: Mapping[str, str], patience: float = 400.0
) -> Done:
    """Run a command to its end.

    Args:
        words: as after ``millwright`` at a prompt.
        folder: the current one.
        environment: all of its variables.
        patience: seconds that it may take.
    """
    with tempfile.TemporaryDirectory() as place:
        said = {1: Path(place) / "out", 2: Path(place) / "err"}
        process = FORKS.Process(target=_run, args=(words, folder, dict(environment), said))
        process.start()
        process.join(patience)
        if process.exitcode is None:
            process.kill()
        assert process.exitcode is not None, f"millwright {' '.join(words)} takes too long"
        return Done(
            code=process.exitcode,
            out=said[1].read_text(encoding="utf-8"),
            err=said[2].read_text(encoding="utf-8"),
        )


def _run(
    words: tuple[str, ...], folder: Path, environment: dict[str, str], said: dict[int, Path]
) -> None:
    from cli.main import main

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for descriptor, path in said.items():
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.argv = ["millwright", *words]
    main()
