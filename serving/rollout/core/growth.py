"""How counters grew between two looks, for all versions over the same time or for none.

Counters start again from zero whenever those who count do, so a difference is only taken where it
is certain that both readings are of one count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.document import Document
from contracts.rollout import Counters
from contracts.signals import SIGNALS
from serving.rollout.core.signals import families


class Growth(Document):
    """How the counters of several versions grew between two looks."""

    changes: dict[str, Counters]
    """The differences; None where there are none to be had."""
    baselines: dict[str, Counters]
    """What the next look's differences are to be taken from."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def growth(before: Mapping[str, Counters], now: Mapping[str, Counters]) -> Growth:
    """The counters' growth since the last look, for all versions over the same time or for none.

    Where a version's counters cannot be read, the next difference covers the gap, for every
    version. Where they began anew, or went back, this look is left out: numbers that went back say
    nothing. A reading of the same servers that went back is an old one, and the newer one stays.
    """
    changes = {name: Counters() for name in now}
    baselines = {name: before.get(name, Counters()) for name in now}
    notes: list[str] = []
    for owner, fields in families().items():
        verdicts = {
            name: _family(owner, fields, before.get(name), counters)
            for name, counters in now.items()
        }
        if all(verdict == "" for verdict in verdicts.values()):
            for name, counters in now.items():
                grown = {field: _less(before[name], counters, field) for field in fields}
                changes[name] = changes[name].model_copy(update=grown)
                baselines[name] = _take(baselines[name], counters, owner, fields)
            continue
        notes += [
            f"{name}: {sentence}"
            for name, sentence in verdicts.items()
            if sentence not in ("", MISSING)
        ]
        if any(verdict.startswith((AGAIN, FIRST)) for verdict in verdicts.values()):
            for name, counters in now.items():
                if not verdicts[name].startswith(OLD):
                    baselines[name] = _take(baselines[name], counters, owner, fields)
    return Growth(changes=changes, baselines=baselines, notes=tuple(notes))


MISSING, AGAIN, OLD = "no data", "counting began again", "an old reading"
FIRST = "counted from here on"


def _family(owner: str, fields: Sequence[str], before: Counters | None, now: Counters) -> str:
    """Why one version's counters of one family give no difference; empty when they do."""
    if getattr(now, fields[0]) is None:
        return MISSING
    if before is None or getattr(before, fields[0]) is None:
        return FIRST
    if getattr(before, owner) != getattr(now, owner):
        return f"{AGAIN}, those who count were restarted"
    grown = {field: _less(before, now, field) for field in fields}
    for field, value in grown.items():
        parts = value if isinstance(value, tuple) else (value or 0,)
        if min(parts, default=0) < 0:
            return f"{OLD if getattr(now, owner) else AGAIN}, {field} went back"
    for row in SIGNALS:
        bad, total = grown.get(row.bad), grown.get(row.total)
        if isinstance(bad, int) and isinstance(total, int) and bad > total:
            return f"{AGAIN}, {row.bad} grew by {bad} and {row.total} by {total}"
    return ""


def _less(before: Counters, now: Counters, name: str) -> int | tuple[int, ...] | None:
    """One counter's difference."""
    earlier, later = getattr(before, name), getattr(now, name)
    if isinstance(earlier, int) and isinstance(later, int):
        return later - earlier
    if isinstance(earlier, tuple) and isinstance(later, tuple) and len(earlier) == len(later):
        return tuple(b - a for a, b in zip(earlier, later, strict=True))
    return None


def _take(baseline: Counters, now: Counters, owner: str, fields: Sequence[str]) -> Counters:
    """The baseline with one family's counters as they are now."""
    return baseline.model_copy(update={field: getattr(now, field) for field in (owner, *fields)})
