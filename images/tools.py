"""What builds and pushes images here: docker, podman or buildah, whichever is there.

They do the same with other words, so what differs is a table of commands. A password reaches a tool
by its standard input alone; what the tool itself keeps of it lies in a folder of its own, in memory
where the machine has such a place, for as long as a push takes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from contracts.document import suggest
from contracts.errors import ImageError, UsageError
from images.pip import PipSettings
from images.recipe import Recipe

LABEL: Final = "dev.millwright.content"
"""Label of an image with the whole digest of its content."""
MEMORY: Final = Path("/dev/shm")
READY_SECONDS: Final = 60
MISSING: Final = "is not installed"
NOISE: Final = re.compile(
    r"^\s*$|^subprocess exited|^time=|^Error: building at STEP|^ERROR: failed to (solve|build)|^-+$"
)
"""Lines of a log that never say why."""
STEP: Final = re.compile(r"^#\d+ ([\d.]+ )?", re.MULTILINE)
"""What BuildKit puts before each line."""


@dataclass(frozen=True)
class Credentials:
    """How to sign in to a registry."""

    host: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.host!r}, {self.user!r}, …)"


class Tool(Protocol):
    """Something that builds images and pushes them."""

    @property
    def name(self) -> str:
        """Its command."""

    def problem(self) -> str:
        """Why it cannot be used here; empty where it can."""

    def size(self, reference: str) -> int | None:
        """Bytes of an image on this machine; None where it is not there."""

    def build(self, recipe: Recipe, settings: PipSettings, log: Path) -> None:
        """Build an image under its reference, writing what happens into a log.

        Raises:
            ImageError: the build failed.
        """

    def push(self, reference: str, target: str, credentials: Credentials, log: Path) -> str:
        """Push an image of this machine; the digest that the registry has it under comes back.

        Raises:
            ImageError: the registry refused, or gave no digest.
        """


@dataclass(frozen=True, kw_only=True)
class Commands:
    """A tool's words; ``{…}`` are filled in."""

    ready: tuple[str, ...]
    """Succeeds where the tool can work."""
    needs: tuple[str, ...]
    """Its help on building names these options, or the tool is too old."""
    size: tuple[str, ...]
    """Prints what ``read_size`` reads."""
    read_size: Callable[[str], int]
    login: tuple[str, ...]
    push: tuple[tuple[str, ...], ...]
    """One after the other."""
    digest: tuple[str, ...]
    """Prints references with digests; where empty, the push wrote it to ``{digest}``."""
    signed_in: Callable[[Path], dict[str, str]]
    """The variables that make a folder the place of what a sign-in keeps."""
    variables: Mapping[str, str]
    fix: str
    """What to do where it is installed and cannot be used."""


def layers(manifest: str) -> int:
    """Bytes of an image's layers, from its manifest: buildah keeps them as they are unpacked."""
    return sum(int(layer["size"]) for layer in json.loads(manifest)["layers"])


def docker_folder(folder: Path) -> dict[str, str]:
    """A settings folder for docker, with the person's own contexts and plugins but no passwords."""
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    settings: dict[str, object] = {}
    for entry in home.iterdir() if home.is_dir() else ():
        if entry.name == "config.json":
            settings = json.loads(entry.read_text(encoding="utf-8"))
        else:
            (folder / entry.name).symlink_to(entry)
    kept = {name: settings[name] for name in settings if name not in DOCKER_PASSWORDS}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    return {"DOCKER_CONFIG": str(folder)}


DOCKER_PASSWORDS: Final = frozenset({"auths", "credsStore", "credHelpers"})
SIGN_IN: Final = ("login", "--username", "{user}", "--password-stdin", "{host}")


def auth_file(folder: Path) -> dict[str, str]:
    """Where podman and buildah keep what a sign-in gives."""
    return {"REGISTRY_AUTH_FILE": str(folder / "auth.json")}


COMMANDS: Final[Mapping[str, Commands]] = {
    "docker": Commands(
        ready=("version", "--format", "{{{{.Server.Version}}}}"),
        needs=("--secret",),
        size=("image", "inspect", "--format", "{{{{.Size}}}}", "{reference}"),
        read_size=int,
        login=SIGN_IN,
        push=(("tag", "{reference}", "{target}"), ("push", "{target}")),
        digest=("image", "inspect", "--format", "{{{{json .RepoDigests}}}}", "{target}"),
        signed_in=docker_folder,
        variables={"DOCKER_BUILDKIT": "1"},
        fix="Start Docker, and install its plugin buildx where that is missing.",
    ),
    "podman": Commands(
        ready=("info", "--format", "{{{{.Store.GraphDriverName}}}}"),
        needs=("--secret",),
        size=("image", "inspect", "--format", "{{{{.Size}}}}", "{reference}"),
        read_size=int,
        login=SIGN_IN,
        push=(("push", "--digestfile", "{digest}", "{reference}", "docker://{target}"),),
        digest=(),
        signed_in=auth_file,
        variables={},
        fix="`podman machine start` starts its machine, where it has one.",
    ),
    "buildah": Commands(
        ready=("images", "--quiet"),
        needs=("--secret",),
        size=("inspect", "--type", "image", "--format", "{{{{.Manifest}}}}", "{reference}"),
        read_size=layers,
        login=SIGN_IN,
        push=(("push", "--digestfile", "{digest}", "{reference}", "docker://{target}"),),
        digest=(),
        signed_in=auth_file,
        variables={},
        fix="`buildah images` says what it lacks.",
    ),
}
"""The tools, the ones that most people have first."""


@dataclass(frozen=True)
class CommandTool:
    """A tool that is a command of this machine.

    Args:
        name: its command, a key of the table.
        path: where that is; looked up on the PATH when left out.
    """

    name: str
    path: str = ""

    @property
    def words(self) -> Commands:
        """What it is told."""
        return COMMANDS[self.name]

    def problem(self) -> str:
        """Why it cannot be used here; empty where it can."""
        if not (self.path or shutil.which(self.name)):
            return MISSING
        try:
            ready = self._run(self.words.ready, seconds=READY_SECONDS)
            text = self._run(("build", "--help"), seconds=READY_SECONDS).stdout
        except subprocess.TimeoutExpired:
            return f"does not answer within {READY_SECONDS} s"
        if ready.returncode:
            return last_line(ready.stderr) or "cannot be used"
        missing = [option for option in self.words.needs if option not in text]
        return f"cannot build with {', '.join(missing)}" if missing else ""

    def size(self, reference: str) -> int | None:
        """Bytes of an image on this machine; None where it is not there."""
        done = self._run(self.words.size, places={"reference": reference})
        return self.words.read_size(done.stdout) if done.returncode == 0 else None

    def build(self, recipe: Recipe, settings: PipSettings, log: Path) -> None:
        """Build an image under its reference, writing what happens into a log.

        Raises:
            ImageError: the build failed.
        """
        with recipe.laid_out() as folder, settings.secrets() as secrets:
            options = {
                "--file": [str(folder / recipe.dockerfile)],
                "--tag": [recipe.reference],
                "--platform": [recipe.platform],
                "--build-arg": [f"BASE={recipe.base}"],
                "--label": [f"{LABEL}=sha256:{recipe.digest}"],
                "--secret": [f"id={name},src={path}" for name, path in secrets.items()],
            }
            words = [f"{name}={value}" for name, values in options.items() for value in values]
            self._logged(("build", *words, str(folder)), log, f"{recipe.name} could not be built")

    def push(self, reference: str, target: str, credentials: Credentials, log: Path) -> str:
        """Push an image of this machine; the digest that the registry has it under comes back.

        Raises:
            ImageError: the registry refused, or gave no digest.
        """
        with private_folder() as folder:
            variables = self.words.signed_in(folder)
            login = self._run(
                self.words.login,
                input=credentials.password,
                variables=variables,
                places={"user": credentials.user, "host": credentials.host},
            )
            if login.returncode:
                raise ImageError(
                    f"{self.name} could not sign in: {last_line(login.stderr)}",
                    where=credentials.host,
                    fix="Is the registry's address right, and is it reached from here?",
                )
            written = folder / "digest"
            places = {"reference": reference, "target": target, "digest": str(written)}
            for command in self.words.push:
                words = filled(command, places)
                self._logged(words, log, f"{target} could not be pushed", variables)
            if self.words.digest:
                text = self._run(self.words.digest, places=places).stdout
            else:
                digest = written.read_text(encoding="utf-8") if written.is_file() else ""
                text = f"{target.rpartition(':')[0]}@{digest}"
        return digest_of(text, target)

    def _run(
        self,
        words: Sequence[str],
        *,
        input: str | None = None,
        variables: Mapping[str, str] | None = None,
        seconds: float | None = None,
        places: Mapping[str, str] = {},
    ) -> subprocess.CompletedProcess[str]:
        """A command's answer; its words are filled in."""
        return subprocess.run(
            [self.path or self.name, *filled(words, places)],
            input=input,
            stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            env={**os.environ, **self.words.variables, **(variables or {})},
        )

    def _logged(
        self,
        words: Sequence[str],
        log: Path,
        failure: str,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """A long command, its output in a file.

        Raises:
            ImageError: it failed.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                [self.path or self.name, *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
                env={**os.environ, **self.words.variables, **(variables or {})},
            )
        if done.returncode:
            reason = last_line(log.read_text(encoding="utf-8", errors="replace"))
            raise ImageError(f"{failure}: {reason}", where=self.name, fix=f"Its log: {log}")


def filled(words: Iterable[str], places: Mapping[str, str]) -> list[str]:
    """A command's words with what stands for its ``{…}``."""
    return [word.format(**places) for word in words]


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of this user's alone, in memory where there is such a place, until the end."""
    place = os.environ.get("XDG_RUNTIME_DIR") or (str(MEMORY) if MEMORY.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="millwright-", dir=place) as folder:
        yield Path(folder)


def digest_of(text: str, target: str) -> str:
    """The digest in a text with ``repository@sha256:…`` of the target's repository.

    Raises:
        ImageError: there is none.
    """
    repository = target.rpartition(":")[0]
    digest = re.search(rf"{re.escape(repository)}@(sha256:[0-9a-f]{{64}})", text)
    if not digest:
        raise ImageError(
            "the registry gave no digest for what was pushed",
            where=target,
            fix="Push it again; a digest is what an environment runs.",
        )
    return digest[1]


def last_line(text: str) -> str:
    """The line of a tool's output that most likely says what went wrong."""
    lines = [line.strip() for line in STEP.sub("", text).splitlines()]
    lines = [line for line in lines if not NOISE.search(line)]
    errors = [line for line in lines if re.match(r"error|denied|unauthorized", line, re.IGNORECASE)]
    return (errors or lines or [""])[-1]


TOOLS: Final[tuple[Tool, ...]] = tuple(CommandTool(name) for name in COMMANDS)


def choose(name: str = "", tools: Sequence[Tool] = TOOLS) -> Tool:
    """The tool of that name, or the first that can be used here.

    Raises:
        UsageError: there is no such tool.
        ImageError: none can be used.
    """
    names = [tool.name for tool in tools]
    if name and name not in names:
        raise UsageError(f"{name!r} builds no images", where="--tool", fix=suggest(name, names))
    problems: dict[str, str] = {}
    for tool in tools:
        if name in ("", tool.name):
            problems[tool.name] = tool.problem()
            if not problems[tool.name]:
                return tool
    there = [tool for tool, problem in problems.items() if problem != MISSING]
    raise ImageError(
        "; ".join(f"{tool}: {problem}" for tool, problem in problems.items()),
        where="" if name else "nothing here can build images",
        fix=" ".join(COMMANDS[tool].fix for tool in there) or f"Install one of {', '.join(names)}.",
    )
