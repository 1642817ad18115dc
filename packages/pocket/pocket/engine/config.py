"""A program's configuration, read as Pulumi's CLI reads it.

``Pulumi.yaml`` names the project and may give defaults; ``Pulumi.<stack>.yaml`` gives the stack's
values. To a program every value is a text under ``project:key``, objects as JSON; a ``secure``
value is decrypted and its key marked secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

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


def read(path: Path) -> dict[str, Any]:
    """A YAML mapping; empty where the file is.

    Raises:
        DeploymentError: it is not YAML, or not a mapping.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DeploymentError(f"this is not YAML: {error}", where=str(path)) from None
    if not isinstance(value or {}, dict):
        raise DeploymentError("a mapping of keys was expected", where=str(path))
    return value or {}


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
    runtime = value.get("runtime", "python")
    language = runtime.get("name") if isinstance(runtime, Mapping) else runtime
    if language != "python":
        raise DeploymentError(
            f"programs in {language!r} are not run by this engine, only Python ones",
            where=str(path),
            fix="Use the Pulumi CLI for it.",
        )
    url = (value.get("backend") or {}).get("url", "")
    if url.startswith(UNSUPPORTED_BACKENDS):
        raise DeploymentError(
            "the project keeps its state in a cloud backend, which this engine does not use",
            where=str(path),
            fix="Run it with the Pulumi CLI, or take `backend` out for a local stack.",
        )
    main = path.parent / value["main"] if value.get("main") else program
    options = (runtime.get("options") or {}) if isinstance(runtime, Mapping) else {}
    named = options.get("virtualenv")
    virtualenv = path.parent / named if named else None
    return Project(str(name), path.parent, main, value.get("config") or {}, virtualenv)


def load_config(project: Project, stack: str, crypter: Crypter) -> Config:
    """The configuration of a stack: its file over the project's defaults."""
    path = project.directory / f"Pulumi.{stack}.yaml"
    values, secret_keys = project_defaults(project)
    for key, value in (read(path).get("config") or {}).items() if path.exists() else ():
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


def as_text(value: Any) -> str:
    """A configuration value as the program gets it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(value, separators=(",", ":"), default=str)


def stack_salt(project: Project, stack: str) -> str:
    """The ``encryptionsalt`` of a stack's file, or an empty text."""
    path = project.directory / f"Pulumi.{stack}.yaml"
    return str(read(path).get("encryptionsalt") or "") if path.exists() else ""
