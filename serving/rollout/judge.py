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
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from contracts.document import Document
from contracts.rollout import BAD_OF, Counters, DriftState, GuardNumbers, GuardState, Outcomes

Floats = NDArray[np.float64]

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
_STAKES = np.array([COMMON.get(one, 0.0) for one in WORSE])
_STAKES[_STAKES == 0] = (1 - _STAKES.sum()) / (len(WORSE) - len(COMMON))
LOG_STAKES: Floats = np.log(_STAKES)
LOWEST = -700.0
"""Log evidence is not written lower than this: it has to fit JSON, and nothing depends on it."""

DIRECT = 1024
"""Up to this many possible outcomes the normaliser is added up term by term."""
POINTS = 64
"""Beyond, it is added up from this many points on either side of the mode."""
TOLERANCE = 1e-10
"""The relative error of the normaliser that is accepted, by its proven bound."""
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


# --- Fisher's noncentral hypergeometric law -------------------------------------------------------


def log_likelihoods(candidate: Outcomes, stable: Outcomes, odds: Floats) -> Floats:
    """log f(x; psi) - log f(x; 1) at each odds ratio psi, given the look's margins.

    Args:
        candidate: the candidate's outcomes in one look.
        stable: the stable version's outcomes in the same look.
        odds: odds ratios above 0, shape (k,).

    Returns:
        Shape (k,); all zeros when the look says nothing (no bad outcome, or only one version
        served).
    """
    total = candidate.bad + stable.bad
    low = max(0, total - stable.total)
    high = min(total, candidate.total)
    if low == high:
        return np.zeros(len(odds))
    if high - low < DIRECT:
        weights = _log_weights(candidate.total, stable.total, total, low, high)
        steps = np.arange(high - low + 1)
        logs = np.log(odds)
        sums = _log_sum(weights + logs[:, None] * steps) - _log_sum(weights[None, :])
        return np.asarray((candidate.bad - low) * logs - sums)
    both = np.append(odds, 1.0)
    terms, _ = _log_masses(candidate.total, stable.total, total, candidate.bad, both)
    return np.asarray(terms[:-1] - terms[-1])


def _log_weights(n_c: int, n_s: int, m: int, low: int, high: int) -> Floats:
    """log C(n_c, x) C(n_s, m - x) for x from low to high, less that at low.

    As running sums of the ratios of neighbours, which lose nothing however large the counts are.
    """
    x = np.arange(low, high, dtype=np.float64)
    ratios = np.log((n_c - x) / (x + 1)) + np.log((m - x) / (n_s - m + x + 1))
    return np.concatenate(([0.0], np.cumsum(ratios)))


def _log_masses(n_c: int, n_s: int, m: int, x: int, odds: Floats) -> tuple[Floats, float]:
    """log f(x; psi) at each psi in time that does not grow with the counts, and a bound of its
    error.

    f is the law of X given X + Y = m for X ~ Binomial(n_c, p), Y ~ Binomial(n_s, q) with odds p =
    psi odds q, for any q. With q chosen so that the means add up to m, every term is of moderate
    size and Loader's form of the binomial law has it to full precision (C. Loader, 2000, "Fast and
    accurate computation of binomial probabilities").

    The normaliser is a sum over x. It is added up over every h-th x only, h times. The relative
    error of that is, by the discrete Fourier transform, at most the sum over j = 1..h-1 of |phi(2
    pi j / h)|, phi the characteristic function of the law. The law is that of a sum of independent
    Bernoulli variables (the generating function's zeros are all real and negative: Vatutin and
    Mikhailov, 1982, Theory Probab. Appl. 27, 734-743; the factor psi^x only scales them), for
    which |phi(t)| <= exp(-s2 (1 - cos t)), s2 its variance, so the error is at most 2 sum_j exp(-8
    s2 j^2 / h^2). The variance is bounded from below by (1/p^2 - 1)/12, p the largest probability
    (the uniform law has the least variance for its height), and 1/p in turn by h (S/g_max - 1),
    because a unimodal sequence is, between two points, at least the lower of them. The tails that
    are left out fall at least geometrically (the law is log-concave). So the bound is computed
    from the same points, and where it should exceed TOLERANCE they are made denser and more.
    """
    theta, mode, spread = _saddle(n_c, n_s, m, odds)
    stride = np.maximum(1.0, np.floor(spread / 3))
    points = POINTS
    while True:
        offsets = np.arange(-points, points + 1)
        grid = mode[:, None] + stride[:, None] * offsets
        inside = (grid >= max(0, m - n_s)) & (grid <= min(m, n_c))
        terms = np.where(inside, _log_terms(n_c, n_s, m, grid, odds, theta), -np.inf)
        bound = _error_bound(terms, stride)
        if bound <= TOLERANCE:
            break
        stride = np.maximum(1.0, np.floor(stride / 2))
        points *= 4
    at_x = _log_terms(n_c, n_s, m, np.full((len(odds), 1), float(x)), odds, theta)[:, 0]
    return at_x - _log_sum(terms) - np.log(stride), bound


def _saddle(n_c: int, n_s: int, m: int, odds: Floats) -> tuple[Floats, Floats, Floats]:
    """At each odds ratio: the stable version's odds at which the means add up to m, the law's
    mode, and about its standard deviation."""
    b = (n_c + m) * odds + (n_s - m)
    c = odds * n_c * m
    mean = 2 * c / (b + np.sqrt(np.maximum(b * b - 4 * (odds - 1) * c, 0.0)))
    mean = np.clip(mean, max(0, m - n_s) + 0.25, min(m, n_c) - 0.25)
    theta = mean / ((n_c - mean) * odds)
    b, c = (n_c + m + 2) * odds + (n_s - m), odds * (n_c + 1.0) * (m + 1.0)
    mode = np.floor(2 * c / (b + np.sqrt(np.maximum(b * b - 4 * (odds - 1) * c, 0.0))))
    mode = np.clip(mode, max(0, m - n_s), min(m, n_c))
    cells = (mean, m - mean, n_c - mean, n_s - m + mean)
    spread = np.sqrt(1 / sum(1 / np.maximum(cell, 0.25) for cell in cells))
    return theta, mode, spread


def _log_terms(n_c: int, n_s: int, m: int, x: Floats, odds: Floats, theta: Floats) -> Floats:
    """log P(X = x) P(Y = m - x), shape of x: (odds ratios, points)."""
    own, other = (odds * theta)[:, None], theta[:, None]
    return _log_binomial(x, n_c, own) + _log_binomial(m - x, n_s, other)


def _log_binomial(x: Floats, n: int, odds: Floats) -> Floats:
    """Loader's log of the binomial probability of x in n, at these odds of a success."""
    x = np.clip(x, 0.0, n)
    rest = n - x
    p, q = odds / (1 + odds), 1 / (1 + odds)
    inner = (x > 0) & (rest > 0)
    safe, other = np.where(inner, x, 1.0), np.where(inner, rest, 1.0)
    spread = 0.5 * np.log(n / (2 * np.pi * safe * other))
    main = (
        _stirling_error(np.float64(n))
        - _stirling_error(safe)
        - _stirling_error(other)
        - _deviance(safe, n * p)
        - _deviance(other, n * q)
        + spread
    )
    edge = np.where(x > 0, n * np.log(p), n * np.log1p(-p))
    return np.asarray(np.where(inner, main, edge))


def _stirling_error(n: NDArray[np.float64] | np.float64) -> Floats:
    """log n! less Stirling's approximation of it."""
    n = np.asarray(n, dtype=np.float64)
    small = np.where(n < 16, n, 1.0)
    large = np.where(n < 16, 16.0, n)
    exact = special.gammaln(small + 1) - (small + 0.5) * np.log(np.maximum(small, 0.5)) + small
    inverse = 1 / (large * large)
    series = 1 / 1188 - inverse * 691 / 360360
    series = 1 / 12 - inverse * (
        1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse * series))
    )
    return np.asarray(np.where(n < 16, exact - 0.5 * np.log(2 * np.pi), series / large))


def _deviance(x: Floats, mean: Floats) -> Floats:
    """x log(x / mean) + mean - x without cancellation near x = mean."""
    gap = (x - mean) / mean
    return np.asarray(mean * ((1 + gap) * np.log1p(gap) - gap))


def _error_bound(terms: Floats, stride: Floats) -> float:
    """The proven bound of the strided sums' relative error; see `_log_masses`."""
    scaled = np.exp(terms - terms.max(axis=1, keepdims=True))
    sums = scaled.sum(axis=1)
    width = stride * (sums - 1)
    variance = np.maximum(width * width - 1, 0.0) / 12
    decay = np.exp(-8 * variance / (stride * stride))
    with np.errstate(divide="ignore"):
        alias = np.where(stride > 1, 2 * decay / (1 - decay), 0.0)
    tails = _tail(scaled[:, 0], scaled[:, 1]) + _tail(scaled[:, -1], scaled[:, -2])
    return float(np.max(alias + tails / sums))


def _tail(last: Floats, before: Floats) -> Floats:
    """What a log-concave sequence can still add up to after its last two terms."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(last > 0, last / before, 0.0)
        return np.asarray(np.where(ratio < 1, last * ratio / (1 - ratio), np.inf))


def _log_sum(terms: Floats) -> Floats:
    """log of the sum of exponentials along the last axis."""
    top = terms.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(terms - top).sum(axis=-1)) + top[..., 0])


# --- One guard's evidence -------------------------------------------------------------------------


def fresh(tolerate: float) -> GuardState:
    """No evidence yet."""
    return GuardState(likelihoods=(0.0,) * len(GRID), tolerate=tolerate)


def look(state: GuardState, candidate: Outcomes, stable: Outcomes, tolerate: float) -> GuardState:
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


def _plus(one: Outcomes, other: Outcomes) -> Outcomes:
    return Outcomes(total=one.total + other.total, bad=one.bad + other.bad)


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
    return _floor(float(_log_sum(logs + LOG_STAKES)))


def log_better(state: GuardState) -> float:
    """Log evidence against *the candidate is no better* (odds ratio >= 1 at every look)."""
    logs = np.array(state.likelihoods)[: len(BETTER)]
    return _floor(float(_log_sum(logs)) - math.log(len(BETTER)))


def log_safe(state: GuardState) -> float:
    """Log evidence against *the candidate is worse than tolerated* (odds ratio >= tolerate)."""
    logs = np.array(state.likelihoods)
    if state.offset:
        logs = logs - np.array(state.offset)
    return _floor(float(_log_sum(logs + _safe_prior(state.tolerate))) - state.tolerated)


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
    return _floor(float(posterior - prior - x * math.log(limit) - rest * math.log1p(-limit)))


def _floor(value: float) -> float:
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
    mixture = float(_log_sum(logs)) - math.log(len(GRID))
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


# --- Drift ----------------------------------------------------------------------------------------


def drift_look(state: DriftState, candidate: Sequence[int], stable: Sequence[int]) -> DriftState:
    """Add one look's predictions by class to the evidence of drift.

    Args:
        state: the evidence so far; begins anew when the number of classes has changed.
        candidate: the candidate's predictions in each class, in this look.
        stable: the stable version's.
    """
    if len(state.candidate) != len(candidate):
        zeros = (0,) * len(candidate)
        stages = ((0.0,) * len(GRID),) * max(0, len(candidate) - 1)
        state = DriftState(stages=stages, candidate=zeros, stable=zeros)
    added = []
    for index, stage in enumerate(state.stages):
        own = Outcomes(total=sum(candidate[index:]), bad=candidate[index])
        other = Outcomes(total=sum(stable[index:]), bad=stable[index])
        added.append(tuple((np.array(stage) + log_likelihoods(own, other, ODDS)).tolist()))
    return DriftState(
        stages=tuple(added),
        candidate=tuple(a + b for a, b in zip(state.candidate, candidate, strict=True)),
        stable=tuple(a + b for a, b in zip(state.stable, stable, strict=True)),
    )


def log_drift(state: DriftState) -> float:
    """Log evidence against *both versions' predictions have the same distribution*."""
    if not state.stages:
        return 0.0
    stages = _log_sum(np.array(state.stages)) - math.log(len(GRID))
    mean = float(_log_sum(stages)) - math.log(len(stages))
    return _floor(float(np.logaddexp(mean, float(stages.sum())) - math.log(2)))


# --- Counters -------------------------------------------------------------------------------------

FAMILIES: dict[str, tuple[str, ...]] = {
    "epoch": ("requests", "errors"),
    "servers": ("timed", "slow", "feedback", "wrong", "predictions"),
}
"""Who counts (the field that names it) and what."""


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
    for owner, fields in FAMILIES.items():
        verdicts = {
            name: _family(owner, fields, before.get(name), counters)
            for name, counters in now.items()
        }
        if all(verdict == "" for verdict in verdicts.values()):
            for name, counters in now.items():
                grown = {one: _less(before[name], counters, one) for one in fields}
                changes[name] = changes[name].model_copy(update=grown)
                baselines[name] = _take(baselines[name], counters, owner, fields)
            continue
        notes += [f"{name}: {told}" for name, told in verdicts.items() if told not in ("", MISSING)]
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
    grown = {one: _less(before, now, one) for one in fields}
    for one, value in grown.items():
        parts = value if isinstance(value, tuple) else (value or 0,)
        if min(parts, default=0) < 0:
            return f"{OLD if getattr(now, owner) else AGAIN}, {one} went back"
    for part, whole in BAD_OF.items():
        bad, total = grown.get(part), grown.get(whole)
        if isinstance(bad, int) and isinstance(total, int) and bad > total:
            return f"{AGAIN}, {part} grew by {bad} and {whole} by {total}"
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
    return baseline.model_copy(update={one: getattr(now, one) for one in (owner, *fields)})


def outcomes(counters: Counters, guard: str) -> Outcomes | None:
    """A guard's outcomes in a difference of counters; None is no data."""
    total, bad = getattr(counters, BAD_OF[guard]), getattr(counters, guard)
    if total is None or bad is None:
        return None
    return Outcomes(total=total, bad=bad)
