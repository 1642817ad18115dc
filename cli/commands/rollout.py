"""``millwright rollout start | watch | status | pause | resume | abort | promote | history``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import typer

from cli.app import app, output
from cli.common import (
    ContextOption,
    EnvironmentOption,
    MlflowOption,
    ModelName,
    NamespaceOption,
    OutputsOption,
    model_of,
    project,
    rollouts_of,
)
from cli.output import table
from cli.rollout_tables import status_table, weight
from cli.watching import WatchedRollout, decided, show
from contracts.document import parse_duration, parse_share
from contracts.errors import RolloutError, UsageError
from contracts.model import ModelSpec
from contracts.rollout import RolloutSpec, Target

if TYPE_CHECKING:
    from project.handle import Project
    from serving.rollout.core.observations import Command

T = TypeVar("T")

group = typer.Typer(
    help="Bring a new version to its users, judged on evidence.", no_args_is_help=True
)
app.add_typer(group, name="rollout")


def find(
    model: str, environment: str, outputs: str = "", context: str = "", namespace: str = ""
) -> WatchedRollout:
    """The rollout that the options name.

    Raises:
        RolloutError: there is no such cluster.
        DocumentError: there is no such model.
    """
    where = project(environment, outputs=outputs, context=context)
    return WatchedRollout(rollout=rollouts_of(where, namespace).rollout(model_of(where, model)[0]))


@group.command()
def start(
    model: ModelName,
    version: str = typer.Option("", help="The version; the newest registered one when left out."),
    interval: str = typer.Option("", help="Time between looks, instead of the document's."),
    harm_budget: float = typer.Option(0, help="Bad responses it may cost, likewise.", min=0),
    max_weight: str = typer.Option("", help="Largest weight before promotion, likewise."),
    retry: bool = typer.Option(False, help="Also if this version was rolled back before."),
    watch_it: bool = typer.Option(False, "--watch", help="Watch until the verdict."),
    uri: str = typer.Option("", help="The version's artifact, instead of the registry's."),
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    mlflow: MlflowOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> None:
    """Start a version as a canary; with no stable version yet, it becomes that."""
    where = project(environment, outputs=outputs, mlflow=mlflow, context=context)
    spec, _ = model_of(where, model)
    changes: dict[str, object] = {}
    if interval:
        changes["interval"] = given("--interval", interval, parse_duration)
    if harm_budget:
        changes["harm_budget"] = harm_budget
    if max_weight:
        share = given("--max-weight", max_weight, parse_share)
        changes["weight"] = {**spec.rollout.weight.model_dump(mode="json"), "max": share}
    begun = begin(where, spec, version, changes, retry=retry, uri=uri, namespace=namespace)
    if watch_it:
        show(begun)


@group.command()
def watch(
    model: ModelName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> None:
    """Show look by look how a rollout goes, until its verdict. Ends with 3 if it is rolled back."""
    show(find(model, environment, outputs, context, namespace))


def given(option: str, text: str, parse: Callable[[str], T]) -> T:
    """A value of the command line, parsed as the document's.

    Raises:
        UsageError: it is not one.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(str(error), where=option) from None


def begin(
    where: Project,
    spec: ModelSpec,
    version: str = "",
    changes: dict[str, object] | None = None,
    *,
    retry: bool = False,
    uri: str = "",
    namespace: str = "",
) -> WatchedRollout:
    """Ask for a version, and make sure that somebody runs its rollout.

    Returns:
        The rollout, to `show`.

    Raises:
        RolloutError: the version does not exist, serves already or was rolled back before.
    """
    target = target_of(where, spec, version, uri)
    rollout = rollouts_of(where, namespace).rollout(spec)
    begun = WatchedRollout(rollout=rollout, before=decided(rollout))
    plan = plan_of(spec, changes or {})
    rollout.start(target, plan=plan, serving=spec.serving, retry=retry)
    rollout.ensure_runner()
    output.say(f"    {spec.name} version {target.version} is wanted; it is judged from now on")
    return begun


def target_of(where: Project, spec: ModelSpec, version: str, uri: str) -> Target:
    """A version and its artifact, by the model registry unless both are given.

    Raises:
        RolloutError: no such version is registered.
    """
    from data.model_registry import ModelRegistry

    if version and uri:
        return Target(version=version, uri=uri)
    where.connect()
    with where.tracking() as tracking_uri:
        registry = ModelRegistry(tracking_uri)
        if not version:
            entries = registry.versions(spec.name)
            if not entries:
                raise RolloutError(
                    "no version is registered",
                    where=spec.name,
                    fix=f"Run `millwright train {spec.name}`.",
                )
            version = max((entry.version for entry in entries), key=int)
        return Target(version=version, uri=uri or registry.get(spec.name, version)[1])


def plan_of(spec: ModelSpec, changes: dict[str, object]) -> RolloutSpec:
    """The model's plan with what the command line says instead."""
    written = {**spec.rollout.model_dump(mode="json"), **changes}
    return RolloutSpec.parse(written, where="the rollout's plan")


@group.command()
def status(
    model: ModelName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> None:
    """Show how a model's rollout stands."""
    rollout = find(model, environment, outputs, context, namespace).rollout.status()
    output.result(
        rollout.model_dump(mode="json"), lambda console: console.print(status_table([rollout]))
    )


@group.command()
def history(
    model: ModelName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> None:
    """Show every decision with its numbers."""
    decisions = find(model, environment, outputs, context, namespace).rollout.history()
    rows = [
        (
            f"{datetime.fromtimestamp(decision.at):%m-%d %H:%M:%S}",
            decision.candidate or "",
            decision.look or "",
            weight(decision),
            decision.phase,
            decision.reason,
        )
        for decision in decisions
    ]
    columns = ("time", "version", "look", "weight", "phase", "reason")
    output.result(
        [decision.model_dump(mode="json") for decision in decisions],
        lambda console: console.print(table("", columns, rows, right=("look", "weight"))),
    )


def say(watched: WatchedRollout, command: Command) -> None:
    """Hand a command to who runs the rollout; it is obeyed at the next step."""
    watched.rollout.say(command)
    watched.rollout.ensure_runner()
    output.result(
        {"model": watched.rollout.name, "command": command},
        lambda console: console.print(f"    {command}: obeyed at the next step"),
    )


ORDERS: dict[Command, str] = {
    "pause": "Hold a rollout at its weight.",
    "resume": "Go on with a paused rollout, and start its loop again where it has ended.",
    "abort": "Roll the candidate back.",
    "promote": "Promote the candidate on your word instead of evidence; the status says so.",
}


def order(command: Command) -> Callable[..., None]:
    """The subcommand that hands over this word."""

    def handed_over(
        model: ModelName,
        environment: EnvironmentOption = "local",
        outputs: OutputsOption = "",
        context: ContextOption = "",
        namespace: NamespaceOption = "",
    ) -> None:
        say(find(model, environment, outputs, context, namespace), command)

    return handed_over


for _command, _help in ORDERS.items():
    group.command(_command, help=_help)(order(_command))
