"""What the rules and the judge read off the table of guards (`contracts.signals`)."""

from __future__ import annotations

from contracts.rollout import Counters, Outcomes
from contracts.signals import Signal, signal, tallies


def families() -> dict[str, tuple[str, ...]]:
    """Who counts (the field of `Counters` that names it), and what; the first of each is the one
    that is there whenever anything of that family is."""
    gateway, servers = (
        tuple(tally.name for tally in tallies(source)) for source in ("gateway", "servers")
    )
    return {"epoch": gateway, "servers": (*servers, "predictions")}


def outcomes(counters: Counters, guard: str) -> Outcomes | None:
    """A guard's outcomes in a difference of counters; None is no data."""
    row = signal(guard)
    total, bad = counters.count(row.total), counters.count(row.bad)
    if total is None or bad is None:
        return None
    return Outcomes(total=total, bad=bad)


def awaited(row: Signal, candidate: Counters, stable: Counters, copies: Counters) -> float:
    """How many of a guard's outcomes of the candidate are still to come.

    Harm that is done but not yet known counts too: late feedback must not look like no harm. The
    stable version's record says for which share of the responses an outcome comes at all; while it
    has none, all of it is awaited. Nothing is awaited of the `copies` that the candidate answered
    before it had traffic.
    """
    served = (candidate.count(row.due) or 0) - (copies.count(row.due) or 0)
    known, due = candidate.count(row.total) or 0, stable.count(row.due)
    share = min(1.0, (stable.count(row.total) or 0) / due) if due else 0.0
    return max(0.0, served * (share or 1.0) - known)
