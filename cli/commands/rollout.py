"""``millwright rollout …``: start, watch and undo; status and history; the words to steer it."""

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
    at,
    model_of,
    project,
    rollouts_of,
)
from cli.output import table
from cli.rollout_tables import phase_of, status_table, weight
from cli.watching import WatchedRollout, decided, show
from contracts.document import parse_duration, parse_share
from contracts.errors import LocalError, RolloutError, UsageError
from contracts.model import ModelSpec, ServedModel
from contracts.rollout import RolloutSpec, RolloutStatus, Target
from serving.rollout.wishes import previous

if TYPE_CHECKING:
    from project.handle import Project
    from serving.rollout.core.observations import Command
    from serving.rollout.handles import RolloutHandle

T = TypeVar("T")

group = typer.Typer(
    help="Bring a new version to its users, judged on evidence.", no_args_is_help=True
)
app.add_typer(group, name="rollout")


def find(
    model: ModelName,
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> WatchedRollout:
    """The rollout that the options name.

    Raises:
        RolloutError: there is no such cluster.
        UsageError: there is no such model.
        DocumentError: its document is wrong.
    """
    where = project(environment, outputs=outputs, context=context)
    return WatchedRollout(rollout=rollouts_of(where, namespace).rollout(model_of(where, model)[0]))


@group.command()
def start(
    model: ModelName,
    version: str = typer.Option("", help="The version; the newest registered one when left out."),
    interval: str = typer.Option("", help="Time between looks, instead of the document's."),
    harm_budget: float = typer.Option(0, help="Bad responses it may cost.", min=0),
    max_weight: str = typer.Option("", help="Largest weight before promotion."),
    retry: bool = typer.Option(
        False, "--retry", help="Also if this version was rolled back before."
    ),
    judge: bool = typer.Option(
        False, "--judge", help="As a canary, also if this version was judged before."
    ),
    watch_it: bool = typer.Option(False, "--watch", help="Watch until the verdict."),
    uri: str = typer.Option("", help="The version's artifact, instead of the registry's."),
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    mlflow: MlflowOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> None:
    """Start a version as a canary; with no stable version yet, it becomes that.

    A version that was judged here before takes all traffic as soon as it is ready, as by `undo`.
    """
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
    begun = begin(
        where, spec, version, changes, retry=retry, judge=judge, uri=uri, namespace=namespace
    )
    if watch_it:
        show(begun)


@group.command()
@at(find)
def watch(watched: WatchedRollout) -> None:
    """Show look by look how a rollout goes, until its verdict. Ends with 3 if it is rolled back."""
    check_begun(watched.rollout)
    show(watched)


@group.command()
@at(find)
def undo(
    watched: WatchedRollout,
    to: str = typer.Option("", metavar="VERSION", help="Another version that was judged here."),
    watch_it: bool = typer.Option(False, "--watch", help="Watch until it serves."),
) -> None:
    """Go back to the version before the stable one: it takes all traffic as soon as it is ready.

    Without a canary, because it was judged before. The version that is left is judged anew when it
    is asked for again. `abort` is for a rollout under way.
    """
    rollout = watched.rollout
    target = previous(rollout.name, rollout.status(), to or None)
    begun = WatchedRollout(rollout=rollout, before=decided(rollout))
    rollout.start(target, plan=rollout.plan())
    rollout.ensure_runner()
    output.say(f"    back to {rollout.name} version {target.version}, as soon as it is ready")
    if watch_it:
        show(begun)
    else:
        output.result({"model": rollout.name, "version": target.version})


def check_begun(rollout: RolloutHandle) -> None:
    """Refuse to wait for what nobody has asked for.

    Raises:
        RolloutError: no version of the model was ever asked for.
    """
    if rollout.status() == RolloutStatus(model=rollout.name) and rollout.over(
        rollout.status().model_copy(update={"confirmed": {}})
    ):
        raise RolloutError(
            "no version of it was rolled out yet",
            where=rollout.name,
            fix=f"`millwright rollout start {rollout.name}` starts the newest.",
        )


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
    spec: ServedModel,
    version: str = "",
    changes: dict[str, object] | None = None,
    *,
    retry: bool = False,
    judge: bool = False,
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
    if where.has_cluster:
        check_from_here(where, spec.name, target)
    begun = WatchedRollout(rollout=rollout, before=decided(rollout))
    plan = plan_of(spec, changes or {})
    rollout.start(target, plan=plan, serving=spec.serving, retry=retry, judge=judge)
    rollout.ensure_runner()
    again = not judge and decided_before(rollout, target)
    how = (
        "it was judged before, and takes all traffic as soon as it is ready"
        if again
        else "it is judged from now on"
    )
    output.say(f"    {spec.name} version {target.version} is wanted; {how}")
    return begun


def check_from_here(where: Project, model: str, target: Target) -> None:
    """Refuse an artifact that the cluster's servers could not serve, as far as it can be read here.

    Raises:
        MillwrightError: it is broken, or another model's or version's.
    """
    from serving.asked_for import check_artifact
    from serving.runtime.store import UnreachableError

    try:
        where.connect()
        check_artifact(model, target)
    except (LocalError, UnreachableError) as unknown:
        output.warn(
            f"{target.uri} was not looked into before the cluster is asked to serve it: "
            f"{unknown.what}"
        )


def decided_before(rollout: RolloutHandle, target: Target) -> bool:
    """Whether a version is returned to, and not judged."""
    try:
        return rollout.status().returns_to(target)
    except RolloutError:  # a cluster that has only just been told of the model
        return False


def target_of(where: Project, spec: ServedModel, version: str, uri: str) -> Target:
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
                how = "train" if isinstance(spec, ModelSpec) else "register"
                raise RolloutError(
                    "no version is registered",
                    where=spec.name,
                    fix=f"Run `millwright {how} {spec.name}`.",
                )
            version = max((entry.version for entry in entries), key=int)
        return Target(version=version, uri=uri or registry.get(spec.name, version)[1])


def plan_of(spec: ServedModel, changes: dict[str, object]) -> RolloutSpec:
    """The model's plan with what the command line says instead."""
    written = {**spec.rollout.model_dump(mode="json"), **changes}
    return RolloutSpec.parse(written, where="the rollout's plan")


@group.command()
@at(find)
def status(watched: WatchedRollout) -> None:
    """Show how a model's rollout stands."""
    rollout = watched.rollout.status()
    output.result(
        {**rollout.model_dump(mode="json"), "phase": phase_of(rollout) or None},
        lambda console: console.print(status_table([rollout])),
    )


@group.command()
@at(find)
def history(watched: WatchedRollout) -> None:
    """Show every decision with its numbers."""
    decisions = watched.rollout.history()
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
        lambda console: console.print(
            table("", columns, rows, right=("look", "weight"))
            if rows
            else "    nothing was decided yet"
        ),
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

    @at(find)
    def handed_over(watched: WatchedRollout) -> None:
        say(watched, command)

    return handed_over


for _command, _help in ORDERS.items():
    group.command(_command, help=_help)(order(_command))
