"""The evidence is what the judge's docstring claims: checked by enumeration, not by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from contracts.errors import DocumentError
from contracts.rollout import Counters, DriftState, GuardState, Outcomes
from serving.rollout.core import drift, hypergeometric, judge
from serving.rollout.core.growth import growth
from serving.rollout.core.signals import outcomes as outcomes_of

TINY = 1e-9


def outcomes(total: int, bad: int) -> Outcomes:
    return Outcomes(total=total, bad=bad)


tables = st.tuples(st.integers(1, 30), st.integers(1, 60), st.data())
odds_ratios = st.floats(0.02, 50)


@st.composite
def margins(draw: st.DrawFn, most: int = 40) -> tuple[int, int, int]:
    n_c, n_s = draw(st.integers(1, most)), draw(st.integers(1, most))
    return n_c, n_s, draw(st.integers(0, n_c + n_s))


def law(n_c: int, n_s: int, m: int, odds: float) -> dict[int, float]:
    """Fisher's law by scipy: the candidate's bad count -> its probability."""
    support = range(max(0, m - n_s), min(m, n_c) + 1)
    return {x: float(stats.nchypergeom_fisher.pmf(x, n_c + n_s, n_c, m, odds)) for x in support}


def mean_after(state: GuardState, table: tuple[int, int, int], odds: float, evidence) -> float:  # type: ignore[no-untyped-def]
    """The mean of an e-process after one more look, by enumeration."""
    n_c, n_s, m = table
    return sum(
        chance
        * math.exp(evidence(judge.extend(state, outcomes(n_c, x), outcomes(n_s, m - x), 1.5)))
        for x, chance in law(n_c, n_s, m, odds).items()
    )


# --- the law --------------------------------------------------------------------------------------


@given(margins(), st.data())
@settings(max_examples=40, deadline=None)
def test_likelihoods_are_those_of_fishers_law(table, data):
    n_c, n_s, m = table
    x = data.draw(st.integers(max(0, m - n_s), min(m, n_c)))
    found = hypergeometric.log_likelihoods(outcomes(n_c, x), outcomes(n_s, m - x), judge.ODDS[::4])
    frozen = [law(n_c, n_s, m, odds)[x] / law(n_c, n_s, m, 1.0)[x] for odds in judge.GRID[::4]]
    assert np.exp(found) == pytest.approx(frozen, rel=1e-6, abs=1e-12)


@given(
    st.integers(200, 30_000), st.integers(200, 30_000), st.floats(0.02, 0.98), st.floats(0.2, 0.8)
)
@settings(max_examples=40, deadline=None)
def test_the_bounded_normaliser_is_within_its_bound_of_the_whole_sum(n_c, n_s, rate, place):
    m = max(1, int((n_c + n_s) * rate))
    low, high = max(0, m - n_s), min(m, n_c)
    x = int(low + (high - low) * place)
    found, bound = hypergeometric._log_masses(n_c, n_s, m, x, judge.ODDS)
    weights = hypergeometric._log_weights(n_c, n_s, m, low, high)
    tilted = weights + np.log(judge.ODDS)[:, None] * np.arange(high - low + 1)
    whole = tilted[:, x - low] - hypergeometric.log_sum(tilted)
    assert bound <= hypergeometric.TOLERANCE
    # Besides the bound there is rounding, in proportion to the size of the logarithm.
    assert np.all(np.abs(found - whole) <= bound + 1e-11 * (1 + np.abs(whole)))


@pytest.mark.parametrize(
    ("n_c", "n_s", "m", "x"),
    [
        (10**8, 10**8, 10**8, 5 * 10**7),
        (10**8, 10**8, 10**8, 10**8),
        (10**8, 10**8, 2 * 10**8 - 1, 10**8),
        (10**8, 10, 10**7, 10**7),
        (10, 10**8, 5 * 10**7, 10),
        (10**6, 10**8, 3000, 2999),
    ],
)
def test_huge_counts_neither_overflow_nor_lose(n_c, n_s, m, x):
    found = hypergeometric.log_likelihoods(outcomes(n_c, x), outcomes(n_s, m - x), judge.ODDS)
    assert np.all(np.isfinite(found))
    assert found[judge.GRID.index(1.0)] == pytest.approx(0.0, abs=1e-6)


def test_a_look_at_huge_counts_agrees_with_the_normal_law():
    n, rate, odds = 10**8, 0.01, 1.12
    x, m = 1_000_500, 2 * n * rate
    found = hypergeometric.log_likelihoods(
        outcomes(n, x), outcomes(n, int(m) - x), np.array([odds])
    )[0]
    spread = 1 / (1 / 1e6 + 1 / 1e6 + 2 / 99e6)  # the hypergeometric law's variance, about
    shift = spread * math.log(odds)
    expected = ((x - 1e6) ** 2 - (x - 1e6 - shift) ** 2) / (2 * spread)
    assert found == pytest.approx(expected, rel=0.01)


# --- e-processes ----------------------------------------------------------------------------------


@given(margins(12), margins(25), st.floats(0.02, 1.0), st.data())
@settings(max_examples=40, deadline=None)
def test_harm_is_a_supermartingale_for_every_odds_ratio_up_to_one(first, second, odds, data):
    n_c, n_s, m = first
    x = data.draw(st.integers(max(0, m - n_s), min(m, n_c)))
    state = judge.extend(judge.fresh(1.5), outcomes(n_c, x), outcomes(n_s, m - x), 1.5)
    before = math.exp(judge.log_harm(state))
    assert mean_after(judge.fresh(1.5), second, odds, judge.log_harm) <= 1 + TINY
    assert mean_after(state, second, odds, judge.log_harm) <= before * (1 + TINY)


@given(margins(12), margins(25), st.floats(1.5, 60.0), st.data())
@settings(max_examples=40, deadline=None)
def test_safety_is_a_supermartingale_for_every_odds_ratio_from_the_tolerated(
    first, second, odds, data
):
    n_c, n_s, m = first
    x = data.draw(st.integers(max(0, m - n_s), min(m, n_c)))
    state = judge.extend(judge.fresh(1.5), outcomes(n_c, x), outcomes(n_s, m - x), 1.5)
    before = math.exp(judge.log_safe(state))
    assert mean_after(judge.fresh(1.5), second, odds, judge.log_safe) <= 1 + TINY
    assert mean_after(state, second, odds, judge.log_safe) <= before * (1 + TINY)


@given(margins(25), st.floats(1.0, 60.0))
@settings(max_examples=30, deadline=None)
def test_superiority_is_a_supermartingale_for_every_odds_ratio_from_one(table, odds):
    assert mean_after(judge.fresh(1.5), table, odds, judge.log_better) <= 1 + TINY


@given(st.integers(1, 60), st.floats(0.001, 0.9), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_rarity_and_collapse_are_supermartingales_on_their_side(n, limit, place):
    for evidence, rate in (
        (judge.log_rate_below, limit + (1 - limit) * place),
        (judge.log_rate_above, limit * place),
    ):
        mean = sum(
            math.comb(n, x)
            * rate**x
            * (1 - rate) ** (n - x)
            * math.exp(evidence(outcomes(n, x), limit))
            for x in range(n + 1)
        )
        assert mean <= 1 + 1e-7


@given(st.tuples(*[st.integers(0, 6)] * 3), st.integers(1, 10))
@settings(max_examples=25, deadline=None)
def test_drift_has_mean_one_when_both_versions_predict_alike(classes, n_c):
    n_c = min(n_c, sum(classes))
    law = stats.multivariate_hypergeom
    mean = 0.0
    for own in itertools.product(*(range(size + 1) for size in classes)):
        if sum(own) == n_c:
            rest = [size - x for size, x in zip(classes, own, strict=True)]
            chance = float(law.pmf(list(own), list(classes), n_c))
            mean += chance * math.exp(drift.log_drift(drift.extend(DriftState(), own, rest)))
    assert mean == pytest.approx(1.0, abs=1e-7)


def test_drift_finds_another_distribution_and_not_the_same():
    rng = np.random.default_rng(3)
    same = other = DriftState()
    for _ in range(30):
        stable = rng.multinomial(100, [0.7, 0.2, 0.1]).tolist()
        same = drift.extend(same, rng.multinomial(50, [0.7, 0.2, 0.1]).tolist(), stable)
        other = drift.extend(other, rng.multinomial(50, [0.5, 0.4, 0.1]).tolist(), stable)
    assert drift.log_drift(same) < math.log(100)
    assert drift.log_drift(other) > math.log(1e6)


# --- passing --------------------------------------------------------------------------------------


def passes(*looks: tuple[tuple[int, int], tuple[int, int]], negligible: float = 0.01) -> bool:
    state = judge.fresh(1.5)
    for own, other in looks:
        state = judge.extend(state, outcomes(*own), outcomes(*other), 1.5)
    last = outcomes(0, 0)
    return judge.numbers(state, last, last, alpha=0.01, sharing=1.0, negligible=negligible).passed


@pytest.mark.parametrize(
    ("own", "other", "passed"),
    [
        ((2000, 0), (2000, 0), True),  # nothing to compare
        ((20_000, 110), (20_000, 110), True),  # alike and below 1 %
        ((20_000, 110), (20_000, 70), False),  # below 1 %, but the comparison speaks against it
        ((20_000, 14), (20_000, 8), True),  # so far below that a handful of outcomes is not asked
        ((400, 0), (400, 0), False),  # not enough of them to say that it is below 1 %
    ],
)
def test_a_low_rate_passes_while_the_comparison_does_not_speak_against_it(own, other, passed):
    assert passes((own, other)) is passed
    if own[1] < 20:
        assert not passes((own, other), negligible=0.0)  # always compared, and it says too little


@given(margins(25), st.floats(1.5, 20.0), st.floats(0.02, 0.3))
@settings(max_examples=10, deadline=None)
def test_no_version_worse_than_tolerated_passes_more_often_than_alpha(table, odds, rate):
    """One look, enumerated: the rate is not negligible and the odds ratio is not tolerated."""
    n_c, n_s, _ = table
    worse = odds * rate / (1 - rate + odds * rate)
    wrong = sum(
        stats.binom.pmf(x, n_c, worse) * stats.binom.pmf(y, n_s, rate)
        for x in range(n_c + 1)
        for y in range(n_s + 1)
        if passes(((n_c, x), (n_s, y)), negligible=rate)
    )
    assert wrong <= 0.01 + TINY


# --- what the evidence depends on -----------------------------------------------------------------


@given(margins(40))
@settings(max_examples=40, deadline=None)
def test_more_bad_outcomes_of_the_candidate_are_more_evidence_of_harm_and_less_of_safety(table):
    n_c, n_s, m = table
    states = [
        judge.extend(judge.fresh(1.5), outcomes(n_c, x), outcomes(n_s, m - x), 1.5)
        for x in range(max(0, m - n_s), min(m, n_c) + 1)
    ]
    for fewer, more in itertools.pairwise(states):
        assert judge.log_harm(more) >= judge.log_harm(fewer) - TINY
        assert judge.log_safe(more) <= judge.log_safe(fewer) + TINY
        assert judge.log_better(more) <= judge.log_better(fewer) + TINY


@pytest.mark.parametrize(
    ("candidate", "stable"),
    [
        ((0, 0), (50, 3)),
        ((50, 3), (0, 0)),
        ((10, 0), (90, 0)),
        ((10, 10), (90, 90)),
        ((0, 0), (0, 0)),
    ],
)
def test_a_look_without_comparison_changes_no_evidence(candidate, stable):
    state = judge.extend(judge.fresh(1.5), outcomes(*candidate), outcomes(*stable), 1.5)
    assert state.likelihoods == judge.fresh(1.5).likelihoods


def test_another_tolerated_odds_ratio_starts_only_the_evidence_of_safety_anew():
    state = judge.fresh(1.5)
    for _ in range(5):
        state = judge.extend(state, outcomes(500, 50), outcomes(500, 50), 1.5)
    assert judge.log_safe(state) > 3
    harm = judge.log_harm(state)
    state = judge.extend(state, outcomes(0, 0), outcomes(0, 0), 2.0)
    assert judge.log_safe(state) == pytest.approx(0.0, abs=1e-9)
    assert judge.log_harm(state) == harm
    state = judge.extend(state, outcomes(500, 50), outcomes(500, 50), 2.0)
    alone = judge.extend(judge.fresh(2.0), outcomes(500, 50), outcomes(500, 50), 2.0)
    assert judge.log_safe(state) == pytest.approx(judge.log_safe(alone))


def test_the_state_is_a_small_document():
    state = judge.extend(judge.fresh(1.5), outcomes(10**7, 12345), outcomes(10**8, 123456), 1.5)
    text = state.model_dump_json()
    assert GuardState.model_validate_json(text) == state
    assert len(text) < 2000


@given(st.integers(0, 10**8), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_the_interval_of_a_rate_holds_the_rate_and_shrinks_with_confidence(n, rate):
    seen = outcomes(n, int(n * rate))
    low, high = judge.rate_interval(seen, 0.01)
    inner_low, inner_high = judge.rate_interval(seen, 0.1)
    centre = seen.bad / n if n else 0.5
    assert 0 <= low <= inner_low <= centre <= inner_high <= high <= 1


def test_the_interval_of_the_odds_ratio_covers_the_truth_at_every_look():
    rng = np.random.default_rng(11)
    for odds in (0.5, 1.0, 2.0):
        missed = 0
        for _ in range(40):
            state = judge.fresh(1.5)
            held = True
            for _ in range(40):
                p = 0.05
                q = odds * p / (1 - p + odds * p)
                state = judge.extend(
                    state,
                    outcomes(60, int(rng.binomial(60, q))),
                    outcomes(140, int(rng.binomial(140, p))),
                    1.5,
                )
                low, high = judge.odds_interval(state, 0.05)
                held = held and low <= odds and (high is None or odds <= high)
            missed += not held
        assert missed <= 6  # Five per cent of 40 are 2; more than 6 has probability below 1 %.


def test_more_bad_than_all_is_refused():
    with pytest.raises(DocumentError, match=r"bad \(3\) is more than total \(2\)"):
        Outcomes.parse({"total": 2, "bad": 3})
    with pytest.raises(DocumentError, match="greater than or equal to 0"):
        Outcomes.parse({"total": -2, "bad": 0})


# --- counters -------------------------------------------------------------------------------------


def counted(requests: int | None, errors: int | None = 0, **other: object) -> Counters:
    return Counters.model_validate({"requests": requests, "errors": errors, **other})


def test_growth_is_the_difference():
    before = {"v1": counted(100, 3), "v2": counted(10, 0)}
    now = {"v1": counted(190, 4), "v2": counted(20, 5)}
    grown = growth(before, now)
    assert outcomes_of(grown.changes["v2"], "errors") == outcomes(10, 5)
    assert outcomes_of(grown.changes["v1"], "errors") == outcomes(90, 1)
    assert outcomes_of(grown.changes["v1"], "wrong") is None
    assert grown.baselines == now


@pytest.mark.parametrize(
    ("before", "now", "note", "kept"),
    [
        (counted(100), counted(90), "v2: counting began again, requests went back", False),
        (
            counted(100, epoch="a"),
            counted(90, epoch="a"),
            "v2: an old reading, requests went back",
            True,
        ),
        (
            counted(100, epoch="a"),
            counted(500, epoch="b"),
            "v2: counting began again, those who count were restarted",
            False,
        ),
        (counted(100, 0), counted(101, 7), "errors grew by 7 and requests by 1", False),
    ],
)
def test_counters_that_cannot_have_grown_so_are_no_evidence(before, now, note, kept):
    old = {"v1": counted(100), "v2": before}
    grown = growth(old, {"v1": counted(200, 9), "v2": now})
    assert all(one.requests is None for one in grown.changes.values())
    assert note in grown.notes[0]
    assert grown.baselines["v2"] == (before if kept else now)


def test_a_gap_in_one_versions_telemetry_is_covered_by_the_next_look_for_both():
    start = {"v1": counted(100), "v2": counted(10)}
    gap = growth(start, {"v1": counted(200), "v2": Counters()})
    assert gap.baselines == start
    after = growth(gap.baselines, {"v1": counted(300), "v2": counted(30)})
    assert after.changes["v1"].requests == 200
    assert after.changes["v2"].requests == 20


def test_a_restarted_server_does_not_hide_what_the_data_plane_counted():
    before = {
        "v1": counted(100, 0, epoch="e", servers="a", timed=100, slow=1),
        "v2": counted(10, 0, epoch="e", servers="b", timed=10, slow=0),
    }
    now = {
        "v1": counted(200, 0, epoch="e", servers="a", timed=200, slow=2),
        "v2": counted(20, 9, epoch="e", servers="c", timed=1, slow=0),
    }
    grown = growth(before, now)
    assert outcomes_of(grown.changes["v2"], "errors") == outcomes(10, 9)
    assert outcomes_of(grown.changes["v2"], "slow") is None
    assert outcomes_of(grown.changes["v1"], "slow") is None
