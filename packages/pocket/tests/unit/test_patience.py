"""Waiting asks at once, at growing intervals, and not beyond its bound."""

from __future__ import annotations

import time

import pytest

from pocket.errors import OptionError
from pocket.patience import AT_MOST, VARIABLE, until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses, which take no time but pass on the clock."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(pauses))
    return pauses


def test_what_is_there_is_not_waited_for(clock: list[float]) -> None:
    assert until(lambda: True, within=1, pause=0.1)
    assert clock == []


def test_pauses_grow_up_to_the_longest(clock: list[float]) -> None:
    answers = iter([False] * 6 + [True])
    assert until(lambda: next(answers), within=100, pause=1, growth=2, longest=5)
    assert clock == [1, 2, 4, 5, 5, 5]
    assert next(answers, "none") == "none"


def test_it_ends_when_time_is_up(clock: list[float]) -> None:
    asked: list[float] = []

    def never() -> bool:
        asked.append(sum(clock))
        return False

    assert not until(never, within=3, pause=1)
    assert asked == [0, 1, 2, 3]


def test_what_the_check_raises_ends_it(clock: list[float]) -> None:
    answers = iter([False])
    with pytest.raises(StopIteration):
        until(lambda: next(answers), within=3, pause=1)


def test_what_gets_on_is_waited_for(clock: list[float]) -> None:
    """Progress until the twentieth second; the bound counts from there."""
    assert not until(lambda: False, within=3, pause=1, progress=lambda: min(sum(clock), 20))
    assert sum(clock) == 23
    clock.clear()
    assert not until(lambda: False, within=3, pause=1, progress=lambda: sum(clock))
    assert sum(clock) == AT_MOST * 3


def test_the_bound_is_a_setting(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2.5")
    assert not until(lambda: False, within=2, pause=1)
    assert sum(clock) == 5
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(OptionError, match="is not a factor"):
            until(lambda: False, within=2, pause=1)
