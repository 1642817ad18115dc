"""What workers share: counters that are those of one server, and records that arrive whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.runtime.counters import Counters, Histogram
from serving.runtime.limits import Limits
from serving.runtime.workers.counting import FLOATS, SharedCounters
from serving.runtime.workers.memory import Facts, Memory, Ring
from serving.runtime.workers.worker import share

LABELS = {"model": "m", "version": "1", "predictor": "v1"}
BOUNDS = [0.1, 0.5, 0.9]
INPUTS = ("a", "b")

EVENT = st.one_of(
    st.tuples(
        st.just("request"),
        st.sampled_from([200, 400, 413, 421, 499, 500, 503]),
        st.floats(0, 10).map(lambda seconds: round(seconds, 3)),
        st.booleans(),
    ),
    st.tuples(
        st.just("answered"),
        st.lists(st.floats(0, 1), min_size=1, max_size=50),
        st.dictionaries(
            st.sampled_from(["missing", "unknown", "outside"]),
            st.lists(st.sampled_from(INPUTS), max_size=2, unique=True),
        ),
    ),
    st.tuples(st.just("judged"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("explained"), st.sampled_from([200, 400, 503])),
)


def happen(counters: Counters, event: Any) -> None:
    match event:
        case ("request", code, seconds, addressed):
            counters.request(code, seconds, addressed=addressed)
        case ("answered", scores, findings):
            counters.answered(len(scores), scores, findings)
        case ("judged", right, wrong):
            counters.judged(right, wrong)
        case ("explained", code):
            counters.explained(code)


def numbers(counters: Counters) -> dict[str, float]:
    """Every line of the text, without what names the process."""
    lines = [line for line in counters.text().decode().splitlines() if not line.startswith("#")]
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines)
        if not name.startswith("process_start")
    }


@given(st.lists(st.tuples(st.integers(0, 2), EVENT), max_size=60))
@settings(deadline=None)
def test_what_several_count_is_what_one_would_have_counted(
    events: list[tuple[int, Any]],
) -> None:
    """Whoever is asked says the same; and who takes a dead one's place counts on."""
    one = Counters(LABELS, 0.05, BOUNDS)
    several = [SharedCounters(LABELS, 0.05, BOUNDS, INPUTS) for _ in range(3)]
    memory = Memory(2, integers=several[0].integers, floats=FLOATS)
    for place, own in enumerate(several):
        own.attach(memory, place)
    for place, event in events:
        happen(one, event)
        happen(several[place], event)
        successor = SharedCounters(LABELS, 0.05, BOUNDS, INPUTS)
        successor.attach(memory, place)
        several[place] = successor
    expected = numbers(one)
    for own in several:
        assert numbers(own) == pytest.approx(expected)
        assert own.merged().rows == one.rows
        assert own.merged().last == pytest.approx(one.last, abs=5)


def test_nothing_that_one_counts_is_left_out_of_what_several_have_counted() -> None:
    """Where every number in the memory is 1, none of the sum's is as it was at the start."""
    counters = SharedCounters(LABELS, 0.05, BOUNDS, INPUTS)
    memory = Memory(1, integers=counters.integers, floats=FLOATS)
    for place in range(2):
        for number in range(counters.integers):
            memory.integers[place][number] = 1
        for number in range(FLOATS):
            memory.floats[place][number] = 1.0
    counters.attach(memory, 0)
    fresh, merged = vars(Counters(LABELS, 0.05, BOUNDS)), vars(counters.merged())
    assert fresh.keys() == merged.keys()
    for name in fresh.keys() - {"_labels", "started"}:
        before, after = fresh[name], merged[name]
        if isinstance(before, Histogram):
            assert after.counts == [2] * len(before.counts), name
            assert after.sum == 2.0, name
        else:
            assert after != before, name


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.just(None)), max_size=200),
    st.integers(16, 120),
)
def test_records_arrive_whole_and_in_order(steps: list[bytes | None], room: int) -> None:
    """None is a reading; a record for which there is no room is refused, and nothing else is."""
    facts = memoryview(bytearray(8 * Facts.COUNT)).cast("q")
    ring = Ring(memoryview(bytearray(room)), facts)
    sent: list[bytes] = []
    held = 0
    for step in steps:
        if step is None:
            assert list(ring.take()) == sent
            sent, held = [], 0
            continue
        fits = held + len(step) + 4 <= room
        assert ring.put(step) is fits
        if fits:
            sent.append(step)
            held += len(step) + 4
    assert list(ring.take()) == sent
    assert list(ring.take()) == []


@pytest.mark.parametrize(("active", "workers", "each"), [(512, 2, 256), (5, 2, 3), (1, 4, 1)])
def test_the_bound_on_requests_is_of_all_together(active: int, workers: int, each: int) -> None:
    limits = share(Limits(active=active, each=active), workers)
    assert limits == Limits(active=each, each=each)
