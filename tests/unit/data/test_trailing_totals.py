"""Running totals against counting by hand, for any events and questions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from data.engine import connect, register
from data.windows import share, trailing_totals

START = datetime(2013, 1, 1, tzinfo=UTC)
WINDOWS = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}
MOMENT = pa.timestamp("us", tz="UTC")

minutes = st.integers(0, 4000)
groups = st.sampled_from(["a", "b", None])
events = st.lists(st.tuples(groups, st.none() | minutes, st.integers(-50, 50)), max_size=30)
questions = st.lists(st.tuples(groups, minutes), min_size=1, max_size=15)


@pytest.fixture(scope="module")
def engine() -> Backend:
    return connect(threads=1)


def instant(minute: int | None) -> datetime | None:
    return None if minute is None else START + timedelta(minutes=minute)


def by_hand(
    happened: list[tuple[str | None, int | None, int]],
    group: str | None,
    at: int,
    window: timedelta,
) -> int:
    length = window.total_seconds() / 60
    return sum(
        amount
        for name, minute, amount in happened
        if name == group and minute is not None and at - length < minute <= at
    )


@settings(max_examples=40, deadline=None)
@given(happened=events, asked=questions)
def test_totals_are_those_counted_by_hand(
    engine: Backend,
    happened: list[tuple[str | None, int | None, int]],
    asked: list[tuple[str | None, int]],
) -> None:
    event_rows = pa.table(
        {
            "group": pa.array([row[0] for row in happened], pa.string()),
            "landed": pa.array([instant(row[1]) for row in happened], MOMENT),
            "amount": pa.array([row[2] for row in happened], pa.int64()),
        }
    )
    question_rows = pa.table(
        {
            "group": pa.array([row[0] for row in asked], pa.string()),
            "at": pa.array([instant(row[1]) for row in asked], MOMENT),
        }
    )
    totals = trailing_totals(
        register(engine, "questions", question_rows),
        register(engine, "events", event_rows),
        by=("group",),
        at="at",
        happened="landed",
        measures=("amount",),
        windows=WINDOWS,
    ).to_pyarrow()
    found = {
        (row["group"], row["at"]): {name: row[f"amount_{name}"] for name in WINDOWS}
        for row in totals.to_pylist()
    }
    assert found == {
        (group, instant(at)): {
            name: by_hand(happened, group, at, window) for name, window in WINDOWS.items()
        }
        for group, at in asked
    }


def test_a_share_of_nothing_is_unknown(engine: Backend) -> None:
    rows = register(engine, "shares", pa.table({"part": [0, 1], "whole": [0, 4]}))
    found = rows.select(share=share(rows.part, rows.whole)).to_pandas()
    assert pd.isna(found["share"][0])
    assert found["share"][1] == 0.25
