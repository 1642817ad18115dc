"""Starting a built image as a node would: its own user, a read-only root, nothing else of ours.

docker and podman start containers themselves. buildah only builds, so its image is mounted and
entered by `unshare` and `chroot`: mount and process namespaces of its own, the root read-only, the
image's user without any capability, the host's network.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

GIVEN = "/mnt"
"""Where a container sees the folder that it is given."""
SECONDS = 90
MARK = "MILLWRIGHT_TEST"
"""The variable that tells a container's processes from others."""


@dataclass(frozen=True)
class Config:
    """What an image says of itself."""

    user: str
    folder: str
    variables: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass
class Container:
    """A process in an image, with what it wrote."""

    process: subprocess.Popen[bytes]
    log: Path
    mark: str
    """A variable's value that no other process has."""

    def inside(self) -> psutil.Process:
        """The container's first process, as this machine sees it."""
        (first,) = [
            process
            for process in psutil.process_iter()
            if mark_of(process) == self.mark and mark_of(process.parent()) != self.mark
        ]
        return first

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something, as long as the process lives."""
        end = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)


def mark_of(process: psutil.Process | None) -> str:
    """A process's mark; none where it has just ended or is another user's."""
    try:
        return process.environ().get(MARK, "") if process else ""
    except psutil.Error:
        return ""


@dataclass
class Runner:
    """Starts containers of one tool's images."""

    tool: str
    logs: Path
    mounted: dict[str, tuple[str, Path]] = field(default_factory=dict)
    """buildah's working containers and their roots, by image."""

    def config(self, reference: str) -> Config:
        """What an image says of itself."""
        given: dict[str, Any]
        if self.tool == "buildah":
            words = ["inspect", "--type", "image", "--format", "{{.Config}}"]
            given = json.loads(self._tool(*words, reference))["config"]
        else:
            words = ["image", "inspect", "--format", "{{json .Config}}"]
            given = json.loads(self._tool(*words, reference))
        return Config(
            user=given.get("User", ""),
            folder=given.get("WorkingDir", "/"),
            variables=dict(pair.split("=", 1) for pair in given.get("Env") or ()),
            entrypoint=tuple(given.get("Entrypoint") or ()),
            command=tuple(given.get("Cmd") or ()),
            labels=given.get("Labels") or {},
        )

    @contextmanager
    def start(
        self,
        reference: str,
        command: Sequence[str] = (),
        *,
        given: Path | None = None,
        variables: Mapping[str, str] | None = None,
        scratch: bool = False,
        entrypoint: bool = True,
    ) -> Iterator[Container]:
        """Start an image and end it.

        Args:
            reference: the image.
            command: its arguments; or, without ``entrypoint``, the whole command.
            given: a folder that it sees at ``GIVEN``, writable where ``scratch`` is.
            variables: more variables.
            scratch: whether it has a writable ``/tmp``.
            entrypoint: whether the image's own entrypoint starts.
        """
        mark = f"millwright-test-{uuid.uuid4().hex[:12]}"
        start = self._start_mounted if self.tool == "buildah" else self._start_container
        words = start(
            reference, list(command), given, dict(variables or {}), scratch, entrypoint, mark
        )
        log = self.logs / f"{mark}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(words, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        try:
            yield Container(process, log, mark)
        finally:
            if self.tool != "buildah":
                subprocess.run([self.tool, "kill", mark], capture_output=True, check=False)
            process.kill()  # `unshare` is deaf to SIGTERM, and its child ends with it.
            process.wait(SECONDS)

    def run(self, reference: str, command: Sequence[str], **options: Any) -> str:
        """Run a command in an image to its end; what it wrote comes back.

        Raises:
            AssertionError: it failed.
        """
        with self.start(reference, command, entrypoint=False, **options) as container:
            status = container.process.wait(600)
            text = container.log.read_text()
        assert status == 0, text
        return text

    def close(self) -> None:
        """Unmount what was mounted."""
        for name, _ in self.mounted.values():
            subprocess.run([self.tool, "rm", name], capture_output=True, check=False)

    def _tool(self, *words: str) -> str:
        done = subprocess.run([self.tool, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _start_container(
        self,
        reference: str,
        command: list[str],
        given: Path | None,
        variables: dict[str, str],
        scratch: bool,
        entrypoint: bool,
        mark: str,
    ) -> list[str]:
        """docker's or podman's words."""
        words = [self.tool, "run", "--rm", "--name", mark, "--network", "host", "--read-only"]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        words += ["--env", f"{MARK}={mark}"]
        words += [
            word for name, value in variables.items() for word in ("--env", f"{name}={value}")
        ]
        if given:
            words += ["--volume", f"{given}:{GIVEN}{'' if scratch else ':ro'}"]
        if scratch:
            words += ["--tmpfs", "/tmp"]
        if not entrypoint:
            words += ["--entrypoint", command.pop(0)]
        return [*words, reference, *command]

    def _start_mounted(
        self,
        reference: str,
        command: list[str],
        given: Path | None,
        variables: dict[str, str],
        scratch: bool,
        entrypoint: bool,
        mark: str,
    ) -> list[str]:
        """The words that enter a mounted image."""
        config, root = self.config(reference), self._root(reference)
        user, _, group = config.user.partition(":")
        started = [*(config.entrypoint if entrypoint else ()), *command]
        environment = {"HOME": "/", **config.variables, **variables, MARK: mark}
        script = [
            "set -e",
            "mount --make-rprivate /",
            f"mount --bind {root} {root}",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
            *([f"mount --bind {given} {root}{GIVEN}"] if given else ()),
            *([f"mount -o remount,bind,ro {root}{GIVEN}"] if given and not scratch else ()),
            *([f"mount -t tmpfs tmpfs {root}/tmp"] if scratch else ()),
            f"mount -o remount,bind,ro {root}",
            shlex.join(
                [
                    *(
                        "exec",
                        "chroot",
                        str(root),
                        "setpriv",
                        f"--reuid={user}",
                        f"--regid={group}",
                    ),
                    *("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
                    *("env", "-i", f"--chdir={config.folder}"),
                    *(f"{name}={value}" for name, value in environment.items()),
                    *started,
                ]
            ),
        ]
        return [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            "\n".join(script),
        ]

    def _root(self, reference: str) -> Path:
        """Where an image is mounted."""
        if reference not in self.mounted:
            name = self._tool("from", "--pull-never", reference)
            self.mounted[reference] = (name, Path(self._tool("mount", name)))
        return self.mounted[reference][1]


def missing(tool: str) -> str:
    """What this machine lacks to start what a tool built; empty where it lacks nothing."""
    if tool != "buildah":
        return ""
    if os.geteuid() != 0:
        return "entering an image that buildah built needs root"
    lacking = [name for name in ("unshare", "chroot") if not shutil.which(name)]
    return f"there is no {' and no '.join(lacking)} here" if lacking else ""
