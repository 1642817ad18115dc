"""What commands share: their usual options, and how each finds what it works on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from contracts.model import ModelSpec
from laptop.twin import Twin, find_project
from project.handle import Project
from project.services import Service


class Engine(StrEnum):
    """What can run the Pulumi program."""

    EMBEDDED = "embedded"
    PULUMI = "pulumi"


EnvironmentName = Annotated[
    str, typer.Argument(metavar="ENVIRONMENT", help="The environment, as in Pulumi.<name>.yaml.")
]
EnvironmentOption = Annotated[
    str, typer.Option("--environment", "-e", help="The environment, as in Pulumi.<name>.yaml.")
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine", help="What runs the Pulumi program: the engine in here, or the Pulumi CLI."
    ),
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="The model's folder in models/.")]

PROJECT_VARIABLE = "MILLWRIGHT_PROJECT"


def twin(name: str = "local", engine: Engine = Engine.EMBEDDED) -> Twin:
    """The environment of that name, of the project around the current folder.

    MILLWRIGHT_PROJECT names the project's folder where the current folder is elsewhere.
    """
    given = os.environ.get(PROJECT_VARIABLE)
    return Twin(find_project(Path(given).resolve() if given else Path.cwd()), name, engine.value)


def project(name: str = "local", *, outputs: str = "", kfp: str = "", mlflow: str = "") -> Project:
    """The handle on the environment of that name.

    Args:
        name: the environment's.
        outputs: a file with its outputs, instead of asking who stood it up.
        kfp, mlflow: addresses of its services, instead of the outputs'.
    """
    given: dict[Service, str] = {"pipelines": kfp, "tracking": mlflow}
    return Project(
        twin(name).project,
        name,
        outputs_file=Path(outputs) if outputs else None,
        addresses={service: url for service, url in given.items() if url},
    )


def model_of(where: Twin | Project, name: str) -> tuple[ModelSpec, Path]:
    """A model's document and the file it stands in; a path to another folder is taken as well."""
    given = Path(name)
    if given.name == "model.yaml" or (given.is_dir() and len(given.parts) > 1):
        folder = given.parent if given.name == "model.yaml" else given
        return ModelSpec.load(folder / "model.yaml"), folder / "model.yaml"
    return ModelSpec.find(where.models, name), where.models / name / "model.yaml"


def concern_of(urn: str) -> str:
    """The component that a resource belongs to, from its URN: ``…::infra:Lake$aws:s3/…::raw``."""
    qualified = urn.split("::")[2]
    outer = qualified.split("$")[0]
    return outer.split(":")[-1] if "$" in qualified else ""


def by_concern(found: Iterable[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Concern, resource type and count, from pairs of URN and type; components are left out."""
    counted = Counter(
        (concern_of(urn) or "other", kind)
        for urn, kind in found
        if not kind.startswith(("pulumi:", "millwright:"))
    )
    return [(concern, kind, count) for (concern, kind), count in sorted(counted.items())]
