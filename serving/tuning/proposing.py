"""Which settings of a model's server pay, decided from what was measured. Pure.

Requests a second say little where whoever asks is the slower one of the two, and processor time
says nothing of requests that wait; so a gain is in either of them, and no loss in the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contracts.document import format_duration
from contracts.model import Batch

GAIN = 1.15
"""What pays has to gain at least, with the most connections; less is lost in a machine's noise."""
LOSS = 0.95
"""What it may cost elsewhere."""
LONE = 1.25
"""How much longer the median of a client that is alone may get."""
FASTER = 1.25
"""What another thread has to gain for a large request."""
DIFFERENCE = 1e-3
"""From here on an answer depends on its neighbours, and not only its last bits do."""
NEAR = 0.05
"""Gains that are no further apart are taken to be one; the shorter wait is proposed."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a server was told."""

    batch: Batch | None = None
    threads: int = 1

    @property
    def title(self) -> str:
        """As a person reads it."""
        parts = []
        if self.batch:
            parts.append(f"batch, wait {format_duration(self.batch.wait)}")
        if self.threads > 1:
            parts.append(f"{self.threads} threads")
        return " and ".join(parts) or "as it is"


PLAIN = Setting()
Load = tuple[int, int]
"""Rows in a request, and connections at once."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting under one load.

    Args:
        setting: what the server was told.
        load: rows in a request, connections at once.
        per_second: requests that were answered.
        cpu: of the server, microseconds a request.
        p50: median latency in milliseconds.
        p99: its 99th percentile.
    """

    setting: Setting
    load: Load
    per_second: float
    cpu: float
    p50: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What to write into a model's document.

    Args:
        serving: the keys of its part ``serving``; empty for nothing.
        reasons: sentences, one for each setting that was looked at.
    """

    serving: Mapping[str, object] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


def propose(cells: Sequence[Cell], *, budget: float, difference: float | None = None) -> Proposal:
    """Decide.

    Args:
        cells: what was measured; loads that a setting lacks are not compared.
        budget: the model's latency budget in seconds.
        difference: by how much the same rows differ in company and alone, at the most, relative to
            the largest output; None where they never do.
    """
    table = {(cell.setting, cell.load): cell for cell in cells}
    settings = list(dict.fromkeys(cell.setting for cell in cells if cell.setting != PLAIN))
    serving: dict[str, object] = {}
    reasons: list[str] = []
    gains: dict[Setting, float] = {}
    for setting in settings:
        if setting.batch:
            gain, reason = _batched(setting, table, 1000 * budget, difference)
            reasons.append(f"{setting.title}: {reason}")
            if gain is not None:
                gains[setting] = gain
    if gains:
        most = max(gains.values())
        near = [own for own, gain in gains.items() if gain >= most * (1 - NEAR)]
        chosen = min(near, key=lambda own: own.batch.wait if own.batch else 0.0)
        assert chosen.batch is not None
        serving["batch"] = chosen.batch.model_dump(mode="json")
    for setting in settings:
        if setting.batch is None:
            pays, reason = _threaded(setting, table)
            reasons.append(f"{setting.title}: {reason}")
            if pays:
                serving["threads"] = setting.threads
    return Proposal(serving=serving, reasons=tuple(reasons))


Table = Mapping[tuple[Setting, Load], Cell]


def _compared(setting: Setting, table: Table) -> list[tuple[Cell, Cell]]:
    """A setting's cells of one row, each with the plain server's, by connections."""
    return sorted(
        (
            (cell, table[PLAIN, load])
            for (own, load), cell in table.items()
            if own == setting and load[0] == 1 and (PLAIN, load) in table
        ),
        key=lambda both: both[0].load[1],
    )


def _gain(own: Cell, plain: Cell) -> float:
    """How many times as much; in requests a second, or out of the same processor time."""
    return max(own.per_second / plain.per_second, plain.cpu / own.cpu if own.cpu else 0.0)


def _batched(
    setting: Setting, table: Table, budget: float, difference: float | None
) -> tuple[float | None, str]:
    """What a batch gains, None where it does not pay; and why."""
    if difference is not None and difference > DIFFERENCE:
        return None, f"an answer depends on the rows beside it, by {difference:.1e}; leave it off"
    compared = _compared(setting, table)
    many = [(own, plain) for own, plain in compared if own.load[1] > 1]
    if not many:
        return None, "nothing was measured to compare; leave it off"
    own, plain = many[-1]
    gain = _gain(own, plain)
    rate, cpu = own.per_second / plain.per_second, own.cpu / plain.cpu if plain.cpu else 1.0
    fact = (
        f"at {own.load[1]} connections {rate:.2f} times the requests a second, {cpu:.2f} times the "
        "processor time of each"
    )
    if gain < GAIN:
        return None, f"{fact}; leave it off"
    for own, plain in many:
        at = f"at {own.load[1]} connections"
        if own.per_second < LOSS * plain.per_second:
            rate = own.per_second / plain.per_second
            return None, f"{at} only {rate:.2f} times the requests a second; leave it off"
        if own.p99 > max(budget, 1.1 * plain.p99):
            return None, f"{at} its p99 of {own.p99:.1f} ms is over the budget; leave it off"
    for own, plain in compared:
        if own.load[1] == 1 and own.p50 > LONE * plain.p50:
            longer = f"{own.p50:.2f} ms instead of {plain.p50:.2f}"
            return None, f"a client that is alone waits {longer}; leave it off"
    if difference:
        fact += f"; an answer then depends on the rows beside it, by {difference:.1e} at the most"
    return gain, fact


def _threaded(setting: Setting, table: Table) -> tuple[bool, str]:
    """Whether more threads pay, and why."""
    large = [
        (cell, table[PLAIN, load])
        for (own, load), cell in table.items()
        if own == setting and load[0] > 1 and load[1] == 1 and (PLAIN, load) in table
    ]
    if not large:
        return False, "nothing was measured to compare; leave it at 1"
    own, plain = max(large, key=lambda both: both[0].load[0])
    fact = f"{own.load[0]} rows take {own.p50:.2f} ms instead of {plain.p50:.2f}"
    if own.p50 * FASTER > plain.p50:
        return False, f"{fact}; leave it at 1"
    for own, plain in _compared(setting, table):
        if own.per_second < LOSS * plain.per_second:
            rate = own.per_second / plain.per_second
            at = f"at {own.load[1]} connections with one row"
            return False, f"{fact}, but {at} {rate:.2f} times the requests a second; leave it at 1"
    return True, f"{fact}; give each server as many processors (cpu: {setting.threads})"
