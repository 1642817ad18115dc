"""Many values at once are counted as one by one would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.runtime.counters import Histogram

BOUNDS = (0.1, 0.25, 0.5, 1.0)
VALUES = st.one_of(st.sampled_from(BOUNDS), st.floats(-1e3, 1e3))


@given(st.lists(VALUES, max_size=100))
def test_all_at_once_is_one_by_one(values):
    together, single = Histogram(BOUNDS), Histogram(BOUNDS)
    together.add_all(values)
    for value in values:
        single.add(value)
    ours, theirs = (list(one.lines("n", "")) for one in (together, single))
    sums = [float(lines.pop(-2).split()[1]) for lines in (ours, theirs)]
    assert ours == theirs
    assert sums[0] == pytest.approx(sums[1])
