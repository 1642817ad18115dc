"""A rollout while it runs: a live table in a terminal, a line a decision elsewhere, the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.live import Live

from cli.app import output
from cli.output import is_terminal
from cli.rollout_tables import VERDICTS, decision_table, evidence, requests, weight
from contracts.errors import RejectedError, RolloutError
from contracts.rollout import Decision, Phase, RolloutStatus

if TYPE_CHECKING:
    from serving.rollout.handles import RolloutHandle

SHOWN = 16
"""Decisions that the live table shows."""
PATIENCE = 15.0
"""Seconds for which nobody may run a rollout: its keeper starts a killed loop again."""
Key = tuple[float, int, str, str]
"""`Decision.key`."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model's rollout, here or in a cluster."""

    rollout: RolloutHandle
    before: frozenset[Key] | None = None
    """Decisions of rollouts before this one, where it has only just been asked for."""


def told(rollout: RolloutHandle) -> frozenset[Key]:
    """The decisions there are; none where the model has had no rollout yet."""
    try:
        return frozenset(one.key for one in rollout.history())
    except RolloutError:
        return frozenset()


def earlier(rollout: RolloutHandle) -> frozenset[Key]:
    """The decisions of rollouts before the present one."""
    began = rollout.status().started or 0.0
    return frozenset(one.key for one in rollout.history() if one.at < began)


def show(found: Found) -> RolloutStatus:
    """Print a rollout live until it is over.

    Raises:
        RejectedError: it was rolled back.
        RolloutError: its loop has ended without a verdict.
    """
    rollout = found.rollout
    known = set(earlier(rollout) if found.before is None else found.before)
    decisions: list[Decision] = []
    ran = time.monotonic()
    live = Live(console=output.console, transient=True, refresh_per_second=4)
    shows = is_terminal() and not output.as_json
    if shows:
        live.start()
    try:
        while True:
            status = rollout.status()
            new = [one for one in rollout.history() if one.key not in known]
            known |= {one.key for one in new}
            decisions += new
            if shows:
                live.update(decision_table(decisions[-SHOWN:], rollout.plan()))
            else:
                print_lines(new)
            if rollout.over(status):
                break
            if rollout.has_runner():
                ran = time.monotonic()
            elif time.monotonic() - ran > PATIENCE:
                raise RolloutError(
                    "the loop that runs it has ended", where=rollout.name, fix=rollout.advice
                )
            time.sleep(rollout.pace)
    finally:
        if shows:
            live.stop()
    if shows:
        output.console.print(decision_table(thinned(decisions), rollout.plan()))
    verdict(rollout, status)
    return status


def print_lines(decisions: Sequence[Decision]) -> None:
    """Decisions as lines, where nobody watches a terminal."""
    for one in decisions:
        output.say(
            f"    look {one.look:>3}  {weight(one):>7}  {one.phase:<11}  "
            f"{requests(one):>13}  against {evidence(one, 'against') or '-':>5}  "
            f"for {evidence(one, 'for') or '-':>5}  {one.reason}"
        )


def thinned(decisions: Sequence[Decision]) -> list[Decision]:
    """At most as many as fit a screen: the first, the last, and some between."""
    if len(decisions) <= SHOWN:
        return list(decisions)
    step = (len(decisions) - 1) / (SHOWN - 1)
    return [decisions[round(index * step)] for index in range(SHOWN)]


def verdict(rollout: RolloutHandle, status: RolloutStatus) -> None:
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
        raise RejectedError(f"rolled back: {status.reason}", where=rollout.name)
