"""Fisher's noncentral hypergeometric law: one look's likelihood at each odds ratio.

`judge` has the argument for why this law and no other; here is how it is computed, exactly where
there are few possible outcomes and to a proven error where there are many.

Sources: the law and its mean, Harkness (1965), Ann. Math. Statist. 36, 938-945; those of the
methods are at the functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from contracts.rollout import Outcomes

Floats = NDArray[np.float64]

DIRECT = 1024
"""Up to this many possible outcomes the normaliser is added up term by term."""
POINTS = 64
"""Beyond, it is added up from this many points on either side of the mode."""
TOLERANCE = 1e-10
"""The relative error of the normaliser that is accepted, by its proven bound."""


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
        sums = log_sum(weights + logs[:, None] * steps) - log_sum(weights[None, :])
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
    return at_x - log_sum(terms) - np.log(stride), bound


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


def log_sum(terms: Floats) -> Floats:
    """log of the sum of exponentials along the last axis."""
    top = terms.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(terms - top).sum(axis=-1)) + top[..., 0])
