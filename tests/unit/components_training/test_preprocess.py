"""The split, and that nothing is learned from rows after it."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from components import entry, parts
from components.preprocess.step import assign, preprocess
from contracts.errors import DataError
from contracts.features import Feature, FeatureTable
from contracts.model import CategoricalPreprocessing, Split


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
    assert report.dropped[-1].reason.startswith(
        "no category has 100000 training rows, the most frequent has "
    )


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


# --- Nothing vanishes silently -------------------------------------------------------------------

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def small(tmp_path, model):
    """Preprocesses some columns of 344 rows, four a day, with the document's own defaults."""

    def run(columns, preprocess_as=None, label=None, rows=344):
        place = np.arange(rows)
        frame = pd.DataFrame({name: make(place) for name, make in columns.items()})
        frame["key"] = place.astype(str)
        frame["time"] = pd.date_range(START, periods=rows, freq="6h").as_unit("us")
        frame["label"] = (place % 2).astype(float) if label is None else label(place)
        frame.to_parquet(tmp_path / "small.parquet")
        kinds = {
            name: "numeric" if pd.api.types.is_numeric_dtype(frame[name]) else "categorical"
            for name in columns
        }
        features = tuple(Feature(name=name, kind=kind) for name, kind in kinds.items())
        table = FeatureTable(key="key", time="time", label="label", features=features, rows=rows)
        split = {"train": 60, "validate": 70, "test": 86}
        days = {name: {"until": (START + timedelta(end)).date()} for name, end in split.items()}
        spec = model(split=days, preprocess=preprocess_as or {})
        return preprocess(tmp_path / "small.parquet", table, spec, tmp_path / "data")

    return run


def texts(*values):
    return lambda place: np.array(values, dtype=object)[place % len(values)]


def test_small_data_keeps_its_categories_by_default(small):
    """344 rows, and `rare_below: 200` dropped both columns: only a file said so."""
    columns = {"island": texts("a", "b", "c"), "sex": texts("f", "m", None, "f", "m")}
    report = small(columns)
    assert [feature.categories for feature in report.features] == [("a", "b", "c"), ("", "f", "m")]
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("column", "warning"),
    [
        (lambda place: np.full(len(place), np.nan), "x is not used: no training row has a value"),
        (lambda place: place * 0.0 + 3, "x has one value in training, 3: it says nothing"),
        (texts("same"), "x has one category in training, 'same': it says nothing"),
        (
            lambda place: np.where(place % 4 == 0, place * 1.0, np.nan),
            "x is missing in 75% of the training rows; 118 stands in for it",
        ),
        (
            lambda place: np.where(place < 280, place * 1.0, np.nan),
            "x is missing in all rows of the test part; 119.5 stands in for it",
        ),
        (
            lambda place: np.where(place % 3 == 0, np.inf, place * 1.0),
            "x: 115 values are infinite, or too large for 32 bits, and count as missing",
        ),
        (
            lambda place: np.where(place == 7, 1e39, place * 1.0),
            "x: 1 values are infinite, or too large for 32 bits, and count as missing",
        ),
        (
            lambda place: np.array([f"id-{n}" if n % 2 else "a" for n in place], dtype=object),
            "x: 120 of 121 categories are too rare to be told apart, 50% of the training rows",
        ),
        (
            lambda place: np.array(["new" if n > 300 else "ab"[n % 2] for n in place], object),
            "x: 67% of the test rows have a category never seen",
        ),
    ],
)
def test_whatever_is_lost_of_a_feature_is_said(small, capsys, column, warning):
    report = small({"x": column, "good": lambda place: place % 7 * 1.0})
    assert warning in report.warnings
    assert all(line[0] == "x" for line in report.warnings)
    said = [entry.heard(line) for line in capsys.readouterr().out.splitlines()]
    assert {"step": "preprocess", "event": "warning", "text": warning} in said


def test_rows_that_are_left_out_are_counted(small):
    unknown = small(
        {"x": lambda place: place % 5 * 1.0},
        label=lambda place: np.where(place % 10 == 0, np.nan, place % 2),
    )
    assert unknown.warnings == ("35 of 344 rows have no known label and are left out",)


def test_a_category_below_the_documents_own_limit_is_said(small):
    columns = {"x": texts("a", "b"), "good": lambda place: place % 7 * 1.0}
    report = small(columns, {"categorical": {"rare_below": 200}})
    [warning] = report.warnings
    assert warning == (
        "x is not used: no category has 200 training rows, the most frequent has 120 "
        "(preprocess.categorical.rare_below)"
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_label_is_refused_by_its_name(small, value):
    with pytest.raises(DataError, match="the label is infinite in 1 rows") as caught:
        small({"x": lambda place: place * 1.0}, label=lambda p: np.where(p == 3, value, p % 2))
    assert "source.label.expression" in caught.value.fix


def test_what_is_rare_grows_with_the_data():
    spec = CategoricalPreprocessing()
    assert [spec.common_from(rows) for rows in (10, 344, 5_000, 10**6)] == [5, 5, 50, 200]
    assert CategoricalPreprocessing(rare_below=0).common_from(10**6) == 1
    assert CategoricalPreprocessing(unknown="error").common_from(10**6) == 1
