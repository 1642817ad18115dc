"""The split, and that nothing is learned from rows after it."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from components import parts
from components.preprocess.step import assign, preprocess
from contracts.errors import DataError
from contracts.model import Split


def test_every_row_is_in_a_part_or_counted(toys, model, tmp_path):
    path, table, frame = toys
    report = preprocess(path, table, model(), tmp_path)
    counted = sum(part.rows + part.unlabelled for part in report.parts.values())
    assert counted + report.outside == len(frame)
    assert sum(part.unlabelled for part in report.parts.values()) > 0
    assert report.outside == (frame["time"] >= datetime(2013, 5, 1, tzinfo=UTC)).sum()
    for name, end in (("train", 3), ("validate", 4), ("test", 5)):
        rows = parts.load(tmp_path, name, [parts.TIME, parts.LABEL])
        assert len(rows) == report.parts[name].rows
        assert rows[parts.LABEL].notna().all()
        assert rows[parts.TIME].max() < datetime(2013, end, 1, tzinfo=UTC)
        assert rows[parts.TIME].is_monotonic_increasing


def test_bounds_are_the_first_day_that_is_no_longer_part():
    split = Split.parse(
        {
            "start": date(2013, 1, 2),
            "train": {"until": date(2013, 1, 3)},
            "validate": {"until": date(2013, 1, 4)},
            "test": {"until": date(2013, 1, 5)},
        }
    )
    text = ["2013-01-01T23:59", "2013-01-02", "2013-01-02T23:59:59", "2013-01-03", "2013-01-04"]
    times = pd.Series(pd.to_datetime([*text, "2013-01-05"], format="ISO8601", utc=True))
    assert assign(times, split).tolist() == [-1, 0, 0, 1, 2, -1]


def test_what_is_learned_is_the_training_rows_own(toys, model, tmp_path):
    path, table, frame = toys
    report = preprocess(path, table, model(), tmp_path)
    known = frame[(frame["time"] < datetime(2013, 3, 1, tzinfo=UTC)) & frame["label"].notna()]
    learned = {feature.name: feature for feature in report.features}
    assert learned["gappy"].fill == pytest.approx(known["gappy"].median(), abs=1e-6)
    assert learned["strong"].center == pytest.approx(known["strong"].mean(), abs=1e-6)
    assert learned["strong"].scale == pytest.approx(known["strong"].std(ddof=0), rel=1e-5)
    assert learned["strong"].maximum == known["strong"].max()
    assert learned["kind"].categories == ("", "a", "b", "c")
    assert learned["kind"].rare == 1
    assert report.columns == 4 + 4


def test_a_feature_without_values_is_left_out_with_the_reason(toys, model, tmp_path):
    path, table, _ = toys
    report = preprocess(path, table, model(), tmp_path)
    assert [(one.name, one.reason) for one in report.dropped] == [
        ("empty", "no training row has a value")
    ]


def test_a_text_without_common_categories_is_left_out(toys, model, tmp_path):
    path, table, _ = toys
    spec = model(preprocess={"categorical": {"rare_below": 100_000}})
    report = preprocess(path, table, spec, tmp_path)
    assert report.dropped[-1].reason == "no category has 100000 training rows"


def test_a_part_without_rows_is_refused_with_its_key(toys, model, tmp_path):
    path, table, _ = toys
    spec = model().with_split(validate_until=date(2013, 7, 1), test_until=date(2013, 8, 1))
    with pytest.raises(DataError, match=r"split\.test: the test part has no rows with a known"):
        preprocess(path, table, spec, tmp_path)


def test_a_label_that_is_not_two_classes_is_refused(toys, model, tmp_path):
    _, table, frame = toys
    frame.assign(label=np.where(frame["label"] > 0, 2.0, 0.0)).to_parquet(tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"the label has the values \[0\.0, 2\.0\]"):
        preprocess(tmp_path / "f.parquet", table, model(), tmp_path)


def test_a_missing_column_is_named(toys, model, tmp_path):
    path, table, _ = toys
    with pytest.raises(DataError, match="no column 'delay'"):
        preprocess(path, table.model_copy(update={"label": "delay"}), model(), tmp_path)
