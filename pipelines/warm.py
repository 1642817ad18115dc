"""Steps of a run on this machine start from a process that has imported what they import.

Nine steps are nine processes, and together they would import the same libraries for longer than
most of them work. So one process imports them once, beside the first steps, and every later step is
a fork of it (Python's own fork server): a process of its own all the same, with its own memory, its
own end, and nothing left of it for the next one. In a cluster a step is a container, and none of
this is there.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from kfp.local import subprocess_task_handler

LATER = ("kfp.dsl.executor_main", "mlflow", "onnxruntime", "optuna", "skl2onnx", "sklearn.pipeline")
"""What steps import only when they need it."""
COLD = 2
"""So many steps start by themselves, while the imports go on beside them."""
EXECUTOR = "-m kfp.dsl.executor_main"


def install(steps: Sequence[str], packages: Sequence[str]) -> None:
    """From now on, steps that ``kfp.local`` starts are forks of a process with everything
    imported.

    Args:
        steps: the pipeline's; their modules are imported.
        packages: what else they import, such as the model's library.
    """
    context = multiprocessing.get_context("forkserver")
    modules = [f"components.{step}.step" for step in steps]
    context.set_forkserver_preload([*modules, *LATER, *packages])
    forkserver.ensure_running()
    cold = subprocess_task_handler.run_local_subprocess
    count = 0

    def run(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        nonlocal count
        count += 1
        if count <= COLD or not is_executor(full_command):
            return int(cold(full_command, env_vars))
        return fork(full_command, env_vars or {})

    subprocess_task_handler.run_local_subprocess = run


def is_executor(command: Sequence[str]) -> bool:
    """Whether it is kfp's way to run a Python function and nothing else: a shell that writes the
    function's source, its next word, to a file, and runs it with the words after."""
    shell, _, script, *rest = command
    return shell == "sh" and EXECUTOR in script and "pip install" not in script and len(rest) > 1


def fork(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a step in a fork, its lines printed as they come.

    Returns:
        Its exit status.
    """
    context = multiprocessing.get_context("forkserver")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=execute, args=(writer, list(command), environment))
    process.start()
    writer.close()
    for line in lines(reader):
        print(line, end="")
    print("\n")
    process.join()
    return process.exitcode or 0


def lines(reader: Connection) -> Iterator[str]:
    """What is written to the other end, until nobody has it open."""
    stream: IO[str]
    with os.fdopen(os.dup(reader.fileno()), "r", encoding="utf-8", errors="replace") as stream:
        reader.close()
        yield from stream


def execute(writer: Connection, command: list[str], environment: dict[str, str]) -> None:
    """In the fork: what the shell would have done."""
    for stream in (1, 2):
        os.dup2(writer.fileno(), stream)
    writer.close()
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
    os.environ.update(environment, _KFP_RUNTIME="true")
    _, _, _, source, *arguments = command
    from kfp.dsl import executor_main

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ephemeral_component.py"
        program.write_text(source, encoding="utf-8")
        sys.argv = ["executor_main", "--component_module_path", str(program), *arguments]
        executor_main.executor_main()
