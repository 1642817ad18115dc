"""The project's folder: where its documents lie, and which environments it has."""

from __future__ import annotations

from pathlib import Path

from contracts.document import suggest
from contracts.environment import Environment
from contracts.errors import UsageError
from pocket.documents import PulumiLoader

PROJECT_FILE = "Pulumi.yaml"
STATE_FOLDER = ".millwright"


def find_project(start: Path) -> Path:
    """The project's folder: the nearest one upwards that has a Pulumi.yaml.

    Raises:
        UsageError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise UsageError(
        f"there is no {PROJECT_FILE} here or above",
        where=str(start),
        fix="change to the Millwright checkout, or name it with --project",
    )


def environment_names(folder: Path) -> list[str]:
    """The environments that a project has a document of."""
    return sorted(path.name.split(".")[1] for path in folder.glob("Pulumi.*.yaml"))


def read_environment(folder: Path, name: str) -> Environment:
    """An environment's document, ``Pulumi.<name>.yaml``.

    Raises:
        DocumentError: it is wrong.
        UsageError: there is no environment of that name.
    """
    path = folder / f"Pulumi.{name}.yaml"
    if not path.is_file():
        raise UsageError(
            f"there is no environment {name!r}",
            where=str(folder),
            fix=suggest(name, environment_names(folder)),
        )
    # By Pulumi's loader, so that it is what the program gets from either engine.
    return Environment.read(path, loader=PulumiLoader)
