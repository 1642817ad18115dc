"""Waiting asks at once, at growing intervals, and not beyond its bound."""

from __future__ import annotations

import time

import pytest

from pocket.patience import until


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
