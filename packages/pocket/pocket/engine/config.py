"""A program's configuration, read as Pulumi's CLI reads it.

``Pulumi.yaml`` names the project and may give defaults; ``Pulumi.<stack>.yaml`` gives the stack's
values. To a program every value is a text under ``project:key``, objects as JSON; a ``secure``
value is decrypted and its key marked secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocket.documents import as_text, read
from pocket.engine.secrets import Crypter
from pocket.engine.values import Properties, secret
from pocket.errors import DeploymentError

UNSUPPORTED_BACKENDS = ("https://", "http://", "s3://", "gs://", "azblob://")


@dataclass(frozen=True)
class Project:
    """``Pulumi.yaml``: the project's name, where its program is, its configuration's defaults, and
    the virtual environment that the Pulumi CLI runs it in."""

    name: str
    directory: Path
    main: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    virtualenv: Path | None = None

    @property
    def home(self) -> Path:
        """The directory the program runs in: its own."""
        return (self.main if self.main.is_dir() else self.main.parent).resolve()


@dataclass(frozen=True)
class Config:
    """Texts under ``project:key``, and which of them are secret."""

    values: Mapping[str, str] = field(default_factory=dict)
    secret_keys: frozenset[str] = frozenset()

    def of_package(self, package: str) -> Properties:
        """The inputs of a package's default provider: the values under ``package:``, secrets
        marked."""
        prefix = f"{package}:"
        return {
            key.removeprefix(prefix): secret(value) if key in self.secret_keys else value
            for key, value in self.values.items()
            if key.startswith(prefix)
        }


def load_project(program: Path) -> Project:
    """The project of a program: the nearest ``Pulumi.yaml`` at or above its directory.

    Raises:
        DeploymentError: there is none, it names no project, or it asks for what this engine
        lacks.
    """
    start = program if program.is_dir() else program.parent
    for directory in (start.resolve(), *start.resolve().parents):
        for name in ("Pulumi.yaml", "Pulumi.yml"):
            if (path := directory / name).is_file():
                return project_of(path, program)
    raise DeploymentError(
        "there is no Pulumi.yaml at or above the program",
        where=str(program),
        fix="Add one: `name: <project>` and `runtime: python`.",
    )


def project_of(path: Path, program: Path) -> Project:
    """The project a ``Pulumi.yaml`` describes, checked for what this engine cannot do."""
    value = read(path)
    name = value.get("name")
    if not name:
        raise DeploymentError("the project has no name", where=str(path))
    runtime = value.get("runtime") or "python"
    runtime = section(value, "runtime", path) if not isinstance(runtime, str) else {"name": runtime}
    language = runtime.get("name")
    if language != "python":
        raise DeploymentError(
            f"programs in {language!r} are not run by this engine, only Python ones",
            where=str(path),
            fix="Use the Pulumi CLI for it.",
        )
    url = section(value, "backend", path).get("url") or ""
    if str(url).startswith(UNSUPPORTED_BACKENDS):
        raise DeploymentError(
            "the project keeps its state in a cloud backend, which this engine does not use",
            where=str(path),
            fix="Run it with the Pulumi CLI, or take `backend` out for a local stack.",
        )
    for owner, key in ((value, "main"), (section(runtime, "options", path), "virtualenv")):
        if not isinstance(owner.get(key) or "", str):
            raise DeploymentError(f"{key}: a path was expected", where=str(path))
    main = path.parent / value["main"] if value.get("main") else program
    named = section(runtime, "options", path).get("virtualenv")
    virtualenv = path.parent / named if named else None
    return Project(str(name), path.parent, main, section(value, "config", path), virtualenv)


def section(value: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """A mapping in a file; empty where it is left out.

    Raises:
        DeploymentError: it is something else.
    """
    found = value.get(key) or {}
    if not isinstance(found, Mapping):
        raise DeploymentError(f"{key}: a mapping of keys was expected", where=str(path))
    return found


def load_config(project: Project, stack: str, crypter: Crypter) -> Config:
    """The configuration of a stack: its file over the project's defaults."""
    path = project.directory / f"Pulumi.{stack}.yaml"
    values, secret_keys = project_defaults(project)
    written = section(read(path), "config", path) if path.exists() else {}
    for key, value in written.items():
        full = qualify(str(key), project.name)
        plain, is_secret = decode(value, crypter, f"{path}|{full}")
        values[full] = as_text(plain)
        secret_keys.discard(full)
        if is_secret:
            secret_keys.add(full)
    return Config(values, frozenset(secret_keys))


def project_defaults(project: Project) -> tuple[dict[str, str], set[str]]:
    """The values that ``Pulumi.yaml`` itself gives, and the keys it says are secret."""
    values: dict[str, str] = {}
    secret_keys: set[str] = set()
    for key, value in project.config.items():
        full = qualify(str(key), project.name)
        if isinstance(value, Mapping):
            given = value.get("value", value.get("default"))
            if value.get("secret"):
                secret_keys.add(full)
        else:
            given = value
        if given is not None:
            values[full] = as_text(given)
    return values, secret_keys


def qualify(key: str, project: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def decode(value: Any, crypter: Crypter, place: str) -> tuple[Any, bool]:
    """A value with its ``secure`` parts decrypted, and whether it had any."""
    if isinstance(value, Mapping):
        if set(value) == {"secure"} and isinstance(value["secure"], str):
            return crypter.decrypt(value["secure"], place), True
        pairs = {key: decode(inner, crypter, f"{place}.{key}") for key, inner in value.items()}
        return {key: inner for key, (inner, _) in pairs.items()}, any(
            hidden for _, hidden in pairs.values()
        )
    if isinstance(value, list):
        items = [decode(inner, crypter, f"{place}[{at}]") for at, inner in enumerate(value)]
        return [inner for inner, _ in items], any(hidden for _, hidden in items)
    return value, False


def has_secure(value: Any) -> bool:
    """Whether a part of a settings file holds an encrypted value."""
    if isinstance(value, Mapping):
        sealed = set(value) == {"secure"} and isinstance(value["secure"], str)
        return sealed or any(map(has_secure, value.values()))
    return isinstance(value, list) and any(map(has_secure, value))


def stack_salt(project: Project, stack: str) -> str:
    """The ``encryptionsalt`` of a stack's file, or an empty text."""
    path = project.directory / f"Pulumi.{stack}.yaml"
    return str(read(path).get("encryptionsalt") or "") if path.exists() else ""
