"""A run's process in which the steps are acted: they say what steps say, and write small documents.

    python -m tests.acted_run <descriptor>      as `pipelines.local`

``ACTED_FAILS`` names a step that fails, ``ACTED_REJECTS`` has the last one refuse the model, and
``ACTED_WAITS`` names one that waits until the run's folder has a file ``go``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from components import entry
from contracts.errors import DataError, RejectedError
from pipelines import local, runs, warm
from pipelines.journal import Log
from pipelines.results import PLACES
from pipelines.wiring import STEPS
from tests.launched import documents

PATIENCE = 60.0


def act(folder: Path, log: Log, *, cached: bool) -> None:
    """The steps, one after another."""
    rejects = bool(os.environ.get("ACTED_REJECTS"))
    for step in STEPS:
        try:
            with entry.step(step):
                print(f"working on {step}")
                wait(folder, step)
                if step == os.environ.get("ACTED_FAILS"):
                    raise DataError("no rows are left", where="split.test")
                if rejects and step == STEPS[-1]:
                    raise RejectedError("a gate failed: roc_auc is 0.71", where="model toy")
        except SystemExit:
            return
        for document in documents("toy", "1", accepted=not rejects):
            writer, name = PLACES[type(document)]
            if writer == step:
                path = folder / runs.STEPS_FOLDER / "training" / step / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(document.model_dump_json(by_alias=True), encoding="utf-8")


def wait(folder: Path, step: str) -> None:
    """Until somebody says go."""
    until = time.monotonic() + PATIENCE
    while step == os.environ.get("ACTED_WAITS") and not (folder / "go").is_file():
        if time.monotonic() > until:
            raise TimeoutError("nobody said go")
        time.sleep(0.01)


if __name__ == "__main__":
    local.run = act
    sys.exit(warm.serve(int(sys.argv[1]), ()))
