"""Run as a program by `test_warm_steps`: kfp's local runner, its steps forks of a warm process."""

import sys

from kfp import dsl, local

from pipelines import warm


def step(how: str) -> None:
    """Say what is imported and left over, and end in some way."""
    import os
    import sys

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


def main(folder: str, cold: int) -> None:
    """Each way to end, one after another."""
    warm.COLD = cold
    warm.install((), ["fractions"])
    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=folder, raise_on_error=True
    )
    component = dsl.component(step, base_image="python", install_kfp_package=False)
    for how in ("return", "exit", "raise", "kill", "return"):
        try:
            component(how=how)
            print("ended:", how)
        except RuntimeError:
            print("failed:", how)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
