"""One run of the training pipeline on this machine, through ``kfp.local``, as a process.

``kfp.local`` prints to the process's own output, patches ``print`` and takes away the logging
handlers while it runs. In a process of its own it may; its output is then the run's log, and the
program that shows progress keeps its terminal to itself.

    python -m pipelines.local <run folder>
"""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path

ARGUMENTS = "arguments.json"
STEPS = "steps"
LOCK = "lock"


def main(folder: Path) -> int:
    """Run the pipeline with the arguments that the run's folder holds.

    Finished steps of the same run are not run again: their outputs are in the folder.
    """
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder}: this run is still going in another process")
            return 1
        from kfp import local

        from pipelines.wiring import build

        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(folder / STEPS),
            raise_on_error=False,
            enable_caching=True,
            cache_root=str(folder / "finished"),
        )
        build()(**json.loads((folder / ARGUMENTS).read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
