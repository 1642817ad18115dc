"""One run of the training pipeline on this machine, through ``kfp.local``, as a process.

``kfp.local`` prints to the process's own output, patches ``print`` and takes away the logging
handlers while it runs. In a process of its own it may; its output is then the run's log, and the
program that shows progress keeps its terminal to itself.

    python -m pipelines.local <descriptor>      see `pipelines.warm`
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from contracts.errors import RejectedError
from pipelines import journal, runs
from pipelines.wiring import STEPS


def main(folder: Path, *, cached: bool = True) -> int:
    """Run the pipeline with the arguments that the run's folder holds.

    Finished steps of the same run are not run again: their outputs are in the folder.

    Args:
        folder: the run's.
        cached: whether outputs of other runs are taken for those of the same inputs.
    """
    with runs.locked(folder, patience=1.0) as free:
        if not free:
            print(f"{folder}: this run is still going in another process")
            return 1
        (folder / runs.PROCESS).write_text(str(os.getpid()), encoding="utf-8")
        runs.resume(folder)
        log = journal.Log(folder, journal.writer(folder))
        with contextlib.closing(log), contextlib.redirect_stdout(log):
            run(folder, log, cached=cached)
        if runs.output(folder, STEPS[-1], "registration") is not None and log.error is None:
            runs.finish(folder, "done")
        elif isinstance(log.error, RejectedError):
            runs.finish(folder, "rejected")
    return 0


def run(folder: Path, log: journal.Log, *, cached: bool) -> None:
    """The steps, one after another."""
    from kfp import local
    from kfp.local import cache

    from data.model_registry import ModelRegistry
    from pipelines import warm
    from pipelines.caching import StepCache
    from pipelines.wiring import build

    arguments = json.loads((folder / runs.ARGUMENTS).read_text(encoding="utf-8"))
    registry = ModelRegistry(arguments["tracking_uri"])
    # A new database gets its tables while the first steps work, and not while the last one waits.
    warm.install(beside=lambda: registry.client)
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / runs.STEPS_FOLDER),
        raise_on_error=False,
        enable_caching=True,
    )
    steps = StepCache(folder, arguments, log.reused, others=cached)
    cache.get_local_cache = lambda: steps
    build()(**arguments)


if __name__ == "__main__":
    from pipelines import warm

    sys.exit(warm.main(sys.argv[1:]))
