"""Recorded rows become requests; what is missing stays missing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pytest

from contracts.artifact import Tensor
from contracts.errors import ServingError
from contracts.features import Feature, FeatureTable
from contracts.model import ModelSpec
from contracts.yaml_files import read_yaml
from laptop.examples import HURRIED, broken_model, example_rows
from laptop.replay import ReplayTally, outcome_of, recorded_rows, request_body

TABLE = FeatureTable(
    key="key",
    time="time",
    label="late",
    features=(Feature(name="age", kind="numeric"), Feature(name="maker", kind="categorical")),
    rows=4,
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "features.parquet"
    times = pd.to_datetime(["2013-10-03", "2013-10-01", "2013-10-02", "2013-11-01"], utc=True)
    pd.DataFrame(
        {
            "key": list("abcd"),
            "time": times,
            "late": [1.0, None, 0.0, 1.0],
            "age": [3.0, 1.0, float("nan"), 2.0],
            "maker": ["X", "Y", None, "Z"],
        }
    ).to_parquet(path)
    return path


def test_rows_of_the_period_with_a_known_outcome_in_the_order_of_time(table: Path) -> None:
    rows = recorded_rows(table, TABLE, dt.date(2013, 10, 1), dt.date(2013, 11, 1))
    assert [row["key"] for row in rows] == ["c", "a"]
    shown = example_rows(table, TABLE, dt.date(2013, 10, 1), dt.date(2013, 11, 1), count=1)
    assert (set(shown[0].features), shown[0].outcome) == ({"age", "maker"}, 0.0)


def test_an_empty_period_is_said(table: Path) -> None:
    with pytest.raises(ServingError, match="no row from 2012-01-01 to 2012-02-01"):
        recorded_rows(table, TABLE, dt.date(2012, 1, 1), dt.date(2012, 2, 1))


def test_a_request_has_every_input_and_null_for_what_is_missing() -> None:
    inputs = (
        Tensor(name="age", datatype="FP32", shape=(-1, 1), optional=True),
        Tensor(name="maker", datatype="BYTES", shape=(-1, 1), optional=True),
        Tensor(name="unused", datatype="FP32", shape=(-1, 1), optional=True, used=False),
    )
    body = json.loads(request_body({"age": float("nan"), "maker": "X"}, inputs, "r-1"))
    assert body["id"] == "r-1"
    assert [tensor["data"] for tensor in body["inputs"]] == [[None], ["X"], [None]]


@pytest.mark.parametrize(("label", "outcome"), [(1.0, 1), (0.0, 0), (12.75, 12.75), (-3.0, -3)])
def test_an_outcome_is_a_class_or_a_measurement(label: float, outcome: float) -> None:
    assert repr(outcome_of(label)) == repr(outcome)


def test_a_tally_reads_back_as_it_was_printed(tmp_path: Path) -> None:
    tally = ReplayTally(feedback=3, seconds=1.5)
    tally.requests["v1"] += 2
    assert ReplayTally.read(tally.text(), tmp_path / "replay.log") == tally


def test_a_replay_that_failed_says_why(tmp_path: Path) -> None:
    log = tmp_path / "replay.log"
    log.write_text("Traceback\nValueError: no such thing\n")
    with pytest.raises(ServingError, match="ValueError: no such thing"):
        ReplayTally.read("", log)


def test_the_broken_model_is_a_valid_model_that_differs_where_it_is_broken(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "models" / "flight-delay"
    path = broken_model(source, tmp_path)
    good, bad = ModelSpec.load(source / "model.yaml"), ModelSpec.load(path)
    assert bad.preprocess.categorical.unknown == "error"
    assert bad.tune is None
    estimator = good.estimator.model_copy(update={"params": {**good.estimator.params, **HURRIED}})
    changed = {
        "preprocess": bad.preprocess,
        "select": bad.select,
        "tune": bad.tune,
        "estimator": estimator,
    }
    assert good.model_copy(update=changed) == bad
    assert read_yaml(path) != read_yaml(source / "model.yaml")
