"""Rollouts on simulated traffic: Millwright's judge, ramp and controller beside its peers' rules.

Every rule sees streams from the same laws, with the same seeds. Ours is the real `decide`, called
as the laptop's loop and the operator call it, with the default plan (deadline set to the hour that
all have) unless the stream says what else. The peers' rules, each value with its source, are in
`benchmarks/peers/rollout_rules.py`.

    python -m benchmarks.rollouts [--runs 20] [--only identical] [--rules Millwright] [--seed 1]
    python -m benchmarks.rollouts --judge       how long a look takes
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.peers.rollout_rules import PEERS
from benchmarks.traffic import HOUR, Result, Rule, Stream
from contracts.rollout import WHOLE, Counters, Outcomes, Phase, RolloutSpec, RolloutStatus, Target
from serving.rollout.core import judge
from serving.rollout.core.controller import decide
from serving.rollout.core.observations import Action, Apply, Observation, Observed

OLD, NEW = "v1", "v2"
GUARDS: dict[str, dict[str, object]] = {
    "errors": {"errors": {}},
    "slow": {"slow": {"over": "50ms"}},
    "wrong": {"wrong": {"min_feedback": 200}},
}


@dataclass
class Twin:
    """A data plane and its counters: what is applied is so at the next step."""

    stream: Stream
    rng: np.random.Generator
    at: float = 0.0
    harmed: float = 0.0
    weights: dict[str, int] = field(default_factory=lambda: {OLD: WHOLE})
    shadow: bool = False
    served: dict[str, int] = field(default_factory=lambda: {OLD: 0, NEW: 0})
    known: dict[str, NDArray[np.int64]] = field(
        default_factory=lambda: {OLD: np.zeros(3, np.int64), NEW: np.zeros(3, np.int64)}
    )
    predictions: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    waiting: list[tuple[float, str, NDArray[np.int64]]] = field(default_factory=list)

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Apply):
                self.weights = {one.target.predictor: one.weight for one in action.predictors}
                self.shadow = any(one.shadow for one in action.predictors)

    def pass_time(self, seconds: float) -> None:
        """Traffic by the weights in use, and the outcomes that are known by now."""
        stream, share = self.stream, self.weights.get(NEW, 0) / WHOLE
        own, bad, others, other = stream.sample(self.rng, self.at, seconds, share)
        self.harmed += stream.harm(own, self.at)
        if self.shadow:  # Copies: nobody sees what comes of them.
            own, bad = others, stream.bad(self.rng, others, stream.candidate, self.at)
        for name, total, failed in ((NEW, own, bad), (OLD, others, other)):
            self.served[name] += total
            also = stream.bad(self.rng, total, stream.stable, self.at) if stream.also else 0
            self.waiting.append((self.at + stream.delay, name, np.array([total, failed, also])))
            if stream.classes:
                law = stream.classes[name == NEW]
                counted = self.predictions.get(name, np.zeros(len(law), np.int64))
                self.predictions[name] = counted + self.rng.multinomial(total, law)
        for _, name, outcomes in [one for one in self.waiting if one[0] <= self.at]:
            self.known[name] = self.known[name] + outcomes
        self.waiting = [one for one in self.waiting if one[0] > self.at]
        self.at += seconds

    def observe(self) -> Observation:
        """What the controller is told."""
        return Observation(
            wanted=Target(version="2", uri="2"),
            predictors={
                name: Observed(ready=True, weight=one) for name, one in self.weights.items()
            },
            counters={name: self._counters(name) for name in self.weights},
        )

    def _counters(self, name: str) -> Counters:
        total, bad, also = (int(value) for value in self.known[name])
        values = dict.fromkeys(("requests", "timed"), self.served[name])
        known: dict[str, object] = {"feedback": total, "errors": 0, self.stream.guard: bad}
        if self.stream.also:
            known[self.stream.also] = also
        if self.stream.classes:
            zeros = np.zeros(len(self.stream.classes[0]), np.int64)
            known["predictions"] = tuple(self.predictions.get(name, zeros).tolist())
        return Counters.model_validate({"epoch": "e", "servers": "s", **values, **known})


def millwright(stream: Stream, rng: np.random.Generator) -> Result:
    """The real controller."""
    guards = {**GUARDS[stream.guard], **dict(stream.plan.get("guards", {}))}  # type: ignore[call-overload]
    spec = RolloutSpec.parse({"deadline": "2h", **stream.plan, "guards": guards})
    status = RolloutStatus(
        model="benchmark", stable=Target(version="1", uri="1"), wanted={OLD: WHOLE}
    )
    twin, began = Twin(stream=stream, rng=rng), None
    while twin.at < HOUR:
        status, actions = decide(spec, status, twin.observe(), twin.at)
        twin.act(actions)
        if status.phase in (Phase.SHADOW, Phase.RAMPING) and began is None:
            began = twin.at
        if status.phase in (Phase.ROLLING_BACK, Phase.PROMOTING) and began is not None:
            verdict = "promoted" if status.phase is Phase.PROMOTING else "rolled back"
            return Result(verdict=verdict, seconds=twin.at - began, harmed=twin.harmed)
        twin.pass_time(spec.interval)
    return Result(verdict="held", seconds=HOUR, harmed=twin.harmed)


RULES: dict[str, Rule] = {"Millwright": millwright, **PEERS}


# --- The cells ------------------------------------------------------------------------------------


def fivefold(at: float) -> float:
    """A rate that swings between 1 and 5 times, about every ten minutes."""
    return 3 + 2 * math.sin(at / 100)


def streams() -> Iterator[Stream]:
    """The cells of the table."""
    every = (1.0, 10.0, 100.0, 1000.0)
    for rate in (0.001, 0.005, 0.012):
        for rps in every:
            yield Stream(name=f"identical {rate:.1%}", rps=rps, stable=rate, candidate=rate)
    for rps in every:
        yield Stream(
            name="identical .5%, swinging", rps=rps, stable=0.005, candidate=0.005, swing=fivefold
        )
    for rate in (0.007, 0.01, 0.015, 0.05, 0.5):
        for rps in every:
            yield Stream(name=f"worse .5 to {rate:.1%}", rps=rps, stable=0.005, candidate=rate)
    for rate in (0.001, 0.002, 0.003):
        for rps in (10.0, 100.0, 1000.0) if rate == 0.003 else (100.0,):
            name = f"rare and doubled, {rate * 100:g} to {rate * 200:g}%"
            yield Stream(name=name, rps=rps, stable=rate, candidate=2 * rate)
    yield from _special()
    yield from _ours()


usual = partial(Stream, rps=100.0, stable=0.005)


def _special() -> Iterator[Stream]:
    """Other laws and guards at 100 requests a second."""
    yield usual(name="better .5 to .3%", candidate=0.003)
    yield usual(name="worse .5 to 1%, swinging", candidate=0.01, swing=fivefold)
    yield usual(name="identical .5%, bursts", candidate=0.005, bursts=True)
    yield usual(name="worse .5 to 1%, bursts", candidate=0.01, bursts=True)
    for name, rate in (("identical", 0.05), ("worse 5 to 10%", 0.1)):
        yield Stream(name=f"slow 5%, {name}", rps=100, stable=0.05, candidate=rate, guard="slow")
    for name, rate in (("identical", 0.17), ("worse 17 to 25%", 0.25)):
        yield Stream(
            name=f"wrong 17%, known after 2 min, {name}",
            rps=100,
            guard="wrong",
            delay=120.0,
            stable=0.17,
            candidate=rate,
        )


def _ours() -> Iterator[Stream]:
    """What only Millwright has."""
    both = {"guards": {"slow": {"over": "50ms"}}}
    for name, rate in (("identical .5%", 0.005), ("worse .5 to 1.5% in one", 0.015)):
        yield usual(name=f"two guards, {name}", candidate=rate, also="slow", plan=both)
    better = {"superiority": True}
    yield usual(name="superiority, identical .5%", candidate=0.005, plan=better)
    yield usual(name="superiority, better .5 to .2%", candidate=0.002, plan=better)
    first = {"shadow": "2m"}
    yield usual(name="2 min shadow, identical .5%", candidate=0.005, plan=first)
    yield usual(name="2 min shadow, worse .5 to 1.5%", candidate=0.015, plan=first)
    drift = {"guards": {"drift": {"action": "rollback"}}}
    alike, other = (0.7, 0.2, 0.1), (0.66, 0.24, 0.1)
    for name, law in (("alike", alike), ("70/20/10 to 66/24/10", other)):
        yield usual(name=f"drift, {name}", candidate=0.005, classes=(alike, law), plan=drift)


# --- The tables -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What became of one rule on one stream."""

    stream: str
    rps: float
    rule: str
    runs: int
    rolled_back: float
    promoted: float
    held: float
    seconds: tuple[float, float]
    """Median and 95th percentile."""
    harmed: tuple[float, float, float]
    """Mean, median and 95th percentile."""

    @classmethod
    def of(cls, stream: Stream, rule: str, results: Sequence[Result]) -> Cell:
        shares = [
            sum(one.verdict == verdict for one in results) / len(results)
            for verdict in ("rolled back", "promoted", "held")
        ]
        seconds, harmed = [one.seconds for one in results], [one.harmed for one in results]
        return cls(
            stream=stream.name,
            rps=stream.rps,
            rule=rule,
            runs=len(results),
            rolled_back=shares[0],
            promoted=shares[1],
            held=shares[2],
            seconds=_quantiles(seconds),
            harmed=(float(np.mean(harmed)), *_quantiles(harmed)),
        )

    def columns(self) -> tuple[str, ...]:
        return (
            self.stream,
            f"{self.rps:g}",
            *(f"{share:.1%}" for share in (self.rolled_back, self.promoted, self.held)),
            *(f"{value:.0f}" for value in self.seconds),
            *(f"{value:.1f}" for value in self.harmed),
        )

    def short(self) -> str:
        """All of it in one field."""
        shares = " / ".join(
            f"{100 * one:.4g}" for one in (self.rolled_back, self.promoted, self.held)
        )
        lines = [shares, f"{_span(self.seconds)} s"]
        if self.harmed[2] >= 0.5:
            lines.append(f"{_span(self.harmed[1:])} harmed")
        return "<br>".join(lines)


def _span(values: Sequence[float]) -> str:
    """Median and 95th percentile; one number where they are the same."""
    return "–".join(dict.fromkeys(f"{value:.0f}" for value in values))


def _runs(cells: Sequence[Cell]) -> str:
    """How many runs a cell has."""
    counts = sorted({one.runs for one in cells})
    return (
        " to ".join(f"{one:,}" for one in dict.fromkeys((counts[0], counts[-1]))) + " runs a cell"
    )


def _quantiles(values: Sequence[float]) -> tuple[float, float]:
    return float(np.quantile(values, 0.5)), float(np.quantile(values, 0.95))


COLUMNS = (
    *("stream", "rps", "rolled back", "promoted", "held", "s to the verdict", "95th"),
    *("harmed, mean", "median", "95th"),
)


def measure(runs: int, seed: int, only: str, rules: Sequence[str]) -> list[Cell]:
    """All cells, told as they come."""
    cells = []
    for stream in (one for one in streams() if only in one.name):
        for name in rules:
            if name == "Millwright" or stream.common:
                rngs = (np.random.default_rng([seed, run]) for run in range(runs))
                cells.append(Cell.of(stream, name, [RULES[name](stream, rng) for rng in rngs]))
                sys.stderr.write(f"{name}: {' · '.join(cells[-1].columns())}\n")
    return cells


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What was asked of some cells' number, and its limit."""

    what: str
    among: Callable[[Cell], bool]
    number: Callable[[Cell], float]
    limit: float
    at_least: bool = False

    def worst(self, cells: Sequence[Cell]) -> tuple[str, ...] | None:
        """Its line in the table; None where none of its cells was run."""
        chosen = [one for one in cells if one.rule == "Millwright" and self.among(one)]
        if not chosen:
            return None
        worst = (min if self.at_least else max)(chosen, key=self.number)
        value = self.number(worst)
        reached = value >= self.limit if self.at_least else value <= self.limit
        side = "at least" if self.at_least else "at most"
        return (
            f"{self.what}: {side} {self.limit:g}",
            f"{value:.1f}",
            f"{worst.stream}, {worst.rps:g} rps",
            "yes" if reached else "no",
        )


GOALS = (
    Goal(
        what="identical: rolled back, %",
        among=lambda cell: "identical" in cell.stream,
        number=lambda cell: 100 * cell.rolled_back,
        limit=1,
    ),
    Goal(
        what=".5 to 1 %, 10 rps or more: caught within the hour, %",
        among=lambda cell: cell.stream == "worse .5 to 1.0%" and cell.rps >= 10,
        number=lambda cell: 100 * cell.rolled_back,
        limit=98,
        at_least=True,
    ),
    Goal(
        what=".5 to 50 %, 100 rps: seconds to the rollback, 95th percentile",
        among=lambda cell: cell.stream == "worse .5 to 50.0%" and cell.rps == 100,
        number=lambda cell: cell.seconds[1],
        limit=20,
    ),
    Goal(
        what=".5 to 50 %, 100 rps: harmed, median",
        among=lambda cell: cell.stream == "worse .5 to 50.0%" and cell.rps == 100,
        number=lambda cell: cell.harmed[1],
        limit=10,
    ),
    Goal(
        what="failures, identical or better, 100 rps: seconds to the promotion, median",
        among=lambda cell: cell.rps == 100 and cell.stream.startswith(("identical", "better")),
        number=lambda cell: cell.seconds[0],
        limit=240,
    ),
    Goal(
        what="harmed, mean (the budget is 50)",
        among=lambda cell: True,
        number=lambda cell: cell.harmed[0],
        limit=50,
    ),
    Goal(
        what="harmed, 95th percentile",
        among=lambda cell: True,
        number=lambda cell: cell.harmed[2],
        limit=100,
    ),
)
ASKED = ("asked", "worst cell", "which", "reached")


def show(cells: Sequence[Cell]) -> None:
    """For a person at a terminal."""
    console = Console(width=180)
    for title, head, rows in _tables(cells):
        table = Table(*head, title=title)
        for line in rows:
            table.add_row(*line)
        console.print(table)


def markdown(cells: Sequence[Cell]) -> None:
    """For docs/benchmarks.md."""
    for title, head, rows in (*_tables(cells)[:2], _beside(cells)):
        print(f"{title}\n")
        for line in (head, ("---",) * len(head), *rows):
            print(f"| {' | '.join(line)} |")
        print()


Lines = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def _tables(cells: Sequence[Cell]) -> list[Lines]:
    asked = [line for goal in GOALS if (line := goal.worst(cells))]
    tables: list[Lines] = [("What was asked", ASKED, asked)]
    for rule in dict.fromkeys(one.rule for one in cells):
        tables.append(
            (
                f"{rule}, {_runs(cells)}",
                COLUMNS,
                [one.columns() for one in cells if one.rule == rule],
            )
        )
    return tables


def _beside(cells: Sequence[Cell]) -> Lines:
    """All rules side by side, each cell in one field."""
    rules = list(dict.fromkeys(one.rule for one in cells))
    by = {(one.stream, one.rps, one.rule): one for one in cells}
    shared = list(dict.fromkeys((one.stream, one.rps) for one in cells))
    rows = [
        (stream, f"{rps:g}", *(by[stream, rps, rule].short() for rule in rules))
        for stream, rps in shared
        if all((stream, rps, rule) in by for rule in rules)
    ]
    return f"Side by side, {_runs(cells)}", ("stream", "rps", *rules), rows


# --- The judge's own time -------------------------------------------------------------------------


def time_looks(repeats: int = 200) -> None:
    """What a look of one guard costs: its evidence and all the numbers that are shown.

    CPU time, because the machine may be shared.
    """
    table = Table("requests of each version", "bad, of both", "ms of CPU a look, median", "95th")
    for requests, rate in (
        *((10**3, 0.01), (10**5, 0.005), (10**6, 0.005), (10**7, 0.05)),
        *((10**8, 0.005), (10**8, 0.5)),
    ):
        rng, taken, state = np.random.default_rng(1), [], judge.fresh(1.5)
        for _ in range(repeats):
            own, other = (
                Outcomes(total=requests, bad=int(rng.binomial(requests, rate))) for _ in range(2)
            )
            began = time.thread_time()
            state = judge.extend(state, own, other, 1.5)
            judge.numbers(state, own, other, alpha=0.01, sharing=1.1, negligible=0.01)
            taken.append(1000 * (time.thread_time() - began))
        median, late = _quantiles(taken)
        table.add_row(
            f"{requests:,}", f"{2 * requests * rate:,.0f}", f"{median:.2f}", f"{late:.2f}"
        )
    Console(width=100).print(table)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Rollouts on simulated traffic.")
    parser.add_argument("--runs", type=int, default=20, help="runs of each cell")
    parser.add_argument("--only", default="", help="streams whose name contains this")
    parser.add_argument("--rules", nargs="*", default=RULES, choices=RULES, help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--json", type=Path, help="also write the cells to this file")
    parser.add_argument("--read", type=Path, nargs="*", help="show such files; run nothing")
    parser.add_argument("--judge", action="store_true", help="time the judge instead")
    options = parser.parse_args()
    if options.judge:
        return time_looks()
    if options.read:
        cells = [Cell(**one) for file in options.read for one in json.loads(file.read_text())]
    else:
        cells = measure(options.runs, options.seed, options.only, options.rules)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in cells], indent=1) + "\n")
    (markdown if options.markdown else show)(cells)
    return None


if __name__ == "__main__":
    main()
