"""The published rules of Flagger, Argo Rollouts and Kayenta, with the values that they document.

None of the three has one set of defaults for everything, so each value says where it is from, and
where the documents differ there is a rule for each. What is not simulated favours the peers: no
telemetry is late or lost, no pod starts slowly, and Argo's query sees the canary alone.

**Flagger** (github.com/fluxcd/flagger). Every `interval` the canary's success rate over the last
minute (metric `interval: 1m`) must be at least 99 % (`request-success-rate`, `min: 99`). If so the
weight grows by `stepWeight`, and at `maxWeight` it promotes; if not, or without requests, that is a
failed check, and `threshold` of them, in a row or not, roll back (pkg/controller/scheduler.go and
scheduler_metrics.go: a query without values halts the advancement and counts as failed).

- *Flagger*: interval 1m, threshold 10, stepWeight 5, maxWeight 50: docs/gitbook/usage/
  how-it-works.md.
- *Flagger 30 s*: interval 30s, threshold 5, stepWeight 5, maxWeight 50: docs/gitbook/tutorials/
  linkerd-progressive-delivery.md and kuma-progressive-delivery.md.
- *Flagger bare*: as the first, with `threshold` left out, which is 1 (`GetAnalysisThreshold`,
  pkg/apis/flagger/v1beta1/canary.go; the interval left out is 60 s there).

**Argo Rollouts** (github.com/argoproj/argo-rollouts). 20, 40, 60 and 80 % for 10 minutes each, and
from 40 % on (`startingStep: 2`) a measurement at once and every `interval`; more failed ones than
`failureLimit` abort (docs/features/analysis.md, "Background Analysis"; analysis/analysis.go). The
query is an `irate`: the last two samples, a minute apart by Prometheus' own default
(`scrape_interval`; with the 30 s of docs/getting-started/setup/values-prometheus.yaml it would be
noisier still). Without requests it is 0/0, and NaN is a failed measurement ("Handling
Metric Results"). An empty answer would be an error, and more than four in a row abort
(`consecutiveErrorLimit`); there is none once the canary has had a request.

- *Argo*: `result[0] >= 0.95`, interval 5m, failureLimit 3: docs/features/analysis.md. It sees
  nothing of the smaller degradations here.
- *Argo 99 %*: `result[0] >= 0.99`, else the same: examples/appmesh/canary-rollout.yaml.
- *Argo bare*: 99 % each minute (`interval: 60s` is that page's other example) with `failureLimit`
  left out, which is 0 (pkg/apis/rollouts/v1alpha1/analysis_types.go).

**Kayenta** (github.com/spinnaker/kayenta). Canary and baseline get 10 % each for an hour, then the
error rates of each minute are compared: `MannWhitneyClassifier` with tolerance 0.25 and confidence
0.98 (kayenta-judge/.../NetflixACAJudge.scala sets both). The metric fails when the whole interval
of the shift lies above a quarter of its estimate and the ratio of the means is at least 1
(`allowedIncrease`'s default, docs/canary-config.md); minutes without requests are left out
(`nanStrategy: remove`, its default there). With one metric the score is 0 or 100, so its thresholds
(75 and 95 in sample-config.json) do not matter.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.traffic import HOUR, Result, Rule, Stream

MINUTE = 60.0
MINIMUM = 0.99


def flagger(*, interval: float, threshold: int, step: int = 5, most: int = 50) -> Rule:
    """A threshold on the last minute's success rate."""

    def rule(stream: Stream, rng: np.random.Generator) -> Result:
        window = deque[tuple[int, int]](maxlen=round(MINUTE / interval))
        weight, failed, harmed, at = step, 0, 0.0, 0.0
        while at < HOUR:
            own, bad, _, _ = stream.sample(rng, at, interval, weight / 100)
            harmed += stream.harm(own, at)
            at += interval
            window.append((own, bad))
            if _passes(sum(one for one, _ in window), sum(one for _, one in window), MINIMUM):
                if weight >= most:
                    return Result(verdict="promoted", seconds=at, harmed=harmed)
                weight = min(most, weight + step)
                continue
            failed += 1
            if failed >= threshold:
                return Result(verdict="rolled back", seconds=at, harmed=harmed)
        return Result(verdict="held", seconds=at, harmed=harmed)

    return rule


def _passes(requests: int, bad: int, minimum: float) -> bool:
    return requests > 0 and requests - bad >= minimum * requests - 1e-9


def argo(*, minimum: float, interval: float, limit: int) -> Rule:
    """Timed steps, and beside them measurements of the last minute."""
    steps, duration = (20, 40, 60, 80), 10 * MINUTE

    def rule(stream: Stream, rng: np.random.Generator) -> Result:
        failed, harmed, at = 0, 0.0, 0.0
        while at < len(steps) * duration:
            own, bad, _, _ = stream.sample(rng, at, MINUTE, steps[int(at // duration)] / 100)
            harmed += stream.harm(own, at)
            at += MINUTE
            if at >= duration and (at - duration) % interval == 0:
                failed += not _passes(own, bad, minimum)
                if failed > limit:
                    return Result(verdict="rolled back", seconds=at, harmed=harmed)
        return Result(verdict="promoted", seconds=at, harmed=harmed)

    return rule


def kayenta(stream: Stream, rng: np.random.Generator) -> Result:
    """One analysis after an hour with canary and baseline at 10 % each."""
    canary, baseline, harmed = [], [], 0.0
    for minute in range(60):
        at = minute * MINUTE
        own, bad, _, _ = stream.sample(rng, at, MINUTE, 0.1)
        others = int(rng.poisson(stream.rps * MINUTE * 0.1))
        harmed += stream.harm(own, at)
        canary += [bad / own] if own else []
        baseline += [stream.bad(rng, others, stream.stable, at) / others] if others else []
    high = _is_high(np.array(canary), np.array(baseline))
    return Result(verdict="rolled back" if high else "promoted", seconds=HOUR, harmed=harmed)


def _is_high(canary: NDArray[np.float64], baseline: NDArray[np.float64]) -> bool:
    """Whether the interval of the shift lies above a quarter of its estimate.

    The statistic falls as the shift grows; the interval's lower end is where it falls below the
    quantile, the estimate where it falls below zero.
    """
    if not len(canary) or not len(baseline) or np.ptp(np.concatenate([canary, baseline])) == 0:
        return False
    quantile = float(stats.norm.ppf(0.99))
    if _statistic(canary, baseline, 0.0) <= quantile or canary.mean() < baseline.mean():
        return False
    low, high = 0.0, float(canary.max() - baseline.min())
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _statistic(canary, baseline, middle) > 0 else (low, middle)
    return _statistic(canary, baseline, 0.25 * low) > quantile


def _statistic(x: NDArray[np.float64], y: NDArray[np.float64], shift: float) -> float:
    """Wilcoxon's rank sum of `x - shift` among both, standardised, with its corrections for ties
    and continuity."""
    n, m = len(x), len(y)
    ranks = stats.rankdata(np.concatenate([x - shift, y]))
    excess = float(ranks[:n].sum()) - n * (n + 1) / 2 - n * m / 2
    ties = np.unique(ranks, return_counts=True)[1].astype(float)
    spread = n + m + 1 - float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1))
    if spread <= 0:
        return 0.0
    return (excess - math.copysign(0.5, excess) * (excess != 0)) / math.sqrt(n * m / 12 * spread)


PEERS: dict[str, Rule] = {
    "Flagger": flagger(interval=60.0, threshold=10),
    "Flagger 30 s": flagger(interval=30.0, threshold=5),
    "Flagger bare": flagger(interval=60.0, threshold=1),
    "Argo": argo(minimum=0.95, interval=300.0, limit=3),
    "Argo 99 %": argo(minimum=0.99, interval=300.0, limit=3),
    "Argo bare": argo(minimum=0.99, interval=60.0, limit=0),
    "Kayenta": kayenta,
}
