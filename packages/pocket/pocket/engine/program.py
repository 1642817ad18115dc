"""Runs a Pulumi program inside this process, as Pulumi's language host would run it in its own.

The SDK keeps its settings in context variables and one event loop: each run gets a thread, a loop,
a thread pool and a copied context of its own, or runs would leak into each other. What a Python
process has only once (`sys.path`, `sys.modules`, `__main__`) is borrowed under a lock and put back,
so that the next run imports the program's modules anew.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pulumi
from pulumi.runtime import Settings, configure, run_in_stack
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import ROOT, SETTINGS

from pocket.engine.config import Config, Project
from pocket.engine.known_providers import Identity
from pocket.engine.monitor import CLI, Engine, Monitor
from pocket.engine.sdk import load_by_name
from pocket.errors import DeploymentError, explains_itself

LACKING = re.compile(r"The Pulumi CLI does not support (?:the )?(.+?)\. Please update")
"""What the SDK says when a monitor does not offer a feature; here the CLI is not what lacks it."""

BEGINS_WITHIN = 5.0
"""Seconds that a thread which was started may take to begin."""
_one_program = threading.Lock()


@dataclass(frozen=True)
class Program:
    """A program and what it is run with."""

    project: Project
    identity: Identity
    config: Config
    dry_run: bool
    parallel: int


def run_program(program: Program, monitor: Monitor, engine: Engine) -> None:
    """Run a program to its end: every registration has been answered when this returns.

    Raises:
        DeploymentError: the program failed, or logged an error.
    """
    failures: list[BaseException] = []
    began, ended = threading.Event(), threading.Event()

    def body() -> None:
        began.set()
        try:
            execute(program, monitor, engine)
        except BaseException as error:  # noqa: BLE001 handed to the caller's thread below
            failures.append(error)
        finally:
            ended.set()

    with _one_program, seldom_collected():
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(body,), name="pulumi-program")
        try:
            thread.start()
            ended.wait()  # not `Thread.join`: interrupted, it takes a running thread for ended
        except KeyboardInterrupt:
            # What has begun ends, and nothing more begins. A program whose thread was not even
            # made would never end.
            monitor.stop()
            if not began.wait(BEGINS_WITHIN):
                return
            ended.wait()
        thread.join()
    if failures:
        raise as_error(failures[0], program.project) from failures[0]
    if engine.errors:
        raise DeploymentError(
            engine.errors[0], where=str(program.project.main), fix="The program logged this error."
        )


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Look for garbage seldom: a program makes tens of thousands of objects that all stay, beside
    the million of the SDK's modules, and looking through them again and again took half the time.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def execute(program: Program, monitor: Monitor, engine: Engine) -> None:
    """What the language host does, in this thread: settings, event loop, the program inside a
    stack."""
    ROOT.set(None)
    configure(
        Settings(
            project=program.identity.project,
            stack=program.identity.stack,
            organization=program.identity.organization,
            monitor=monitor,
            engine=engine,
            parallel=program.parallel,
            dry_run=program.dry_run,
            root_directory=str(program.project.directory),
        )
    )
    set_all_config(dict(program.config.values), sorted(program.config.secret_keys))
    # A failed program leaves futures that nobody awaits; that is expected, and asyncio would
    # report each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pool = ThreadPoolExecutor(program.parallel, thread_name_prefix="register")
    loop.set_default_executor(pool)
    try:
        with borrowed(program.project) as main:
            loop.run_until_complete(run_in_stack(lambda: load_and_settle(program.project, main)))
    finally:
        # Registrations that were under way when the program failed still end, and are journalled.
        pool.shutdown(wait=True)
        loop.close()
        asyncio.set_event_loop(None)


async def load_and_settle(project: Project, main: ModuleType) -> None:
    """Execute the program's main file, and wait until the outputs that it made are known.

    The SDK waits for them too, but looks through all that are left after each that is known: with
    thousands, that took a third of a preview's time. A failure is left for it to find.
    """
    load(project, main)
    while True:
        await asyncio.sleep(0)
        with SETTINGS.lock:
            pending = [output for output in SETTINGS.outputs if not output.done()]
            ended = [output for output in SETTINGS.outputs if output.done()]
        if not pending or any(one.cancelled() or one.exception() for one in ended):
            return
        await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)


def load(project: Project, main: ModuleType) -> None:
    """Execute the program's main file in its module."""
    load_by_name()
    path = main_file(project)
    code = compile(path.read_bytes(), str(path), "exec")
    exec(code, main.__dict__)


def main_file(project: Project) -> Path:
    """The file to execute: the program itself, or its ``__main__.py``.

    Raises:
        DeploymentError: there is none.
    """
    path = project.main / "__main__.py" if project.main.is_dir() else project.main
    if not path.is_file():
        raise DeploymentError(
            "there is no such program", where=str(path), fix="Check `main` in Pulumi.yaml."
        )
    return path.resolve()


@contextmanager
def borrowed(project: Project) -> Iterator[ModuleType]:
    """``__main__``, ``sys.path`` and the working directory as the program expects them.

    Afterwards they are as they were.

    Yields:
        the module that the program's main file runs in.
    """
    file = main_file(project)
    main = ModuleType("__main__")
    main.__file__ = str(file)
    former_main, former_path = sys.modules["__main__"], list(sys.path)
    before = set(sys.modules)
    sys.modules["__main__"] = main
    sys.path.insert(0, str(file.parent))
    try:
        with chdir(project.home):
            yield main
    finally:
        sys.modules["__main__"] = former_main
        sys.path[:] = former_path
        purge(file.parent, set(sys.modules) - before)


def purge(directory: Path, names: set[str]) -> None:
    """Forget modules that live in a directory and are not installed there: the program's own."""
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).is_relative_to(directory) and "site-packages" not in file:
            del sys.modules[name]


def as_error(error: BaseException, project: Project) -> DeploymentError:
    """A program's failure as a person can use it: the message, and where in the program it
    arose."""
    if isinstance(error, DeploymentError):
        return error
    if explains_itself(error):
        parts = [getattr(error, part) for part in ("what", "where", "fix")]
        return DeploymentError(parts[0], where=parts[1], fix=parts[2])
    if lacking := LACKING.search(str(error)):
        return DeploymentError(
            f"{lacking[1]} is not supported by this engine", where=str(project.main), fix=CLI
        )
    if isinstance(error, pulumi.RunError):
        return DeploymentError(str(error), where=str(project.main))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(project.directory.resolve())
        and "site-packages" not in frame.filename
    ]
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(project.main)
    return DeploymentError(
        f"the program failed: {type(error).__name__}: {error}",
        where=where,
        fix="Correct the program; its whole trace is the cause of this error.",
    )
