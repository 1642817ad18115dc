"""What commands share: their usual options, and how each finds what it works on."""

from __future__ import annotations

import functools
import inspect
import os
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

import typer

from cli.app import output
from cli.completing import environments, models
from contracts.errors import UsageError
from contracts.model import ServedModel, find_model, load_model
from pocket.emulator import check_addresses
from project.folder import check_environment, find_project
from project.handle import Project

if TYPE_CHECKING:
    from laptop.stack import Stack
    from project.services import Service
    from serving.rollout.overview import Rollouts

Place = TypeVar("Place")
Ended = TypeVar("Ended")


class Engine(StrEnum):
    """What can run the Pulumi program."""

    EMBEDDED = "embedded"
    PULUMI = "pulumi"


LOCAL = "local"
EnvironmentName = Annotated[
    str,
    typer.Argument(
        metavar="ENVIRONMENT",
        help="The environment, as in Pulumi.<name>.yaml.",
        autocompletion=environments,
    ),
]
EnvironmentOption = Annotated[
    str,
    typer.Option(
        "--environment",
        "-e",
        help="The environment, as in Pulumi.<name>.yaml.",
        autocompletion=environments,
    ),
]
EitherName = Annotated[
    str,
    typer.Argument(
        metavar="[ENVIRONMENT]",
        help="The environment, as in Pulumi.<name>.yaml; or by -e.",
        autocompletion=environments,
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine", help="What runs the Pulumi program: the engine in here, or the Pulumi CLI."
    ),
]
NAME_SHOWN = 200
"""Characters of a hopeless name that are repeated to its author."""
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
    str,
    typer.Option("--kfp", metavar="URL", help="Use this Kubeflow Pipelines API."),
]
GatewayOption = Annotated[
    str,
    typer.Option("--gateway", metavar="URL", help="Use this front door."),
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
ModelName = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="The model's folder in models/.", autocompletion=models),
]


def project(
    name: str = LOCAL,
    *,
    outputs: str = "",
    context: str = "",
    mlflow: str = "",
    kfp: str = "",
    gateway: str = "",
) -> Project:
    """The environment of that name, of the project around the folder that `--project` names."""
    folder = find_project(output.project)
    check_addresses(os.environ)
    if name != LOCAL:
        check_environment(folder, name)
    file = outputs or os.environ.get(OUTPUTS_VARIABLE, "")
    if file and not is_file(file):
        raise UsageError(
            "there is no such file of outputs",
            where=file if len(file) < NAME_SHOWN else f"{file[:NAME_SHOWN]}…",
            fix=f"Write it with `millwright outputs {name} --json > FILE`.",
        )
    addresses: dict[Service, str] = {"tracking": mlflow, "pipelines": kfp, "gateway": gateway}
    for service, url in addresses.items():
        check_address(service, url)
    return Project(
        folder,
        name,
        outputs_file=Path(file) if file else None,
        addresses={service: url for service, url in addresses.items() if url},
        context=context,
    )


def is_file(name: str) -> bool:
    """Whether there is a file of that name, which may be no possible name of one."""
    try:
        return Path(name).is_file()
    except OSError:
        return False


def check_address(service: Service, url: str) -> None:
    """Refuse what is no address, before somebody waits for an answer from it.

    Raises:
        UsageError: it is none.
    """
    from project.services import SERVICES

    try:
        parts = urlsplit(url)
        # MLflow's may be a database or a folder.
        good = bool(parts.hostname and parts.scheme in ("http", "https")) or (
            service == "tracking" and bool(parts.scheme and url.startswith(f"{parts.scheme}:///"))
        )
        _ = parts.port
    except ValueError:
        good = False
    if url and not good:
        raise UsageError(
            f"{url!r} is no address",
            where=SERVICES[service].option,
            fix="Write it as http://HOST:PORT.",
        )


def at(place: Callable[..., Place]) -> Callable[[Callable[..., Ended]], Callable[..., Ended]]:
    """Gives a command what several are about as its first argument, and its options beside its own.

    Args:
        place: makes it from options; its parameters are annotated as a command's.
    """

    def decorate(command: Callable[..., Ended]) -> Callable[..., Ended]:
        shared = inspect.signature(place).parameters
        _, *own = inspect.signature(command).parameters.values()

        @functools.wraps(command)
        def called(**given: Any) -> Ended:
            options = {name: given.pop(name) for name in shared}
            return command(place(**options), **given)

        hints = get_type_hints(command, include_extras=True)
        hints |= get_type_hints(place, include_extras=True)
        both = sorted((*own, *shared.values()), key=lambda each: each.default is not each.empty)
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [each.replace(kind=kind, annotation=hints[each.name]) for each in both]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: hints[each.name] for each in both}
        del called.__wrapped__  # whose signature the parser would read
        return called

    return decorate


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


def model_of(where: Project, name: str) -> tuple[ServedModel, Path]:
    """A model's document and the file it stands in; a path to another folder is taken as well."""
    elsewhere = document_at(name)
    if elsewhere is not None:
        return load_model(elsewhere), elsewhere
    return find_model(where.models, name), where.models / name / "model.yaml"


def document_at(name: str) -> Path | None:
    """The document that a path of a model names; None where it is a model's name.

    Raises:
        UsageError: there is none there.
    """
    given = Path(name)
    if given.name != "model.yaml" and not (len(given.parts) > 1 and given.is_dir()):
        return None
    path = given if given.name == "model.yaml" else given / "model.yaml"
    if not path.is_file():
        raise UsageError("there is no model", where=str(path.parent), fix=f"It has no {path.name}.")
    return path


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
