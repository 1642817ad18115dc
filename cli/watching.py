"""A rollout while it runs: a live table in a terminal, a line a decision elsewhere, the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.live import Live

from cli.app import output
from cli.entry import INTERRUPTED
from cli.output import is_terminal
from cli.rollout_tables import BOTH, LEGEND, VERDICTS, decision_table, evidence, requests, weight
from contracts.errors import RejectedError, RolloutError
from contracts.rollout import Decision, Phase, RolloutStatus
from pocket.patience import allowed

if TYPE_CHECKING:
    from serving.rollout.handles import RolloutHandle

SHOWN = 16
"""Decisions that the live table shows."""
PATIENCE = 15.0
"""Seconds for which nobody may run a rollout: its keeper starts a killed loop again."""
Key = tuple[float, int, str, str]
"""`Decision.key`."""


@dataclass(frozen=True, kw_only=True)
class WatchedRollout:
    """A model's rollout, here or in a cluster."""

    rollout: RolloutHandle
    before: frozenset[Key] | None = None
    """Decisions of rollouts before this one, where it has only just been asked for."""


def decided(rollout: RolloutHandle) -> frozenset[Key]:
    """The decisions there are; none where the model has had no rollout yet."""
    try:
        return frozenset(decision.key for decision in rollout.history())
    except RolloutError:
        return frozenset()


def earlier(rollout: RolloutHandle) -> frozenset[Key]:
    """The decisions of rollouts before the present one."""
    began = rollout.status().started or 0.0
    return frozenset(decision.key for decision in rollout.history() if decision.at < began)


def show(watched: WatchedRollout) -> RolloutStatus:
    """Print a rollout live until it is over.

    Raises:
        RejectedError: it was rolled back.
        RolloutError: its loop has ended without a verdict.
    """
    rollout = watched.rollout
    known = set(earlier(rollout) if watched.before is None else watched.before)
    decisions: list[Decision] = []
    ran = time.monotonic()
    live = Live(console=output.console, transient=True, refresh_per_second=4)
    shows = is_terminal() and not output.as_json
    if not shows:
        output.say(f"    [dim]{LEGEND}[/]")
    if shows:
        live.start()
    try:
        while True:
            status = rollout.status()
            new = [decision for decision in rollout.history() if decision.key not in known]
            known |= {decision.key for decision in new}
            decisions += new
            if shows:
                live.update(decision_table(decisions[-SHOWN:], rollout.plan()))
            else:
                print_lines(new)
            if rollout.over(status):
                break
            if rollout.has_runner():
                ran = time.monotonic()
            elif time.monotonic() - ran > allowed(PATIENCE):
                raise RolloutError(
                    "the loop that runs it has ended", where=rollout.name, fix=rollout.advice
                )
            time.sleep(rollout.pace)
    except KeyboardInterrupt:
        output.say(
            f"\n    the rollout goes on; `millwright rollout watch {rollout.name}` comes back to it"
        )
        raise SystemExit(INTERRUPTED) from None
    finally:
        if shows:
            live.stop()
    if shows:
        output.console.print(decision_table(thinned(decisions), rollout.plan()))
    verdict(rollout, status)
    return status


def print_lines(decisions: Sequence[Decision]) -> None:
    """Decisions as lines, where nobody watches a terminal."""
    for decision in decisions:
        output.say(
            f"    look {decision.look:>3}  {weight(decision):>7}  {decision.phase:<11}  "
            f"{BOTH} {requests(decision):>13}  against {evidence(decision, 'against') or '-':>5}  "
            f"for {evidence(decision, 'for') or '-':>5}  {decision.reason}"
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
