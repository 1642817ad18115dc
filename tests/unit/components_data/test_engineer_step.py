"""The engineering step on a small dataset: the table it promises, and what it refuses."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.engineer.step import engineer
from contracts.errors import DocumentError, PipelineError
from contracts.features import FeatureTable
from contracts.model import ModelSpec
from data.schema import arrow_schema
from tests import content

MODELS = Path(__file__).parents[3] / "models"
START = datetime(2013, 8, 30, 12, tzinfo=UTC)
GOOD_FILE = """
    from contracts.features import Feature

    SLICES = ("carrier", "dest")
    FEATURES = (
        Feature(name="distance", kind="numeric"),
        Feature(name="carrier", kind="categorical"),
    )

    def features(tables):
        return tables["flights"].select("id", "distance", "carrier")
"""


def spec(**changes: Any) -> ModelSpec:
    """flight-delay's document, with some keys changed: ``label="…"`` is its expression."""
    value = ModelSpec.find(MODELS, "flight-delay").model_dump(by_alias=True, mode="json")
    if "label" in changes:
        value["source"]["label"]["expression"] = changes.pop("label")
    source = changes.pop("source", {})
    return ModelSpec.parse({**value, **changes, "source": value["source"] | source})


def flights(delays: list[float | None]) -> pa.Table:
    """One flight a day from the 30th of August on."""
    rows = []
    for number, delay in enumerate(delays):
        leaves = START + timedelta(days=number)
        rows.append(
            {
                "id": f"UA-{number}",
                "scheduled_departure": leaves,
                "scheduled_departure_local": leaves.replace(tzinfo=None) - timedelta(hours=4),
                "scheduled_arrival": leaves + timedelta(hours=3),
                "arr_delay": delay,
                "carrier": "UA",
                "flight": number,
                "origin": "EWR",
                "dest": "IAH",
                "distance": 1400 + number,
                "sched_dep_time": 800,
                "sched_arr_time": 1000,
            }
        )
    return pa.Table.from_pylist(rows, schema=arrow_schema(content.flights().table("flights")))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    # Out of order, to see that the step orders them.
    table = flights([20.0, None, -5.0, 15.0]).take([2, 0, 3, 1])
    pq.write_table(table, folder / "flights.parquet")
    return folder


def run(
    source: Path, model: ModelSpec | None = None, file: str = GOOD_FILE
) -> tuple[FeatureTable, list[dict[str, Any]]]:
    features = source.parent / "features.py"
    features.write_text(textwrap.dedent(file))
    destination = source.parent / "out" / "features.parquet"
    table = engineer(source, model or spec(), content.flights(), features, destination)
    return table, pq.read_table(destination).to_pylist()


def test_one_row_a_prediction_in_order_with_its_label(source: Path) -> None:
    table, rows = run(source)
    assert (table.key, table.time, table.label) == ("key", "scheduled_departure", "late")
    assert (table.rows, table.slices) == (4, ("carrier", "dest"))
    assert [row["key"] for row in rows] == ["UA-0", "UA-1", "UA-2", "UA-3"]
    assert [row["late"] for row in rows] == [1.0, None, 0.0, 0.0]
    assert rows[0] == {
        "key": "UA-0",
        "scheduled_departure": START,
        "late": 1.0,
        "carrier": "UA",
        "dest": "IAH",
        "distance": 1400.0,
    }


def test_only_the_splits_rows_are_given(source: Path) -> None:
    split = {
        "start": "2013-08-31",
        "train": {"until": "2013-09-01"},
        "validate": {"until": "2013-09-02"},
        "test": {"until": "2013-09-03"},
    }
    # 31 August, 1 and 2 September, 12:00 UTC each; not 30 August.
    assert [row["key"] for row in run(source, spec(split=split))[1]] == ["UA-1", "UA-2", "UA-3"]
    split["test"] = {"until": "2013-09-04"}
    split["start"] = "2013-08-30"
    assert run(source, spec(split=split))[0].rows == 4


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("arr_delay > 15", [1.0, None, 0.0, 0.0]),
        ("arr_delay >= 15 and distance > 1400", [0.0, None, 0.0, 1.0]),
        ("not (arr_delay > 15)", [0.0, None, 1.0, 1.0]),
        ("arr_delay is null", [0.0, 1.0, 0.0, 0.0]),
        ("arr_delay between -10 and 0", [0.0, None, 1.0, 0.0]),
    ],
)
def test_labels_are_conditions_over_the_row(
    source: Path, expression: str, labels: list[float | None]
) -> None:
    assert [row["late"] for row in run(source, spec(label=expression))[1]] == labels


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("arr_delay >", "'arr_delay >' is not an expression"),
        ("max(arr_delay) > 15", "'MAX(arr_delay)' looks at more than one row"),
        ("arr_delay > avg(arr_delay) over ()", "looks at more than one row"),
        ("arr_delay > (select 1)", "looks at more than one row"),
        ("arr_delay > random()", "'RANDOM()' gives another value each time"),
        ("scheduled_departure < now()", "'NOW()' gives another value each time"),
        ("scheduled_departure < current_timestamp", "CURRENT_TIMESTAMP"),
        ("scheduled_departure::date < current_date", "CURRENT_DATE"),
        ("scheduled_departure::date < today()", "gives another value each time"),
        ("arr_delay > 15 and datediff('day', scheduled_departure, now()) > 3", "NOW()"),
        ("age(scheduled_departure) > interval 1 day", "AGE("),
        ("carrier = current_user", "gives another value each time"),
        ("carrier = current_setting('TimeZone')", "CURRENT_SETTING"),
        ("carrier = uuid()::varchar", "UUID()"),
        ("drop table flights", "is a statement, not an expression"),
        ("15 > 3", "'15 > 3' names no column"),
        ("arr_delay", "'arr_delay' gives float64, but classification needs a condition"),
    ],
)
def test_what_is_no_label_is_refused(source: Path, expression: str, what: str) -> None:
    with pytest.raises(DocumentError) as caught:
        run(source, spec(label=expression))
    assert what in str(caught.value)
    assert "model flight-delay: source.label.expression" in str(caught.value)


def test_unknown_columns_in_a_label_are_all_named(source: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        run(source, spec(label="arr_dealy > 15 and distanc > 3 and air_time > 1"))
    assert caught.value.problems == (
        "arr_dealy: unknown column; did you mean 'arr_delay'?",
        "distanc: unknown column; did you mean 'distance'?",
    )


def test_a_label_of_the_wrong_types_names_the_expression(source: Path) -> None:
    with pytest.raises(PipelineError, match="cannot be computed"):
        run(source, spec(label="scheduled_departure > 15"))


def test_unknown_columns_of_the_document_are_named(source: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        run(source, spec(source={"time": "scheduled_depature", "entities": ["carier", "dest"]}))
    assert caught.value.problems == (
        "source.time: there is no column 'scheduled_depature'; did you mean 'scheduled_departure'?",
        "source.entities: there is no column 'carier'; did you mean 'carrier'?",
    )


BROKEN_FILES = {
    "syntax": ("def features(:", "SyntaxError"),
    "at import": ("1 / 0", "ZeroDivisionError: division by zero"),
    "no function": ("FEATURES = ()", "defines no function features(tables)"),
    "no list": ("def features(tables): ...", "defines no FEATURES"),
    "a mapping": (
        "FEATURES = {'distance': 'numeric'}\ndef features(tables): ...",
        "FEATURES is of the type dict, no list of Feature",
    ),
    "a text": (
        "FEATURES = 'distance'\ndef features(tables): ...",
        "FEATURES is of the type str, no list of Feature",
    ),
    "an entry of another type": (
        GOOD_FILE.replace("FEATURES = (", "FEATURES = ('distance', "),
        "FEATURES[0] is 'distance', of the type str, and no contracts.features.Feature",
    ),
    "an unknown kind": (
        GOOD_FILE.replace('kind="numeric"', 'kind="number"'),
        (
            "Feature: kind: 'number' is no kind of the feature 'distance': numeric or categorical; "
            "did you mean 'numeric'?"
        ),
    ),
    "an unknown key": (
        GOOD_FILE.replace('kind="numeric"', 'type="numeric"'),
        "Feature: kind: missing; it is required: numbers (floating point",
    ),
    "in the function": (
        GOOD_FILE.replace('tables["flights"]', 'tables["fligths"]'),
        "KeyError: 'fligths'",
    ),
    **{
        f"not the same each time: {name}": (
            GOOD_FILE.replace("Feature\n", "Feature\n    import ibis\n", 1).replace(
                '"carrier")\n', f'"carrier").mutate(distance={value})\n'
            ),
            f"features() uses {name}, which gives another value each time",
        )
        for name, value in {
            "RandomScalar": "ibis.random()",
            "TimestampNow": "ibis.now().epoch_seconds()",
            "DateNow": "ibis.today().day()",
        }.items()
    },
    "not the same each time: a sample": (
        GOOD_FILE.replace('"carrier")\n', '"carrier").sample(0.5)\n'),
        "features() uses Sample",
    ),
    "missing column": (
        GOOD_FILE.replace('name="distance"', 'name="distanc"'),
        "features() gives no column distanc",
    ),
    "wrong kind": (
        GOOD_FILE.replace('kind="numeric"', 'kind="categorical"'),
        "the feature 'distance' is int64, but FEATURES says categorical",
    ),
    "repeated": (
        GOOD_FILE.replace('name="carrier", kind', 'name="distance", kind'),
        "FEATURES repeats distance",
    ),
    "unknown slice": (
        GOOD_FILE.replace('"dest")', '"destt")'),
        "the slice 'destt' is neither a feature nor a column",
    ),
    "reserved name": (
        GOOD_FILE.replace('name="distance"', 'name="late"')
        .replace('"id", "distance"', '"id", late=tables["flights"].distance')
        .replace(', "carrier")\n', ', carrier=tables["flights"].carrier)\n'),
        "the feature 'late' has the name of the key, the time or the label",
    ),
    "doubled rows": (
        GOOD_FILE.replace(
            'return tables["flights"]',
            'return tables["flights"].union(tables["flights"])',
        ),
        "features() gave 8 rows for 4 of 4 predictions",
    ),
    "lost rows": (
        GOOD_FILE.replace('["flights"]', '["flights"].filter(tables["flights"].distance > 1400)'),
        "features() gave 3 rows for 3 of 4 predictions",
    ),
    "too long a history": (
        "from datetime import timedelta\nHISTORY = timedelta(days=90)\n"
        + textwrap.dedent(GOOD_FILE),
        "HISTORY is 90 days, but only 31 days before the first row are read",
    ),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_feature_file_that_breaks_its_promise_is_named(source: Path, name: str) -> None:
    file, what = BROKEN_FILES[name]
    with pytest.raises(PipelineError) as caught:
        run(source, file=file)
    assert what in caught.value.what
    assert str(source.parent / "features.py") in caught.value.where


def test_features_are_any_sequence(source: Path) -> None:
    listed = textwrap.dedent(GOOD_FILE) + "\nFEATURES = [*FEATURES]\n"
    assert run(source, file=listed) == run(source)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("number", "did you mean 'numeric'?"),
        ("Int", "did you mean 'numeric'?"),
        ("string", "did you mean 'categorical'?"),
        ("category", "did you mean 'categorical'?"),
        ("catgorical", "did you mean 'categorical'?"),
        (None, "expected one of: categorical, numeric"),
    ],
)
def test_a_documents_own_words_stand_for_its_librarys(source: Path, kind: str, advice: str) -> None:
    file = f"from contracts.features import Feature\n\nFeature(name='age', kind={kind!r})\n"
    with pytest.raises(PipelineError, match="the feature 'age'") as caught:
        run(source, file=file)
    assert advice in caught.value.what
    assert "pydantic" not in str(caught.value)
    assert caught.value.where.endswith("features.py:3")


def test_a_failing_file_names_its_line(source: Path) -> None:
    with pytest.raises(PipelineError) as caught:
        run(source, file="x = 1\n\n1 / 0\n")
    assert caught.value.where.endswith("features.py:3")


def test_a_split_without_rows_is_refused(source: Path) -> None:
    split = {
        "start": "2014-01-01",
        "train": {"until": "2014-02-01"},
        "validate": {"until": "2014-03-01"},
        "test": {"until": "2014-04-01"},
    }
    with pytest.raises(PipelineError, match="no row lies in the split"):
        run(source, spec(split=split))
