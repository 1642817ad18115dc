"""Evidence as people read it: at 100 % the judge decides, whichever way it passes."""

from __future__ import annotations

import pytest

from contracts.rollout import Outcomes
from serving.rollout.core import judge


@pytest.mark.parametrize("total", [100, 500, 600, 650, 690, 700, 1_000])
def test_a_version_without_failures_passes_when_its_share_is_whole(total: int) -> None:
    """By rarity alone, whose limit is higher than the comparison's."""
    candidate, stable = Outcomes(total=total, bad=0), Outcomes(total=total, bad=0)
    state = judge.extend(judge.fresh(1.5), candidate, stable, 1.5)
    said = judge.numbers(state, candidate, stable, alpha=0.01, sharing=1, negligible=0.01)
    assert said.rare_limit > said.safe_limit
    assert said.passed == (said.share_for >= 1)
    assert said.share_against < 1
