"""``millwright rollout start | watch | status | pause | resume | abort | promote | history``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from cli.app import app, output
from cli.common import EnvironmentOption, ModelName, model_of, twin
from cli.output import is_terminal, table
from contracts.document import parse_duration, parse_share
from contracts.errors import RejectedError, RolloutError, UsageError
from contracts.model import ModelSpec
from contracts.rollout import (
    WHOLE,
    Decision,
    GuardNumbers,
    Phase,
    RolloutSpec,
    RolloutStatus,
    Target,
)

if TYPE_CHECKING:
    from local.rollout import LocalRollout
    from local.twin import Twin
    from serving.rollout.cluster import ClusterRollout
    from serving.rollout.controller import Command

    AnyRollout = LocalRollout | ClusterRollout

ContextOption = Annotated[
    str, typer.Option("--context", help="A Kubernetes context: the rollout in that cluster.")
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", help="The model's namespace there.")
]

group = typer.Typer(
    help="Bring a new version to its users, judged on evidence.", no_args_is_help=True
)
app.add_typer(group, name="rollout")

SHOWN = 16
"""Decisions that the live table shows."""
VERDICTS = {Phase.PROMOTED: "green", Phase.WATCHING: "green", Phase.ROLLED_BACK: "red"}
VERDICTS |= {Phase.ROLLING_BACK: "red", Phase.REJECTED: "red", Phase.HELD: "yellow"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model's rollout, here or in a cluster, and who runs it."""

    rollout: AnyRollout
    ensure: Callable[[], object] = lambda: None
    """Makes sure that somebody runs it; in a cluster that is the operator's Deployment."""
    runs: Callable[[], bool] = lambda: True
    lost: str = ""
    """What to do when nobody runs it."""
    every: float = 1.0
    """Seconds between two looks at it."""


def find(model: str, environment: str, context: str, namespace: str) -> Found:
    """The rollout that the options name.

    Raises:
        RolloutError: there is no such cluster.
        DocumentError: there is no such model.
    """
    if context:
        return Found(rollout=in_cluster(context, namespace, model))
    where = twin(environment)
    return on_this_machine(where, model_of(where, model)[0])


def in_cluster(context: str, namespace: str, model: str) -> ClusterRollout:
    """A rollout in a cluster."""
    from serving.rollout.cluster import ClusterRollout
    from serving.rollout.kubernetes import Api, configuration

    return ClusterRollout(Api(configuration(context=context)), namespace, model)


def on_this_machine(where: Twin, spec: ModelSpec) -> Found:
    """A rollout of an environment on this machine."""
    name = spec.name
    return Found(
        rollout=where.rollout(spec),
        ensure=lambda: where.start_loop(name),
        runs=lambda: where.loop_runs(name),
        lost=f"See {where.supervisor.log(f'rollout.{name}')}; "
        f"`millwright rollout resume {name}` starts it again.",
        every=0.25,
    )


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
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Start a version as a canary; with no stable version yet, it becomes that."""
    where = twin(environment)
    spec, _ = model_of(where, model)
    changes: dict[str, object] = {}
    if interval:
        changes["interval"] = given("--interval", interval, parse_duration)
    if harm_budget:
        changes["harm_budget"] = harm_budget
    if max_weight:
        share = given("--max-weight", max_weight, parse_share)
        changes["weight"] = {**spec.rollout.weight.model_dump(mode="json"), "max": share}
    if not context:
        begin(where, spec, version, changes, retry=retry, uri=uri)
        found = on_this_machine(where, spec)
    else:
        found = Found(rollout=in_cluster(context, namespace, spec.name))
        target = target_of(where, spec, version, uri)
        plan = plan_of(spec, changes)
        in_cluster(context, namespace, spec.name).start(
            target, plan=plan, serving=spec.serving, retry=retry
        )
        output.say(f"    {spec.name} version {target.version} is wanted in {context}")
    if watch_it:
        show(found)


def given(option: str, text: str, parse: object) -> object:
    """A value of the command line, parsed as the document's.

    Raises:
        UsageError: it is not one.
    """
    try:
        return parse(text)  # type: ignore[operator]
    except ValueError as error:
        raise UsageError(str(error), where=option) from None


def begin(
    where: Twin,
    spec: ModelSpec,
    version: str = "",
    changes: dict[str, object] | None = None,
    *,
    retry: bool = False,
    uri: str = "",
) -> Target:
    """Ask for a version, and make sure that the loop runs.

    Raises:
        RolloutError: the version does not exist, serves already or was rolled back before.
    """
    target = target_of(where, spec, version, uri)
    plan = plan_of(spec, changes or {})
    where.rollout(spec).start(target, plan=plan, retry=retry)
    where.start_loop(spec.name)
    output.say(f"    {spec.name} version {version} is wanted; the loop judges it from now on")
    return target


@group.command()
def watch(
    model: ModelName,
    environment: EnvironmentOption = "local",
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Show look by look how a rollout goes, until its verdict. Ends with 3 if it is rolled back."""
    show(find(model, environment, context, namespace))


def target_of(where: Twin, spec: ModelSpec, version: str, uri: str) -> Target:
    """A version and its artifact, by the model registry unless both are given.

    Raises:
        RolloutError: no such version is registered.
    """
    from data.model_registry import ModelRegistry

    if version and uri:
        return Target(version=version, uri=uri)
    where.connect()
    registry = ModelRegistry(where.tracking_uri)
    if not version:
        newest = registry.versions(spec.name)
        if not newest:
            raise RolloutError(
                "no version is registered",
                where=spec.name,
                fix=f"Run `millwright train {spec.name}`.",
            )
        version = max((one.version for one in newest), key=int)
    return Target(version=version, uri=uri or registry.get(spec.name, version)[1])


def plan_of(spec: ModelSpec, changes: dict[str, object]) -> RolloutSpec:
    """The model's plan with what the command line says instead."""
    written = {**spec.rollout.model_dump(mode="json"), **changes}
    return RolloutSpec.parse(written, where="the rollout's plan")


def follow(where: Twin, spec: ModelSpec, *, until_warm: bool = False) -> RolloutStatus:
    """Print the rollout of an environment on this machine live until it is over; as `show`."""
    return show(on_this_machine(where, spec), until_warm=until_warm)


def show(found: Found, *, until_warm: bool = False) -> RolloutStatus:
    """Print a rollout live until it is over.

    Args:
        found: the rollout.
        until_warm: stop watching once it is promoted, though the old version is still kept warm.

    Raises:
        RejectedError: it was rolled back.
        RolloutError: its loop has ended without a verdict.
    """
    rollout = found.rollout
    since = len(rollout.history())
    printed = 0
    live = Live(console=output.console, transient=True, refresh_per_second=4)
    shows = is_terminal() and not output.as_json
    if shows:
        live.start()
    try:
        while True:
            status = rollout.status()
            decisions = this_rollout(rollout, status)
            if shows:
                live.update(decision_table(decisions[-SHOWN:], rollout.plan()))
            elif not output.as_json:
                printed = print_new(decisions, printed)
            if finished(rollout, status, until_warm=until_warm):
                break
            if not found.runs():
                if finished(rollout, rollout.status(), until_warm=until_warm):
                    continue
                raise RolloutError(
                    "the loop that runs it has ended", where=rollout.model.name, fix=found.lost
                )
            time.sleep(found.every)
    finally:
        if shows:
            live.stop()
    if shows:
        output.console.print(decision_table(thinned(decisions), rollout.plan()))
    verdict(rollout, status, since)
    return status


def this_rollout(rollout: AnyRollout, status: RolloutStatus) -> list[Decision]:
    """The decisions since the present rollout began."""
    began = status.started or 0.0
    return [one for one in rollout.history() if one.at >= began]


def finished(rollout: AnyRollout, status: RolloutStatus, *, until_warm: bool) -> bool:
    """Whether there is nothing left to watch."""
    if until_warm and status.phase is Phase.WATCHING:
        return True
    return rollout.over(status)


def thinned(decisions: Sequence[Decision]) -> list[Decision]:
    """At most as many as fit a screen: the first, the last, and some between."""
    if len(decisions) <= SHOWN:
        return list(decisions)
    step = (len(decisions) - 1) / (SHOWN - 1)
    return [decisions[round(index * step)] for index in range(SHOWN)]


def verdict(rollout: AnyRollout, status: RolloutStatus, since: int) -> None:
    """How it ended.

    Raises:
        RejectedError: it was rolled back.
    """
    harm, plan = status.harm, rollout.plan()
    colour = VERDICTS.get(status.phase, "white")
    output.result(
        status.model_dump(mode="json"),
        lambda console: console.print(
            f"    [{colour}]{status.phase}[/]: {status.reason}\n"
            f"    harm: about {max(harm.estimate, 0):.0f} bad responses because of it "
            f"({max(harm.low, 0):.0f} to {max(harm.high, 0):.0f}), budget {plan.harm_budget:g}"
        ),
    )
    if status.phase in (Phase.ROLLED_BACK, Phase.REJECTED):
        raise RejectedError(f"rolled back: {status.reason}", where=rollout.model.name)


# -- tables ---------------------------------------------------------------------------------------


def decision_table(decisions: Sequence[Decision], plan: RolloutSpec) -> Table:
    """Look, weight, requests, bad, evidence against and for, phase."""
    guards = list(plan.guards.compared())
    columns = ["look", "weight", "phase", "requests"]
    columns += [f"bad: {name}" for name in guards] + ["against", "for", "harm"]
    rows = [
        [
            decision.look or "",
            weight(decision),
            f"[{VERDICTS.get(decision.phase, 'white')}]{decision.phase}[/]",
            requests(decision),
            *(bad(decision.guards.get(name)) for name in guards),
            evidence(decision, "against"),
            evidence(decision, "for"),
            f"{decision.harm.estimate:.1f}" if decision.guards else "",
        ]
        for decision in decisions
    ]
    return table("", columns, rows, right=[name for name in columns if name != "phase"])


def weight(decision: Decision) -> str:
    """The version's share of the traffic; once promoted it has all of it."""
    share = 1.0 if decision.phase is Phase.PROMOTED else decision.weight / WHOLE
    return f"{share:.2%}"


def requests(decision: Decision) -> str:
    """Requests of candidate and stable in this look."""
    numbers = next(iter(decision.guards.values()), None)
    return f"{numbers.candidate.total:,} | {numbers.stable.total:,}" if numbers else ""


def bad(numbers: GuardNumbers | None) -> str:
    """Bad outcomes of candidate and stable in this look."""
    return f"{numbers.candidate.bad} | {numbers.stable.bad}" if numbers else ""


def evidence(decision: Decision, side: str) -> str:
    """Log evidence as a share of what a verdict takes: the strongest guard against, the weakest
    for, because one guard condemns and all must clear."""
    numbers = decision.guards.values()
    if not numbers:
        return ""
    if side == "against":
        share = max(one.harm / one.harm_limit for one in numbers)
    else:
        share = min(max(one.safe, one.rare) / one.safe_limit for one in numbers)
    return f"{max(share, 0):.0%}"


def print_new(decisions: Sequence[Decision], printed: int) -> int:
    """Decisions as lines, where nobody watches a terminal."""
    for one in decisions[printed:]:
        output.say(
            f"    look {one.look:>3}  {weight(one):>7}  {one.phase:<11}  "
            f"{requests(one):>13}  against {evidence(one, 'against') or '-':>5}  "
            f"for {evidence(one, 'for') or '-':>5}  {one.reason}"
        )
    return len(decisions)


def status_table(statuses: Sequence[RolloutStatus]) -> Table:
    """How each rollout stands."""
    return table(
        "Rollouts",
        ("model", "phase", "stable", "candidate", "weight", "looks", "reason"),
        [
            (
                one.model,
                f"[{VERDICTS.get(one.phase, 'white')}]{one.phase}[/]",
                one.stable.version if one.stable else "",
                one.candidate.version if one.candidate else "",
                f"{one.weight / WHOLE:.2%}" if one.candidate else "",
                one.look,
                one.reason,
            )
            for one in statuses
        ],
        right=("weight", "looks"),
    )


# -- what a person says ---------------------------------------------------------------------------


@group.command()
def status(
    model: ModelName,
    environment: EnvironmentOption = "local",
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Show how a model's rollout stands."""
    found = find(model, environment, context, namespace).rollout.status()
    output.result(
        found.model_dump(mode="json"), lambda console: console.print(status_table([found]))
    )


@group.command()
def history(
    model: ModelName,
    environment: EnvironmentOption = "local",
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Show every decision with its numbers."""
    found = find(model, environment, context, namespace).rollout.history()
    rows = [
        (
            f"{datetime.fromtimestamp(one.at):%m-%d %H:%M:%S}",
            one.candidate or "",
            one.look or "",
            weight(one),
            one.phase,
            one.reason,
        )
        for one in found
    ]
    columns = ("time", "version", "look", "weight", "phase", "reason")
    output.result(
        [one.model_dump(mode="json") for one in found],
        lambda console: console.print(table("", columns, rows, right=("look", "weight"))),
    )


def say(found: Found, command: Command) -> None:
    """Hand a command to who runs the rollout; it is obeyed at the next step."""
    found.rollout.say(command)
    found.ensure()
    output.result(
        {"model": found.rollout.model.name, "command": command},
        lambda console: console.print(f"    {command}: obeyed at the next step"),
    )


@group.command()
def pause(
    model: ModelName,
    environment: EnvironmentOption = "local",
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Hold a rollout at its weight."""
    say(find(model, environment, context, namespace), "pause")


@group.command()
def resume(
    model: ModelName,
    environment: EnvironmentOption = "local",
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Go on with a paused rollout, and start its loop again where it has ended."""
    say(find(model, environment, context, namespace), "resume")


@group.command()
def abort(
    model: ModelName,
    environment: EnvironmentOption = "local",
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Roll the candidate back."""
    say(find(model, environment, context, namespace), "abort")


@group.command()
def promote(
    model: ModelName,
    environment: EnvironmentOption = "local",
    context: ContextOption = "",
    namespace: NamespaceOption = "default",
) -> None:
    """Promote the candidate on your word instead of evidence; the status says so."""
    say(find(model, environment, context, namespace), "promote")
