"""Rollouts as tables and lines: pure functions of statuses and decisions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from cli.output import table
from contracts.rollout import WHOLE, Decision, GuardNumbers, Phase, RolloutSpec, RolloutStatus

VERDICTS = {Phase.PROMOTED: "green", Phase.WATCHING: "green", Phase.ROLLED_BACK: "red"}
VERDICTS |= {Phase.ROLLING_BACK: "red", Phase.REJECTED: "red", Phase.HELD: "yellow"}
"""The colour of a phase; others have none."""


BOTH = "new | old"
"""Which of two numbers is whose: the candidate's and the stable version's."""
LEGEND = (
    "new | old: candidate and stable version, in this look; against, for: the evidence, as a share "
    "of what a verdict takes. Above 100 % it is enough: then another guard, or a confirmation, is "
    "waited for"
)


def decision_table(decisions: Sequence[Decision], plan: RolloutSpec) -> Table:
    """Look, weight, requests, bad, evidence against and for, phase; says what they mean."""
    guards = list(plan.guards.compared())
    columns = ["look", "weight", "phase", f"requests\n{BOTH}"]
    columns += [f"bad: {name}\n{BOTH}" for name in guards] + ["against", "for", "harm"]
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
    made = table("", columns, rows, right=[name for name in columns if name != "phase"])
    made.caption, made.caption_justify = LEGEND, "left"
    return made


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


def phase_of(status: RolloutStatus) -> str:
    """The phase; nothing where no version was ever served, which is not a promotion."""
    return status.phase if status.stable or status.candidate or status.decisions else ""


def status_table(statuses: Sequence[RolloutStatus]) -> Table:
    """How each rollout stands."""
    return table(
        "Rollouts",
        ("model", "phase", "stable", "candidate", "weight", "looks", "reason"),
        [
            (
                status.model,
                f"[{VERDICTS.get(status.phase, 'white')}]{phase_of(status) or 'none yet'}[/]",
                status.stable.version if status.stable else "",
                status.candidate.version if status.candidate else "",
                f"{status.weight / WHOLE:.2%}" if status.candidate else "",
                status.look,
                status.reason if phase_of(status) else "no version was rolled out yet",
            )
            for status in statuses
        ],
        right=("weight", "looks"),
    )
