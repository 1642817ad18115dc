"""A process that has imported what steps import: runs are forks of it, and steps of their run.

Nine steps are nine processes, and together they would import the same libraries for longer than
most of them work. So one process imports them once, beside the command that asks for a run, and
whatever works is a fork: a process of its own all the same, with its own memory, its own end, and
nothing left of it for the next one. In a cluster a step is a container, and none of this is there.

Whoever starts it writes a line of JSON for each thing to do on its standard input, and reads lines
of JSON from the descriptor that the command line names: what was answered, and that it has ended.
When the input ends so does the process, but not the runs that it has begun.
"""

from __future__ import annotations

import gc
import importlib
import json
import multiprocessing
import os
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TypeVar

from components import entry
from components.libraries import registry
from contracts.dataset import DatasetSpec
from contracts.errors import MillwrightError
from contracts.model import ModelSpec
from pipelines.wiring import STEPS

CHECK = ("components.rehearsal", "onnx", "onnxruntime")
"""What a model's check needs beside its library."""
LATER = (
    *("kfp.local", "kfp.dsl.executor_main", "sklearn.pipeline", "mlflow", "optuna", "skl2onnx"),
)
"""What steps import only when they need it."""
EXECUTOR = "-m kfp.dsl.executor_main"

Given = TypeVar("Given")
Asked = Mapping[str, object]
_waiting: list[str] = []
"""Modules that are still to be imported."""


def main(arguments: Sequence[str]) -> int:
    """Import, and do what is asked.

    Args:
        arguments: the descriptor for answers.
    """
    # What is imported stays; looking through it for garbage again and again took a sixth of it.
    gc.set_threshold(50_000, 20, 20)
    # What libraries print is for the log: a descriptor of its own keeps the answers apart.
    return serve(int(arguments[0]), (*CHECK, *LATER, *(f"components.{s}.step" for s in STEPS)))


def serve(answers: int, modules: Sequence[str]) -> int:
    """Import the modules between the things that are asked, until there is nothing to read."""
    children: dict[int, object] = {}

    def reap(*_: object) -> None:
        for child in list(children):
            with suppress(ChildProcessError):
                if os.waitpid(child, os.WNOHANG)[0]:
                    answer(answers, {"id": children.pop(child), "ended": True})

    signal.signal(signal.SIGCHLD, reap)
    _waiting[:] = modules
    with open(0, "rb", buffering=0, closefd=False) as questions:
        while True:
            if _waiting and not select.select([questions], [], [], 0)[0]:
                import_next()
                continue
            line = questions.readline()
            if not line:
                return 0
            asked = json.loads(line)
            if asked["do"] == "check":
                import_for(asked)
            gc.freeze()  # A fork need not look through it either, and so shares its memory.
            child = os.fork()
            if child == 0:
                begin(asked, answers)
            children[child] = asked["id"]
            reap()  # It may have ended before it was known.


def begin(asked: Asked, answers: int) -> None:
    """In the fork: do it, and end."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = DO[str(asked["do"])](asked, answers)
    except BaseException:  # noqa: BLE001  nothing of the parent may go on in here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def answer(answers: int, fields: Asked) -> None:
    """One line; nobody may be there to read it."""
    with suppress(BrokenPipeError):
        os.write(answers, f"{json.dumps(fields)}\n".encode())


def check(asked: Asked, answers: int) -> int:
    """Whether a model can be trained (`check_model`)."""
    from components.rehearsal import check_model

    problem = None
    try:
        check_model(
            ModelSpec.model_validate_json(str(asked["model"])),
            DatasetSpec.model_validate_json(str(asked["dataset"])),
            Path(str(asked["features"])),
            str(asked["where"]),
        )
    except MillwrightError as error:
        problem = entry.describe(error)
    answer(answers, {"id": asked["id"], "error": problem})
    return 0


def run(asked: Asked, answers: int) -> int:
    """A run in its folder, which outlives the process that it is a fork of."""
    from pipelines import local, runs

    os.close(answers)
    os.setsid()
    folder = Path(str(asked["folder"]))
    with (
        runs.log_path(folder, runs.OWN_LOG).open("ab") as log,
        Path(os.devnull).open("rb") as nothing,
    ):
        os.dup2(nothing.fileno(), 0)
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    environment = asked["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    return local.main(folder, cached=bool(asked["cached"]))


DO: Mapping[str, Callable[[Asked, int], int]] = {"check": check, "run": run}


# -- importing -----------------------------------------------------------------------------------


def import_next() -> None:
    """One of the modules that wait; what cannot be imported is a step's own error."""
    with suppress(ImportError):
        importlib.import_module(_waiting.pop(0))


def import_for(asked: Asked) -> None:
    """What the check of this model needs, before the others: its fork shares it."""
    spec = ModelSpec.model_validate_json(str(asked["model"]))
    packages: tuple[str, ...] = ()
    with suppress(MillwrightError):
        packages = registry.find(spec.estimator.library).packages
    first = (*CHECK, *packages)
    _waiting[:] = [*first, *(name for name in _waiting if name not in first)]
    for _ in first:
        import_next()


def import_rest() -> None:
    """All that still wait."""
    while _waiting:
        import_next()


# -- steps as forks ------------------------------------------------------------------------------


def install(beside: Callable[[], object] = lambda: None) -> None:
    """From now on, steps that ``kfp.local`` starts are forks of this process, with everything
    imported.

    Args:
        beside: is done in a fork of its own from the first of them on.
    """
    from kfp.local import subprocess_task_handler

    other = subprocess_task_handler.run_local_subprocess
    begun: list[multiprocessing.process.BaseProcess] = []

    def work_beside() -> None:
        close_all_but(2)
        speak()
        beside()

    def run_step(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        if not is_executor(full_command):
            return int(other(full_command, env_vars))
        import_rest()
        if not begun:
            begun.append(multiprocessing.get_context("fork").Process(target=work_beside))
            begun[0].start()
        return fork(full_command, env_vars or {})

    subprocess_task_handler.run_local_subprocess = run_step


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
    context = multiprocessing.get_context("fork")
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
    close_all_but(writer.fileno())
    writer.close()
    speak()
    os.environ.update(environment, _KFP_RUNTIME="true")
    _, _, _, source, *arguments = command
    from kfp.dsl import executor_main

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ephemeral_component.py"
        program.write_text(source, encoding="utf-8")
        sys.argv = ["executor_main", "--component_module_path", str(program), *arguments]
        executor_main.executor_main()


def close_all_but(kept: int) -> None:
    """As a program that is started has nothing of its parent's open: what outlives a killed run
    must not hold the run's lock.

    Their numbers stay taken. Objects of the parent's still have them, and may write what they hold
    or close themselves in here at any moment: into files of this process's own, if it could open
    any under such a number.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if number > 2 and number not in (kept, nothing):
            os.dup2(nothing, number, inheritable=False)


def speak() -> None:
    """What is printed goes to this process's own descriptors, whatever the parent's did with it."""
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)


def apart(function: Callable[..., Given], *arguments: object) -> Given | None:
    """What a function gives in a fork; None where it fails there.

    A client that has started threads must not be in a process that forks afterwards.
    """
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)

    def give() -> None:
        close_all_but(writer.fileno())
        speak()
        writer.send(function(*arguments))

    process = context.Process(target=give)
    process.start()
    writer.close()
    try:
        given: Given = reader.recv()
    except EOFError:
        return None
    finally:
        process.join()
    return given
