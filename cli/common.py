"""What commands share: their usual options, and how each finds what it works on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import UsageError
from contracts.model import ModelSpec
from project.folder import find_project
from project.handle import Project

if TYPE_CHECKING:
    from laptop.stack import Stack
    from project.services import Service
    from serving.rollout.overview import Rollouts


class Engine(StrEnum):
    """What can run the Pulumi program."""

    EMBEDDED = "embedded"
    PULUMI = "pulumi"


LOCAL = "local"
EnvironmentName = Annotated[
    str, typer.Argument(metavar="ENVIRONMENT", help="The environment, as in Pulumi.<name>.yaml.")
]
EnvironmentOption = Annotated[
    str, typer.Option("--environment", "-e", help="The environment, as in Pulumi.<name>.yaml.")
]
EitherName = Annotated[
    str,
    typer.Argument(
        metavar="[ENVIRONMENT]", help="The environment, as in Pulumi.<name>.yaml; or by -e."
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine", help="What runs the Pulumi program: the engine in here, or the Pulumi CLI."
    ),
]
OUTPUTS_VARIABLE = "MILLWRIGHT_OUTPUTS"
OutputsOption = Annotated[
    str,
    typer.Option(
        "--outputs",
        metavar="FILE",
        help=f"Read its outputs here, not from who stood it up; or {OUTPUTS_VARIABLE}.",
    ),
]
MlflowOption = Annotated[
    str,
    typer.Option(
        "--mlflow",
        metavar="URL",
        help="Use this MLflow, not the environment's; a pipeline's steps must reach it.",
    ),
]
KfpOption = Annotated[
    str, typer.Option("--kfp", metavar="URL", help="Use this Kubeflow Pipelines API, likewise.")
]
GatewayOption = Annotated[
    str, typer.Option("--gateway", metavar="URL", help="Use this front door, likewise.")
]
ContextOption = Annotated[
    str,
    typer.Option(
        "--context", help="A context of your kubeconfig, instead of the environment's cluster."
    ),
]
NamespaceOption = Annotated[
    str,
    typer.Option("--namespace", "-n", help="The models' namespace; the environment's if left out."),
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="The model's folder in models/.")]

PROJECT_VARIABLE = "MILLWRIGHT_PROJECT"


def project(
    name: str = LOCAL,
    *,
    outputs: str = "",
    context: str = "",
    mlflow: str = "",
    kfp: str = "",
    gateway: str = "",
) -> Project:
    """The environment of that name, of the project around the current folder.

    MILLWRIGHT_PROJECT names the project's folder where the current folder is elsewhere.
    """
    given = os.environ.get(PROJECT_VARIABLE)
    folder = find_project(Path(given).resolve() if given else Path.cwd())
    file = outputs or os.environ.get(OUTPUTS_VARIABLE, "")
    addresses: dict[Service, str] = {"tracking": mlflow, "pipelines": kfp, "gateway": gateway}
    return Project(
        folder,
        name,
        outputs_file=Path(file) if file else None,
        addresses={service: url for service, url in addresses.items() if url},
        context=context,
    )


def stack(name: str = LOCAL, engine: Engine = Engine.EMBEDDED) -> Stack:
    """The Pulumi stack of an environment, as this machine deploys it."""
    from laptop.stack import Stack

    return Stack(project(name), engine.value)


def either(argument: str, option: str) -> str:
    """The environment that is named by its place or by -e; the local one where none is.

    Raises:
        UsageError: two are named.
    """
    names = {name for name in (argument, option) if name}
    if len(names) > 1:
        raise UsageError(
            f"two environments are named: {argument} and {option}", fix="Name one of them."
        )
    return names.pop() if names else LOCAL


def rollouts_of(where: Project, namespace: str = "") -> Rollouts:
    """An environment's rollouts: those on this machine, or those of its cluster.

    Args:
        where: the environment.
        namespace: the models', instead of the environment's.
    """
    if not where.has_cluster:
        from laptop.host import RolloutHost
        from laptop.overview import LaptopRollouts

        return LaptopRollouts(RolloutHost.of(where))
    from serving.rollout.kubernetes import Api
    from serving.rollout.overview import ClusterRollouts

    return ClusterRollouts(Api(where.cluster()), namespace or where.models_namespace())


def model_of(where: Project, name: str) -> tuple[ModelSpec, Path]:
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


def by_concern(resources: Iterable[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Concern, resource type and count, from pairs of URN and type; components are left out."""
    counted = Counter(
        (concern_of(urn) or "other", kind)
        for urn, kind in resources
        if not kind.startswith(("pulumi:", "millwright:"))
    )
    return [(concern, kind, count) for (concern, kind), count in sorted(counted.items())]
