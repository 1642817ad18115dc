"""One run of the training pipeline on this machine, through ``kfp.local``, as a process.

``kfp.local`` prints to the process's own output, patches ``print`` and takes away the logging
handlers while it runs. In a process of its own it may; its output is then the run's log, and the
program that shows progress keeps its terminal to itself.

    python -m pipelines.local <run folder>
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from components.libraries import registry
from contracts.errors import RejectedError
from contracts.model import ModelSpec
from pipelines import journal, runs
from pipelines.wiring import STEPS


def main(folder: Path) -> int:
    """Run the pipeline with the arguments that the run's folder holds.

    Finished steps of the same run are not run again: their outputs are in the folder.
    """
    with runs.locked(folder, patience=1.0) as free:
        if not free:
            print(f"{folder}: this run is still going in another process")
            return 1
        (folder / runs.PROCESS).write_text(str(os.getpid()), encoding="utf-8")
        runs.resume(folder)
        log = journal.Log(folder, journal.writer(folder))
        with contextlib.closing(log), contextlib.redirect_stdout(log):
            run(folder)
        if runs.output(folder, STEPS[-1], "registration") is not None and log.error is None:
            runs.finish(folder, "done")
        elif isinstance(log.error, RejectedError):
            runs.finish(folder, "rejected")
    return 0


def run(folder: Path) -> None:
    """The steps, one after another."""
    from kfp import local

    from pipelines import warm
    from pipelines.wiring import build

    arguments = json.loads((folder / runs.ARGUMENTS).read_text(encoding="utf-8"))
    model = ModelSpec.model_validate_json(arguments["model"])
    warm.install(STEPS, registry.find(model.estimator.library).packages)
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / runs.STEPS_FOLDER),
        raise_on_error=False,
        enable_caching=True,
        cache_root=str(folder / "finished"),
    )
    build()(**arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
