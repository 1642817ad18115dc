"""Rollouts as tables and lines: pure functions of statuses and decisions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from cli.output import table
from contracts.rollout import WHOLE, Decision, GuardNumbers, Phase, RolloutSpec, RolloutStatus

VERDICTS = {Phase.PROMOTED: "green", Phase.WATCHING: "green", Phase.ROLLED_BACK: "red"}
VERDICTS |= {Phase.ROLLING_BACK: "red", Phase.REJECTED: "red", Phase.HELD: "yellow"}
"""The colour of a phase; others have none."""


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
        share = max(guard.share_against for guard in numbers)
    else:
        share = min(guard.share_for for guard in numbers)
    return f"{max(share, 0):.0%}"


def status_table(statuses: Sequence[RolloutStatus]) -> Table:
    """How each rollout stands."""
    return table(
        "Rollouts",
        ("model", "phase", "stable", "candidate", "weight", "looks", "reason"),
        [
            (
                status.model,
                f"[{VERDICTS.get(status.phase, 'white')}]{status.phase}[/]",
                status.stable.version if status.stable else "",
                status.candidate.version if status.candidate else "",
                f"{status.weight / WHOLE:.2%}" if status.candidate else "",
                status.look,
                status.reason,
            )
            for status in statuses
        ],
        right=("weight", "looks"),
    )
