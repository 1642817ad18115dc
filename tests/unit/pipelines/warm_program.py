"""Run as a program by `test_warm_steps`: kfp's local runner, its steps forks of this process."""

import os
import sys
from pathlib import Path

from kfp import dsl, local

from pipelines import runs, warm


def step(how: str) -> None:
    """Say what is imported and left over, and end in some way."""
    import os
    import sys
    import time
    from pathlib import Path

    left = getattr(sys, "left_by_a_step", None)
    print("step:", "fractions" in sys.modules, left, os.getppid())
    print("step: naïve", file=sys.stderr)
    vars(sys)["left_by_a_step"] = how
    if how == "exit":
        raise SystemExit(3)
    if how == "raise":
        raise ValueError("the moon is full")
    if how == "kill":
        os.kill(os.getpid(), 9)
    if how.startswith("wait"):
        folder = Path(how.partition(" ")[2])
        (folder / "step").write_text(str(os.getpid()))
        while not (folder / "go").is_file():
            time.sleep(0.01)


def main(folder: str, *ways: str) -> None:
    """Each way to end, one after another."""
    warm._waiting.append("fractions")
    warm.install()
    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=folder, raise_on_error=True
    )
    component = dsl.component(step, base_image="python", install_kfp_package=False)
    print("program:", os.getpid())
    with runs.locked(Path(folder)):
        for how in ways:
            try:
                component(how=how)
                print("ended:", how)
            except RuntimeError:
                print("failed:", how)


if __name__ == "__main__":
    main(*sys.argv[1:])
