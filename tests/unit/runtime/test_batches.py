"""Requests that wait for company: no longer than they may, and each gets its own answer.

The loop's clock is the test's: it moves when everybody waits, so bounds are exact.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from contracts.artifact import Tensor
from serving.runtime.app import App
from serving.runtime.batches import Batches
from serving.runtime.limits import Batch
from serving.runtime.model import Answer, Model, Prepared
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served
from serving.runtime.store import fetch
from serving.runtime.turns import Turns, can_share
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import call
from tests.unit.runtime.test_turns import PROBABILITIES, ROWS, body

Result = TypeVar("Result")
NONE = Answer(b"", 1, (), ())
FACTS: Any = {"feeds": {}, "wanted": [], "as_bytes": None, "findings": {}, "plain": True}


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes at once when nobody has anything to do."""

    def __init__(self) -> None:
        super().__init__(_Waiting(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _Waiting(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self._clock.now += timeout
        return ready


def run(work: Callable[[Clock], Awaitable[Result]]) -> Result:
    loop = Clock()
    try:
        return loop.run_until_complete(work(loop))
    finally:
        loop.close()


class Counting:
    """A model that takes `cost` seconds a call, and says which requests each call had."""

    def __init__(self, cost: float = 0.0) -> None:
        self.calls: list[list[str]] = []
        self.rows: list[int] = []
        self.clock: Clock | None = None
        self._cost = cost

    def answers(self, asked: Sequence[Prepared]) -> list[Answer | Refusal]:
        self.calls.append([prepared.identity for prepared in asked])
        self.rows.append(sum(prepared.rows for prepared in asked))
        if self.clock:
            self.clock.now += self._cost
        return [NONE for _ in asked]


def asked(identity: object, rows: int = 1) -> Prepared:
    return Prepared(identity=str(identity), rows=rows, **FACTS)


def answered_at(
    model: Counting, batch: Batch, arrivals: Sequence[tuple[float, Prepared]]
) -> dict[str, float]:
    """When each request is answered, that comes at its time."""

    async def work(clock: Clock) -> dict[str, float]:
        model.clock = clock
        times: dict[str, float] = {}
        over = asyncio.Event()

        def done(prepared: Prepared, answer: Answer | Refusal) -> None:
            assert prepared.identity not in times, "answered twice"
            times[prepared.identity] = clock.now
            if len(times) == len(arrivals):
                over.set()

        turns = Batches(model, batch)  # type: ignore[arg-type]
        for at, prepared in arrivals:
            clock.call_at(at, turns.ask, prepared, done)
        await asyncio.wait_for(over.wait(), 1e6)
        assert len(turns) == 0
        return times

    return run(work)


WAIT = Batch(rows=8, wait=0.002)


def test_those_that_come_within_the_wait_share_a_call() -> None:
    model = Counting()
    times = answered_at(model, WAIT, [(0.0, asked("a")), (0.001, asked("b")), (0.0019, asked("c"))])
    assert model.calls == [["a", "b", "c"]]
    assert set(times.values()) == {0.002}


def test_a_full_batch_waits_no_longer() -> None:
    model = Counting()
    times = answered_at(model, WAIT, [(n * 1e-4, asked(n)) for n in range(8)])
    assert model.calls == [[str(n) for n in range(8)]]
    assert times["0"] == pytest.approx(7e-4)


def test_who_is_alone_does_not_wait_for_nobody() -> None:
    """Only one in a while sees its wait through."""
    model = Counting()
    arrivals = [(n * 0.01, asked(n)) for n in range(132)]
    times = answered_at(model, WAIT, arrivals)
    waits = [times[prepared.identity] - at for at, prepared in arrivals]
    assert sum(wait > 0 for wait in waits) == 5
    assert max(waits) == pytest.approx(WAIT.wait)


def test_as_many_as_can_be_expected_wait_for_no_more() -> None:
    """Four clients that ask again as soon as they are answered."""

    async def work(clock: Clock) -> tuple[list[list[str]], float]:
        model = Counting()
        over = asyncio.Event()
        turns = Batches(model, WAIT)  # type: ignore[arg-type]
        left = 400

        def done(prepared: Prepared, answer: Answer | Refusal) -> None:
            nonlocal left
            left -= 1
            if left:
                clock.call_later(1e-4, turns.ask, prepared, done)
            else:
                over.set()

        for client in range(4):
            turns.ask(asked(client), done)
        await asyncio.wait_for(over.wait(), 1e6)
        return model.calls, clock.now

    calls, took = run(work)
    assert {len(together) for together in calls} == {4}
    assert took < 100 * 1e-4 + 5 * WAIT.wait


def test_more_are_noticed_and_fewer_too() -> None:
    model = Counting()
    one = [(n * 0.01, asked(f"one {n}")) for n in range(40)]
    many = [(1 + n * 0.0003, asked(f"many {n}")) for n in range(400)]
    few = [(2 + n * 0.01, asked(f"few {n}")) for n in range(40)]
    answered_at(model, WAIT, [*one, *many, *few])
    sizes = [len(together) for together in model.calls]
    assert set(sizes[:40]) == {1}
    assert max(sizes) >= 7
    assert sizes[-38:] == [1] * 38


def test_without_a_wait_those_of_a_turn_share_a_call() -> None:
    model = Counting()
    batch = Batch(rows=8, wait=0.0)
    times = answered_at(model, batch, [(0.0, asked("a")), (0.0, asked("b")), (0.001, asked("c"))])
    assert model.calls == [["a", "b"], ["c"]]
    assert times == {"a": 0.0, "b": 0.0, "c": 0.001}


def test_one_that_fills_a_call_alone_goes_last_and_hurries_the_others() -> None:
    model = Counting(cost=0.5)
    arrivals = [(0.0, asked("a")), (0.001, asked("huge", 5000)), (0.001, asked("b"))]
    times = answered_at(model, WAIT, arrivals)
    assert model.calls == [["a", "b"], ["huge"]]
    assert times["a"] == times["b"] == pytest.approx(0.501)


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 12)), min_size=1, max_size=120
).map(
    lambda drawn: [
        (at * 1e-4, asked(number, rows)) for number, (at, rows) in enumerate(sorted(drawn))
    ]
)


@given(ARRIVALS, st.integers(1, 16), st.integers(0, 4))
@settings(max_examples=200, deadline=None)
def test_all_are_answered_once_within_the_wait_in_calls_of_the_size(
    arrivals: list[tuple[float, Prepared]], rows: int, milliseconds: int
) -> None:
    model = Counting()
    times = answered_at(model, Batch(rows=rows, wait=milliseconds / 1000), arrivals)
    assert all(
        size <= rows or len(together) == 1
        for size, together in zip(model.rows, model.calls, strict=True)
    )
    for at, prepared in arrivals:
        assert -1e-9 <= times[prepared.identity] - at <= milliseconds / 1000 + 1e-9


def test_a_slow_model_starves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call takes longer than a turn may, and small requests keep coming: who was there first,
    large or small, is answered first."""
    model = Counting(cost=0.01)

    async def work(clock: Clock) -> list[str]:
        monkeypatch.setattr("serving.runtime.turns.time", SimpleNamespace(perf_counter=clock.time))
        model.clock = clock
        order: list[str] = []
        over = asyncio.Event()
        turns = Batches(model, WAIT)  # type: ignore[arg-type]

        def done(prepared: Prepared, answer: Answer | Refusal) -> None:
            order.append(prepared.identity)
            if len(order) < 60:
                turns.ask(asked(f"new {len(order)}"), done)
            else:
                over.set()

        for number in range(20):
            turns.ask(asked(number, 1 + number % 9), done)
        await asyncio.wait_for(over.wait(), 1e6)
        return order

    order = run(work)
    assert set(order[:20]) == {str(number) for number in range(20)}
    assert len(model.calls) > 20


# -- with models -----------------------------------------------------------------------------------


def model_of(folder: Path, estimator: Any) -> tuple[Model, bytes]:
    target = (ROWS[:, 0] > 0).astype(int) + (ROWS[:, 3] > 1)
    estimator.fit(ROWS, target)
    content = to_onnx(estimator, ROWS[:1], options={"zipmap": False}).SerializeToString()
    inputs = (Tensor(name="X", datatype="FP32", shape=(-1, 33)),)
    write_artifact(folder, content, inputs=inputs, outputs=PROBABILITIES)
    artifact, read = fetch(str(folder))
    return Model("flight-delay", artifact, read), read


def answers_of(turns: Turns, requests: Sequence[Prepared]) -> list[Answer | Refusal]:
    async def work(clock: Clock) -> list[Answer | Refusal]:
        waiting = [clock.create_future() for _ in requests]
        for number, (prepared, future) in enumerate(zip(requests, waiting, strict=True)):
            clock.call_at(
                number * 1e-4, turns.ask, prepared, lambda _, a, f=future: f.set_result(a)
            )
        return list(await asyncio.gather(*waiting))

    return run(work)


def test_batched_answers_are_those_given_alone_where_sharing_is_exact(tmp_path: Path) -> None:
    model, content = model_of(tmp_path, RandomForestClassifier(20, random_state=0))
    assert can_share(content, model)
    requests = [model.prepared(body(ROWS[n : n + 1 + n % 5]), f"r{n}") for n in range(0, 300, 3)]
    batched = answers_of(Batches(model, Batch(rows=64, wait=0.002)), requests)
    alone = answers_of(Turns(model, shared=False), requests)
    assert batched == alone


def test_whoever_asks_for_batches_gets_them_for_a_linear_model(tmp_path: Path) -> None:
    model, content = model_of(tmp_path, LogisticRegression())
    assert not can_share(content, model)
    requests = [model.prepared(body(ROWS[n : n + 1]), f"r{n}") for n in range(64)]
    batched = answers_of(Batches(model, Batch()), requests)
    alone = answers_of(Turns(model, shared=False), requests)
    for ours, own in zip(batched, alone, strict=True):
        assert isinstance(ours, Answer)
        assert isinstance(own, Answer)
        assert ours.classes == own.classes
        np.testing.assert_allclose(ours.scores, own.scores, atol=1e-5)


def test_a_wait_counts_as_time_of_its_request(tmp_path: Path) -> None:
    model, _ = model_of(tmp_path, RandomForestClassifier(5, random_state=0))
    app = App(Served(model, slow_over=0.001, batch=Batch(rows=8, wait=0.05)))
    path = "/v2/models/flight-delay/infer"
    assert call(app, "POST", path, body(ROWS[:1])).status == 200
    assert app.served.counters.seconds.sum > 0.04
