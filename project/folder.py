"""The project's folder: where its documents lie, and which environments it has."""

from __future__ import annotations

from pathlib import Path

from contracts.document import suggest
from contracts.environment import Environment
from contracts.errors import UsageError
from pocket.documents import PulumiLoader

PROJECT_FILE = "Pulumi.yaml"
PROJECT_VARIABLE = "MILLWRIGHT_PROJECT"
"""Names the project's folder where the current one is elsewhere."""
STATE_FOLDER = ".millwright"


def find_project(start: Path) -> Path:
    """The project's folder: the nearest one upwards that has a Pulumi.yaml.

    Raises:
        UsageError: there is none.
    """
    if not start.is_dir():
        raise UsageError("there is no such folder", where=str(start))
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise UsageError(
        f"there is no {PROJECT_FILE} here or above",
        where=str(start),
        fix="Change to the Millwright checkout, or name it with `millwright --project DIR`.",
    )


def environment_names(folder: Path) -> list[str]:
    """The environments that a project has a document of."""
    paths = folder.glob("Pulumi.*.yaml")
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in paths)


def check_environment(folder: Path, name: str) -> None:
    """Refuse the name of an environment that a project has no document of.

    Raises:
        UsageError: there is no environment of that name.
    """
    names = environment_names(folder)
    if name not in names:
        raise UsageError(
            f"there is no environment {name!r}", where=str(folder), fix=suggest(name, names)
        )


def read_environment(folder: Path, name: str) -> Environment:
    """An environment's document, ``Pulumi.<name>.yaml``.

    Raises:
        DocumentError: it is wrong.
        UsageError: there is no environment of that name.
    """
    check_environment(folder, name)
    # By Pulumi's loader, so that it is what the program gets from either engine.
    return Environment.read(folder / f"Pulumi.{name}.yaml", loader=PulumiLoader)
