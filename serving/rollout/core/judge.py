"""Is the candidate worse than the stable version? Evidence that may be looked at at any time.

A threshold on a noisy ratio, asked every minute, condemns good versions sooner or later: each look
is another chance to be wrong. This module keeps *e-processes* instead: numbers that start at 1 and
that, when the hypothesis they test is true, ever reach 1/alpha with probability at most alpha,
however often one looks and whenever one stops (Ville's inequality).

**One look.** The candidate answered `n_c` requests and the stable version `n_s`; `m` of all of
them were bad, `x` of those the candidate's. Given `n_c`, `n_s` and `m`, the law of `x` is Fisher's
noncentral hypergeometric law, whose only parameter is the odds ratio psi of bad outcomes,
candidate to stable:

    f(x; psi) = C(n_c, x) C(n_s, m - x) psi^x / Z(psi)

The error rate that both share in that minute (the hour of the day, a sick dependency) cancels.

**Evidence of harm** (against psi <= 1): for each odds ratio psi_j > 1 of a grid the product over
looks of f(x; psi_j) / f(x; 1), averaged over the grid. It is an e-process for the whole composite
hypothesis *at every look psi_t <= 1, each of them whatever it likes*: the ratio grows with x (the
family has a monotone likelihood ratio), and under psi_t <= 1 x is stochastically at most what it
is at 1, where the ratio's mean is exactly 1. So each factor's conditional mean is at most 1, and
the product is a supermartingale. The weight of the next look may depend on all past looks, because
each look's law is taken given its own margins; so may the moment to stop. **Evidence of no harm**
(against psi >= tolerate) and **of superiority** (against psi >= 1) are the same with the
inequality turned round: ratios to f(x; tolerate) that fall with x.

**Rare outcomes.** Where hardly anything fails on either side there is nothing to compare. Then the
candidate may pass on its own rate: the evidence against *its bad rate is at least u at every look*
is the mixture of Bernoulli likelihood ratios over the rates below u (a Beta law cut off at u),
valid for the same reason. Such a version must not look worse in the comparison, as far as there is
one (`LEANING`, `STRONG`); that is a further condition, so it cannot make the error larger.

**Several guards.** Harm is found when any guard finds it, so alpha is shared out between the
guards (a union bound). Promotion needs every guard's consent, so a version that is worse in one of
them passes with at most that guard's alpha, which its two ways to pass share (`RARE_SHARE`).

**Drift** of the predictions' distribution: with classes 1..k, the counts given both margins
decompose into k - 1 such comparisons of two (class i against the classes after it), one after the
other; under equal distributions each is hypergeometric with psi = 1 exactly, so a mixture over
odds ratios on both sides has mean 1. The mean of the stages' e-processes and their product,
averaged, is an e-process again.

Sources: Fisher's law and its mean, Harkness (1965), Ann. Math. Statist. 36, 938-945. E-processes,
their mixtures and averages: Ramdas, Gruenwald, Vovk, Shafer (2023), Statistical Science 38(4),
"Game-theoretic statistics and safe anytime-valid inference". Two-sample e-values on 2x2 tables:
Turner, Ly, Gruenwald (2024), J. Statist. Planning Inference 230, "Generic E-variables for exact
sequential k-sample tests". Beta-binomial confidence sequences: Robbins (1970), Ann. Math. Statist.
41, 1397-1409; Howard, Ramdas, McAuliffe, Sekhon (2021), Ann. Statist. 49, 1055-1080.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from contracts.rollout import GuardNumbers, GuardState, Outcomes
from serving.rollout.core.hypergeometric import Floats, log_likelihoods, log_sum

BETTER = (1 / 64, 1 / 16, 1 / 6, 0.3, 0.45, 0.6, 0.75, 0.9)
WORSE = (1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.4, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 150.0, 500.0, 2000.0)
GRID: tuple[float, ...] = (*BETTER, 1.0, *WORSE)
"""The odds ratios that a version is thought able to have. A status depends on it: changing it is a
change of the stored form."""

COMMON = {1.6: 0.1, 1.8: 0.25, 2.0: 0.25, 2.4: 0.1}
"""How much of the evidence of harm is staked on each of these odds ratios; the rest evenly on the
other ones above 1. About twice as bad is where a quick verdict is the hardest: worse is seen at
once, better is tolerated."""

ODDS: Floats = np.array(GRID)
_STAKES = np.array([COMMON.get(ratio, 0.0) for ratio in WORSE])
_STAKES[_STAKES == 0] = (1 - _STAKES.sum()) / (len(WORSE) - len(COMMON))
LOG_STAKES: Floats = np.log(_STAKES)
LOWEST = -700.0
"""Log evidence is not written lower than this: it has to fit JSON, and nothing depends on it."""

STRONG = math.log(10)
"""From here on evidence is called strong (Jeffreys, Theory of Probability, appendix B): with strong
evidence of harm no version passes for its bad rate being low."""
RARE_SHARE = 0.3
"""The part of the error probability of a promotion that passing for a low bad rate has. The other
way takes longer, so it has the larger part."""
LEANING = 10.0
"""How much the comparison counts where a version passes for its bad rate being low: while it speaks
for *worse than tolerated*, that evidence is taken off the evidence of rarity so many times. So a
rate that is low and just doubled is compared first, and a rate far below what is negligible passes
whatever a handful of outcomes say. It only ever makes passing harder. By simulation (the rollouts'
benchmark): 0.3 to 0.6 % gets through less often by far, and an equal version hardly later."""
PRIOR = (0.5, 0.5)
"""The Beta law over rates behind the intervals and the evidence of rarity (Jeffreys)."""


def fresh(tolerate: float) -> GuardState:
    """No evidence yet."""
    return GuardState(likelihoods=(0.0,) * len(GRID), tolerate=tolerate)


def extend(state: GuardState, candidate: Outcomes, stable: Outcomes, tolerate: float) -> GuardState:
    """Add one look's outcomes to the evidence.

    When the tolerated odds ratio has changed, the evidence of no harm starts again from here: it
    belongs to the hypothesis that it was collected against. The evidence of harm is about odds
    ratio 1, and goes on.
    """
    if tolerate != state.tolerate:
        state = state.model_copy(
            update={"tolerate": tolerate, "tolerated": 0.0, "offset": state.likelihoods}
        )
    added = log_likelihoods(candidate, stable, np.append(ODDS, tolerate))
    excess, variance = _excess(state, candidate, stable)
    return state.model_copy(
        update={
            "likelihoods": tuple((np.array(state.likelihoods) + added[:-1]).tolist()),
            "tolerated": state.tolerated + float(added[-1]),
            "candidate": _plus(state.candidate, candidate),
            "stable": _plus(state.stable, stable),
            "excess": state.excess + excess,
            "variance": state.variance + variance,
        }
    )


def _plus(before: Outcomes, added: Outcomes) -> Outcomes:
    return Outcomes(total=before.total + added.total, bad=before.bad + added.bad)


def _excess(state: GuardState, candidate: Outcomes, stable: Outcomes) -> tuple[float, float]:
    """This look's bad outcomes beyond the stable's rate, and the variance if both were alike."""
    if candidate.total == 0:
        return 0.0, 0.0
    reference = stable if stable.total else state.stable
    if not reference.total:
        return 0.0, 0.0
    n_c, n_s = candidate.total, reference.total
    m, n = candidate.bad + reference.bad, n_c + n_s
    hypergeometric = m * (n - m) / n * (n_c / n) * (n_s / max(1, n - 1))
    excess = candidate.bad - n_c * (reference.bad / n_s)
    return excess, hypergeometric * (n / n_s) ** 2


def log_harm(state: GuardState) -> float:
    """Log evidence against *the candidate is no worse* (odds ratio <= 1 at every look)."""
    logs = np.array(state.likelihoods)[len(BETTER) + 1 :]
    return floored(float(log_sum(logs + LOG_STAKES)))


def log_better(state: GuardState) -> float:
    """Log evidence against *the candidate is no better* (odds ratio >= 1 at every look)."""
    logs = np.array(state.likelihoods)[: len(BETTER)]
    return floored(float(log_sum(logs)) - math.log(len(BETTER)))


def log_safe(state: GuardState) -> float:
    """Log evidence against *the candidate is worse than tolerated* (odds ratio >= tolerate)."""
    logs = np.array(state.likelihoods)
    if state.offset:
        logs = logs - np.array(state.offset)
    return floored(float(log_sum(logs + _safe_prior(state.tolerate))) - state.tolerated)


@lru_cache(maxsize=64)
def _safe_prior(tolerate: float) -> Floats:
    """Log weights over the grid's odds ratios below the tolerated one.

    Most of it on *alike*, because that is what most versions are, and because against `tolerate`
    that one ratio also grows for better versions. The rest is for much better ones, and for those
    between alike and tolerated, which it would not clear where much is tolerated.
    """
    below = ODDS < 1
    between = (ODDS > 1) & (tolerate > ODDS)
    weights = np.where(ODDS == 1, 0.9, 0.0)
    weights = weights + below * (0.05 / below.sum())
    if between.any():
        weights = weights + between * (0.05 / between.sum())
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(weights / weights.sum()))


def log_rate_below(outcomes: Outcomes, limit: float) -> float:
    """Log evidence against *the bad rate is at least `limit` at every look*."""
    return _one_sided(outcomes, limit, "below")


def log_rate_above(outcomes: Outcomes, limit: float) -> float:
    """Log evidence against *the bad rate is at most `limit` at every look*."""
    return _one_sided(outcomes, limit, "above")


def _one_sided(outcomes: Outcomes, limit: float, side: Literal["below", "above"]) -> float:
    """The likelihood ratio to `limit` of the Beta law cut off at `limit`."""
    if not 0 < limit < 1:
        return 0.0
    x, rest = outcomes.bad, outcomes.total - outcomes.bad
    a, b = PRIOR
    share = special.betainc if side == "below" else special.betaincc
    with np.errstate(divide="ignore"):
        posterior = special.betaln(a + x, b + rest) + np.log(share(a + x, b + rest, limit))
        prior = special.betaln(a, b) + np.log(share(a, b, limit))
    return floored(float(posterior - prior - x * math.log(limit) - rest * math.log1p(-limit)))


def floored(value: float) -> float:
    """Log evidence as it is written down."""
    return max(value, LOWEST)


# --- Intervals ------------------------------------------------------------------------------------


def rate_interval(outcomes: Outcomes, alpha: float) -> tuple[float, float]:
    """An anytime-valid interval for a bad rate: the rates that a Beta mixture has not refuted."""
    x, n = outcomes.bad, outcomes.total
    a, b = PRIOR
    mixture = float(special.betaln(a + x, b + n - x) - special.betaln(a, b))
    limit = mixture + math.log(alpha)

    def kept(rate: float) -> bool:
        if (x and rate <= 0) or (n > x and rate >= 1):
            return False
        bad = x * math.log(rate) if x else 0.0
        return bad + ((n - x) * math.log1p(-rate) if n > x else 0.0) > limit

    centre = x / n if n else 0.5
    return _edge(kept, centre, 0.0), _edge(kept, centre, 1.0)


BISECTIONS = 32
"""They find the edge of an interval to a four-billionth of its distance from the centre."""


def _edge(kept: Callable[[float], bool], inside: float, outside: float) -> float:
    """Bisection between a rate that is kept and one that may not be, rounded outwards."""
    if kept(outside):
        return outside
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if kept(middle):
            inside = middle
        else:
            outside = middle
    return outside


def odds_interval(state: GuardState, alpha: float) -> tuple[float, float | None]:
    """An anytime-valid interval for a constant odds ratio, rounded outwards to the grid."""
    logs = np.array(state.likelihoods)
    mixture = float(log_sum(logs)) - math.log(len(GRID))
    kept = np.flatnonzero(mixture - logs < math.log(1 / alpha))
    first, last = int(kept[0]), int(kept[-1])
    low = GRID[first - 1] if first > 0 else 0.0
    return low, GRID[last + 1] if last + 1 < len(GRID) else None


def numbers(
    state: GuardState,
    candidate: Outcomes,
    stable: Outcomes,
    *,
    alpha: float,
    sharing: float,
    negligible: float,
    superiority: bool = False,
    enough: int = 0,
) -> GuardNumbers:
    """What one guard says now.

    Args:
        state: the evidence, this look included.
        candidate: the candidate's outcomes in this look.
        stable: the stable version's outcomes in this look.
        alpha: the error probability of the whole rollout.
        sharing: among how many tests the error probability of finding harm is shared.
        negligible: the bad rate below which no comparison is needed.
        superiority: ask for evidence that the candidate is better.
        enough: the candidate's outcomes that are needed before it may pass.
    """
    harm = log_harm(state)
    harm_limit = math.log(sharing / alpha)
    safe = log_better(state) if superiority else log_safe(state)
    rare = log_rate_below(state.candidate, negligible)
    # Both ways to pass share alpha; with superiority there is only one.
    safe_limit = -math.log(alpha * (1 if superiority else 1 - RARE_SHARE))
    rare_limit = -math.log(alpha * RARE_SHARE)
    leaning = LEANING * min(0.0, safe)
    by_rarity = not superiority and rare + leaning >= rare_limit and harm < STRONG
    own = rate_interval(state.candidate, alpha / 2)
    other = rate_interval(state.stable, alpha / 2)
    return GuardNumbers(
        candidate=candidate,
        stable=stable,
        harm=harm,
        harm_limit=harm_limit,
        safe=safe,
        rare=rare,
        safe_limit=safe_limit,
        rare_limit=rare_limit,
        odds_ratio=odds_interval(state, alpha),
        candidate_rate=own,
        stable_rate=other,
        difference=(own[0] - other[1], own[1] - other[0]),
        passed=(safe >= safe_limit or by_rarity) and state.candidate.total >= max(1, enough),
    )
