"""Rollouts on simulated traffic: Millwright's judge, ramp and controller beside its peers' rules.

Every rule sees streams from the same laws, with the same seeds. Ours is the real `decide`, called
as the laptop's loop and the operator call it, with the default plan (deadline set to the hour that
all have). The peers are their published rules with the values that their documentation shows:

- **Flagger**: every minute the canary's success rate over that minute must be at least 99 %; a
  window without requests is a failed check; the weight then grows by 5 % to 50 % and the next good
  check promotes; 10 failed checks, in a row or not, roll back. (fluxcd.io/flagger: "How it works",
  "Metrics Analysis"; `interval: 1m`, `threshold: 10`, `stepWeight: 5`, `maxWeight: 50`,
  `request-success-rate` min 99.)
- **Argo Rollouts**: steps of 20, 40, 60, 80 %, 10 minutes each, beside them a measurement every 5
  minutes with `failureLimit: 3`, which aborts on the fourth failure. (argo-rollouts.readthedocs.io,
  "Analysis & Progressive Delivery": background analysis.) The page's `successCondition` is
  `result[0] >= 0.95`, which sees nothing of the degradations here; Argo-99 is the same rule at the
  99 % that Flagger documents. Its query looks at the last 5 minutes; no data is an error, and more
  than four in a row (`consecutiveErrorLimit`) abort.
- **Kayenta**, Spinnaker's default judge: canary and baseline get 10 % each for an hour, and the
  error rates of each minute are compared by a two-sided Mann-Whitney test at 98 %; the metric fails
  `high` when the whole interval of the shift lies above the tolerance, 25 % of the shift's scale.
  (spinnaker.io, "How canary judgment works"; MannWhitneyClassifier in spinnaker/kayenta.)

    python benchmarks/rollouts.py [--runs 20] [--only identical] [--seed 1]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from contracts.rollout import WHOLE, Counters, Phase, RolloutSpec, RolloutStatus, Target
from serving.rollout.controller import Apply, Observation, Observed, decide

HOUR = 3600.0
Rate = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Traffic with outcomes.

    Args:
        name: how the table calls it.
        rps: requests per second, of all versions.
        stable: the stable version's bad rate.
        candidate: the candidate's.
        guard: which counter the bad outcomes belong to.
        swing: the factor on both rates by the second, such as the hour of the day.
        bursts: whether it comes in bursts: one second in ten, at random, has ten times as much.
        delay: seconds until an outcome is known.
    """

    name: str
    rps: float
    stable: float
    candidate: float
    guard: str = "errors"
    swing: Rate = lambda _: 1.0
    bursts: bool = False
    delay: float = 0.0

    def sample(
        self, rng: np.random.Generator, at: float, seconds: float, share: float
    ) -> tuple[int, int, int, int]:
        """Requests and bad ones of the candidate and of the others, in a stretch of time."""
        busy = 10 * int(rng.binomial(round(seconds), 0.1)) if self.bursts else seconds
        total = int(rng.poisson(self.rps * busy))
        own = int(rng.binomial(total, share))
        factor = self.swing(at)
        bad = int(rng.binomial(own, min(1.0, self.candidate * factor)))
        other = int(rng.binomial(total - own, min(1.0, self.stable * factor)))
        return own, bad, total - own, other

    def harm(self, own: int, at: float) -> float:
        """Expected bad responses beyond what the stable version would have given."""
        return max(0.0, self.candidate - self.stable) * self.swing(at) * own


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one rollout ended."""

    verdict: str
    seconds: float
    harmed: float


Rule = Callable[[Stream, np.random.Generator], Result]


def millwright(stream: Stream, rng: np.random.Generator) -> Result:
    """The real controller, in a world where what it applies is so at the next step."""
    guard = {"errors": {}, "slow": {"over": "50ms"}, "wrong": {"min_feedback": 200}}[stream.guard]
    spec = RolloutSpec.parse({"guards": {stream.guard: guard}, "deadline": "2h"})
    status = RolloutStatus(
        model="benchmark", stable=Target(version="1", uri="1"), wanted={"v1": WHOLE}
    )
    weights, counts = {"v1": WHOLE}, {"v1": np.zeros(2, int), "v2": np.zeros(2, int)}
    served = {"v1": int(stream.rps * HOUR), "v2": 0}
    counts["v1"] += served["v1"], int(served["v1"] * stream.stable)  # it has served for an hour
    waiting: list[tuple[float, str, np.ndarray]] = []
    at, began, harmed = 0.0, None, 0.0
    while at < HOUR:
        status, actions = decide(spec, status, _observe(stream, weights, counts, served), at)
        for action in actions:
            if isinstance(action, Apply):
                weights = {one.target.predictor: one.weight for one in action.predictors}
        if status.phase is Phase.RAMPING and began is None:
            began = at
        if status.phase in (Phase.ROLLING_BACK, Phase.PROMOTING) and began is not None:
            verdict = "promoted" if status.phase is Phase.PROMOTING else "rolled back"
            return Result(verdict=verdict, seconds=at - began, harmed=harmed)
        own, bad, others, other = stream.sample(
            rng, at, spec.interval, weights.get("v2", 0) / WHOLE
        )
        harmed += stream.harm(own, at)
        served = {"v1": served["v1"] + others, "v2": served["v2"] + own}
        waiting.append((at + stream.delay, "v2", np.array([own, bad])))
        waiting.append((at + stream.delay, "v1", np.array([others, other])))
        for _, name, seen in [one for one in waiting if one[0] <= at]:
            counts[name] = counts[name] + seen
        waiting = [one for one in waiting if one[0] > at]
        at += spec.interval
    return Result(verdict="held", seconds=HOUR, harmed=harmed)


def _observe(
    stream: Stream,
    weights: dict[str, int],
    counts: dict[str, np.ndarray],
    served: dict[str, int],
) -> Observation:
    """What the controller is told."""

    def counters(name: str) -> Counters:
        total, bad = (int(value) for value in counts[name])
        values = dict.fromkeys(("requests", "timed"), served[name])
        known = {"feedback": total, "errors": 0, stream.guard: bad}
        return Counters.model_validate({"epoch": "e", "servers": "s", **values, **known})

    return Observation(
        wanted=Target(version="2", uri="2"),
        predictors={name: Observed(ready=True, weight=one) for name, one in weights.items()},
        counters={name: counters(name) for name in weights},
    )


def flagger(stream: Stream, rng: np.random.Generator) -> Result:
    """A threshold on the success rate, each minute."""
    weight, failed, harmed, at = 0, 0, 0.0, 0.0
    while at < HOUR:
        weight = min(50, weight + 5)
        passed = False
        while not passed and at < HOUR:
            own, bad, _, _ = stream.sample(rng, at, 60.0, weight / 100)
            harmed += stream.harm(own, at)
            at += 60.0
            passed = own > 0 and 1 - bad / own >= 0.99
            failed += not passed
            if failed >= 10:
                return Result(verdict="rolled back", seconds=at, harmed=harmed)
        if weight >= 50 and passed:
            return Result(verdict="promoted", seconds=at, harmed=harmed)
    return Result(verdict="held", seconds=at, harmed=harmed)


def argo(threshold: float) -> Rule:
    """Timed steps beside a measurement every five minutes."""

    def rule(stream: Stream, rng: np.random.Generator) -> Result:
        failed, errors, harmed = 0, 0, 0.0
        for index in range(8):
            at, share = index * 300.0, (20, 40, 60, 80)[index // 2] / 100
            own, bad, _, _ = stream.sample(rng, at, 300.0, share)
            harmed += stream.harm(own, at)
            errors = 0 if own else errors + 1
            failed += bool(own) and 1 - bad / own < threshold
            if failed > 3 or errors > 4:
                return Result(verdict="rolled back", seconds=at + 300, harmed=harmed)
        return Result(verdict="promoted", seconds=2400.0, harmed=harmed)

    return rule


def kayenta(stream: Stream, rng: np.random.Generator) -> Result:
    """One analysis after an hour with canary and baseline at 10 % each."""
    canary, baseline, harmed = [], [], 0.0
    for minute in range(60):
        at = minute * 60.0
        own, bad, _, _ = stream.sample(rng, at, 60.0, 0.1)
        _, _, others, other = stream.sample(rng, at, 6.0, 0.0)
        harmed += stream.harm(own, at)
        canary += [bad / own] if own else []
        baseline += [other / others] if others else []
    low = _shift_low(np.array(canary), np.array(baseline))
    verdict = "rolled back" if low else "promoted"
    return Result(verdict=verdict, seconds=HOUR, harmed=harmed)


def _shift_low(canary: np.ndarray, baseline: np.ndarray) -> bool:
    """Whether the interval of the shift (Hodges-Lehmann, 98 %) lies above a quarter of it."""
    if len(canary) == 0 or len(baseline) == 0 or np.ptp(np.concatenate([canary, baseline])) == 0:
        return False
    shifts = np.sort(np.subtract.outer(canary, baseline).ravel())
    n, m = len(canary), len(baseline)
    half = stats.norm.ppf(0.99) * math.sqrt(n * m * (n + m + 1) / 12)
    low = shifts[max(0, int(n * m / 2 - half))]
    return bool(low > 0 and low > 0.25 * abs(float(np.median(shifts))))


RULES: dict[str, Rule] = {
    "Millwright": millwright,
    "Flagger": flagger,
    "Argo": argo(0.95),
    "Argo-99": argo(0.99),
    "Kayenta": kayenta,
}


def fivefold(at: float) -> float:
    """A rate that swings between 1 and 5 times, about every ten minutes."""
    return 3 + 2 * math.sin(at / 100)


def streams() -> list[Stream]:
    """The cells of the table."""
    found = [
        Stream(name=f"identical {rate:.1%}", rps=rps, stable=rate, candidate=rate)
        for rate in (0.001, 0.005, 0.012)
        for rps in (1, 10, 100, 1000)
    ]
    found += [
        Stream(name=f"worse .5 to {rate:.1%}", rps=rps, stable=0.005, candidate=rate)
        for rate in (0.007, 0.01, 0.015, 0.05, 0.5)
        for rps in (10, 100, 1000)
    ]
    common = {"rps": 100.0, "stable": 0.005}
    found += [
        Stream(name="better .5 to .3%", candidate=0.003, **common),
        Stream(name="swinging, identical", candidate=0.005, swing=fivefold, **common),
        Stream(name="swinging, twice as bad", candidate=0.01, swing=fivefold, **common),
        Stream(name="bursts, identical", candidate=0.005, bursts=True, **common),
        Stream(name="bursts, twice as bad", candidate=0.01, bursts=True, **common),
        Stream(name="slow 5%, identical", rps=100, stable=0.05, candidate=0.05, guard="slow"),
        Stream(name="slow 5 to 10%", rps=100, stable=0.05, candidate=0.1, guard="slow"),
    ]
    late = {"rps": 100.0, "guard": "wrong", "delay": 120.0, "stable": 0.17}
    found += [
        Stream(name="wrong 17%, identical, 2 min late", candidate=0.17, **late),
        Stream(name="wrong 17 to 25%, 2 min late", candidate=0.25, **late),
    ]
    return found


def row(stream: Stream, name: str, results: Sequence[Result]) -> tuple[str, ...]:
    """One line of the table."""
    verdicts = [one.verdict for one in results]
    seconds, harmed = [one.seconds for one in results], [one.harmed for one in results]
    shares = [
        f"{verdicts.count(one) / len(results):.1%}" for one in ("rolled back", "promoted", "held")
    ]
    return (
        stream.name,
        f"{stream.rps:g}",
        name,
        *shares,
        *(f"{np.quantile(seconds, q):.0f}" for q in (0.5, 0.95)),
        f"{np.mean(harmed):.1f}",
        *(f"{np.quantile(harmed, q):.1f}" for q in (0.5, 0.95)),
    )


COLUMNS = (
    *("stream", "rps", "rule", "rolled back", "promoted", "held", "s to verdict", "95th"),
    *("harmed, mean", "median", "95th"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Rollouts on simulated traffic.")
    parser.add_argument("--runs", type=int, default=20, help="runs of each cell")
    parser.add_argument("--only", default="", help="streams whose name contains this")
    parser.add_argument("--rule", default="", help="only this rule")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    options = parser.parse_args()
    began = time.monotonic()
    rows = []
    for stream in (one for one in streams() if options.only in one.name):
        for name, rule in RULES.items():
            if options.rule in ("", name):
                rngs = [np.random.default_rng([options.seed, run]) for run in range(options.runs)]
                rows.append(row(stream, name, [rule(stream, rng) for rng in rngs]))
    note = f"{options.runs} runs a line, seed {options.seed}, {time.monotonic() - began:.0f} s"
    if options.markdown:
        print(f"{note}\n")
        for line in (COLUMNS, ("---",) * len(COLUMNS), *rows):
            print(f"| {' | '.join(line)} |")
        return
    table = Table(*COLUMNS, caption=note)
    for line in rows:
        table.add_row(*line)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
