"""What `serve tune` proposes, from what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.artifact import Tensor
from contracts.errors import UsageError
from contracts.model import Batch, ServingSpec
from serving.runtime.model import Model
from serving.runtime.store import fetch
from serving.tuning.load import percentile
from serving.tuning.measuring import bodies, check_measurable, difference, settings_for
from serving.tuning.proposing import PLAIN, Cell, Proposal, Setting, propose
from tests.serving_model import make_artifact

AT_ONCE = Setting(batch=Batch(wait=0.0))
WAITING = Setting(batch=Batch(wait=0.002))
THREADS = Setting(threads=2)
BUDGET = 0.05


def cells(setting: Setting, rate: float = 1.0, cpu: float = 1.0, **slower: float) -> list[Cell]:
    """A setting's cells, relative to a plain server's."""
    return [
        Cell(
            setting=setting,
            load=(rows, connections),
            per_second=1000.0 * (rate if connections > 1 else 1.0),
            cpu=500.0 * (cpu if connections > 1 else 1.0),
            p50=connections * slower.get("alone" if connections == 1 else "p50", 1.0),
            p99=2.0 * connections * slower.get("p99", 1.0),
        )
        for rows in (1, 8, 64)
        for connections in (1, 16)
    ]


def proposed(*measured: list[Cell], difference: float | None = None) -> Proposal:
    flat = [cell for group in (cells(PLAIN), *measured) for cell in group]
    return propose(flat, budget=BUDGET, difference=difference)


@pytest.mark.parametrize(
    ("measured", "batch", "reason"),
    [
        (cells(WAITING, rate=2.0), {"max": 64, "wait": "2ms"}, "2.00 times the requests"),
        (cells(WAITING, cpu=0.5), {"max": 64, "wait": "2ms"}, "0.50 times the processor time"),
        (cells(WAITING, rate=1.1), None, "at 16 connections 1.10 times the requests"),
        (cells(WAITING, rate=0.5, cpu=0.2), None, "only 0.50 times the requests"),
        (cells(WAITING, rate=2.0, p99=2.0), None, "its p99 of 64.0 ms is over the budget"),
        (cells(WAITING, rate=2.0, p99=1.5), {"max": 64, "wait": "2ms"}, "2.00 times"),
        (cells(WAITING, rate=2.0, alone=1.5), None, "alone waits 1.50 ms instead of 1.00"),
        (cells(WAITING)[:1], None, "nothing was measured to compare"),
    ],
)
def test_a_batch_is_proposed_where_it_pays(
    measured: list[Cell], batch: dict[str, object] | None, reason: str
) -> None:
    proposal = proposed(measured)
    assert proposal.serving.get("batch") == batch
    assert reason in proposal.reasons[0]
    assert ("leave it off" in proposal.reasons[0]) is (batch is None)


def test_of_two_that_gain_alike_the_shorter_wait_is_proposed() -> None:
    near = proposed(cells(WAITING, rate=2.05), cells(AT_ONCE, rate=2.0))
    assert near.serving["batch"] == {"max": 64, "wait": "0ms"}
    apart = proposed(cells(WAITING, rate=3.0), cells(AT_ONCE, rate=2.0))
    assert apart.serving["batch"] == {"max": 64, "wait": "2ms"}


def test_a_model_whose_rows_know_each_other_is_left_alone() -> None:
    proposal = proposed(cells(AT_ONCE, rate=9.0), difference=0.2)
    assert proposal.serving == {}
    assert "depends on the rows beside it, by 2.0e-01" in proposal.reasons[0]
    last_bits = proposed(cells(AT_ONCE, rate=9.0), difference=3e-7)
    assert "batch" in last_bits.serving
    assert "3.0e-07" in last_bits.reasons[0]


@pytest.mark.parametrize(
    ("measured", "threads"),
    [
        (cells(THREADS, alone=0.6), 2),
        (cells(THREADS, alone=0.9), None),
        (cells(THREADS, alone=0.6, rate=0.8), None),
        ([], None),
    ],
)
def test_threads_are_proposed_where_large_requests_gain_and_small_ones_lose_nothing(
    measured: list[Cell], threads: int | None
) -> None:
    assert proposed(measured).serving.get("threads") == threads


CELL = st.builds(
    Cell,
    setting=st.sampled_from([PLAIN, AT_ONCE, WAITING, THREADS]),
    load=st.tuples(st.sampled_from([1, 8, 64]), st.sampled_from([1, 16, 64])),
    per_second=st.floats(0.1, 1e6),
    cpu=st.floats(0, 1e7),
    p50=st.floats(0, 1e5),
    p99=st.floats(0, 1e5),
)


@given(st.lists(CELL, max_size=40), st.none() | st.floats(0, 1))
def test_whatever_was_measured_the_document_takes_the_proposal(
    measured: list[Cell], apart: float | None
) -> None:
    proposal = propose(measured, budget=BUDGET, difference=apart)
    ServingSpec.parse(dict(proposal.serving))
    assert proposal == propose(measured, budget=BUDGET, difference=apart)


def test_what_is_tried() -> None:
    assert settings_for(joins=False, shares=False, processors=1) == [PLAIN]
    assert settings_for(joins=True, shares=True, processors=1) == [PLAIN, WAITING]
    tried = settings_for(joins=True, shares=False, processors=4)
    assert tried == [PLAIN, AT_ONCE, WAITING, THREADS]


def test_rows_are_made_up_from_the_signature(tmp_path: Path) -> None:
    """And the model answers them, in company as alone."""
    artifact, content = fetch(str(make_artifact(tmp_path)))
    model = Model(artifact.name, artifact, content)
    for rows in (1, 8):
        for text in bodies(artifact, rows, np.random.default_rng(0)):
            assert model.prepared(text, "x").rows == rows
    assert difference(model, bodies(artifact, 1, np.random.default_rng(0))) < 1e-5
    whole = artifact.model_copy(
        update={
            "inputs": (
                Tensor(name="a", datatype="INT8", shape=(-1, 2), minimum=3, maximum=5),
                Tensor(name="b", datatype="BOOL", shape=(-1,)),
                Tensor(name="c", datatype="BYTES", shape=(-1, 1), categories=("x",)),
            )
        }
    )
    inputs = json.loads(bodies(whole, 4, np.random.default_rng(0))[0])["inputs"]
    assert [own["shape"] for own in inputs] == [[4, 2], [4], [4, 1]]
    assert set(inputs[0]["data"]) <= {3, 4, 5}
    assert inputs[2]["data"] == ["x"] * 4


def test_a_person_s_own_code_has_nothing_to_tune(tmp_path: Path) -> None:
    artifact, _ = fetch(str(make_artifact(tmp_path)))
    check_measurable(artifact)
    with pytest.raises(UsageError, match="a person's own code"):
        check_measurable(artifact.model_copy(update={"format": "predictor"}))


def test_percentiles() -> None:
    assert percentile([], 0.99) == 0.0
    assert percentile([1.0], 0.99) == 1.0
    assert percentile(list(range(100)), 0.99) == 99
