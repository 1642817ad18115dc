"""A rollout while it runs: a live table in a terminal, a line a decision elsewhere, the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.live import Live

from cli.app import output
from cli.output import is_terminal
from cli.rollout_tables import VERDICTS, decision_table, evidence, requests, weight
from contracts.errors import RejectedError, RolloutError
from contracts.rollout import Decision, Phase, RolloutStatus

if TYPE_CHECKING:
    from local.rollout import LocalRollout
    from serving.rollout.cluster import ClusterRollout

    AnyRollout = LocalRollout | ClusterRollout

SHOWN = 16
"""Decisions that the live table shows."""


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
    verdict(rollout, status)
    return status


def print_new(decisions: Sequence[Decision], printed: int) -> int:
    """Decisions as lines, where nobody watches a terminal."""
    for one in decisions[printed:]:
        output.say(
            f"    look {one.look:>3}  {weight(one):>7}  {one.phase:<11}  "
            f"{requests(one):>13}  against {evidence(one, 'against') or '-':>5}  "
            f"for {evidence(one, 'for') or '-':>5}  {one.reason}"
        )
    return len(decisions)


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


def verdict(rollout: AnyRollout, status: RolloutStatus) -> None:
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
