"""What a person writes wrong is refused before anything starts, with their file, line and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.rehearsal import check_model
from contracts.errors import MillwrightError
from contracts.outputs import LakeOutputs
from pipelines.requests import request
from tests.integration.pipelines.conftest import platform

LAKE = LakeOutputs(raw="raw", curated="curated", artifacts="artifacts", key_arn="")
DATASET = """\
name: shop
tables:
  orders:
    key: id
    time: placed
    columns:
      id: integer
      placed: timestamp
      seen: local_timestamp
      cost: number
      kind: text
      late: integer
    files: orders.csv
"""
MODEL = """\
name: lateness
task: classification
source:
  dataset: shop
  time: placed
  entities: [id]
  label: {name: is_late, expression: late > 3}
split:
  train: {until: 2024-03-01}
  validate: {until: 2024-04-01}
  test: {until: 2024-05-01}
estimator:
  library: sklearn
  class: LogisticRegression
  params: {max_iter: 20}
rollout: {guards: {errors: {}}}
"""
FEATURES = """\
from contracts.features import Feature

FEATURES = (Feature(name="cost", kind="numeric"), Feature(name="kind", kind="categorical"))


def features(tables):
    return tables["orders"].select("id", "cost", "kind")
"""


def asked(folder: Path) -> dict[str, str]:
    """The parameters of a training of the model in a folder."""
    outputs = platform(LAKE)
    model = folder / "models" / "lateness"
    return dict(
        request(model, folder / "datasets", outputs, "sqlite://", {}, check=check_model).parameters
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "datasets/shop/dataset.yaml": DATASET,
        "models/lateness/model.yaml": MODEL,
        "models/lateness/features.py": FEATURES,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_is_right_is_taken_with_its_origin(project: Path) -> None:
    parameters = asked(project)
    assert parameters["definitions"] == FEATURES
    assert parameters["origin"] == str(project / "models/lateness/features.py")
    assert json.loads(parameters["dataset"])["name"] == "shop"


@pytest.mark.parametrize(
    ("before", "after", "place", "sentence"),
    [
        ("dataset: shop", "dataset: shpo", ":4: source.dataset", "there is no dataset 'shpo'"),
        ("time: placed", "time: plaecd", "", "line 5: source.time: there is no column 'plaecd'"),
        ("time: placed", "time: seen", "", "line 5: source.time: seen is local_timestamp; it must"),
        (
            "entities: [id]",
            "entities: [di]",
            "",
            "line 6: source.entities: there is no column 'di'",
        ),
        ("late > 3", "lat > 3", ":7: source.label.expression", "lat: unknown column; did you mean"),
        ("late > 3", "late >", ":7: source.label.expression", "is not an expression"),
        ("late > 3", "late", ":7: source.label.expression", "classification needs a condition"),
        ("late > 3", "late > 3 /*", ":7: source.label.expression", "is not an expression"),
        ("late > 3", "placed > '2024-13-01'", ":7: source.label.expression", "cannot be computed"),
        ("late > 3", "kind > 3 + placed", ":7: source.label.expression", "cannot be computed"),
        (
            "max_iter",
            "max_itr",
            "",
            "line 15: estimator.params.max_itr: LogisticRegression takes no",
        ),
        ("20}", "twenty}", "", "line 15: estimator.params.max_iter: 'twenty': LogisticRegression"),
        (
            "library: sklearn",
            "library: skleran",
            ":13",
            "estimator.library: 'skleran' is not known",
        ),
        (
            "2024-03-01",
            "2024-13-01",
            "",
            "line 9: split.train.until: '2024-13-01' is not a date or time",
        ),
        ("2024-03-01", "tomorrow", "", "line 9: split.train.until: 'tomorrow' is not a day"),
        ("errors: {}", "erors: {}", "", "line 16: rollout.guards.erors: unknown key"),
    ],
)
def test_what_is_wrong_in_the_document_names_its_line(
    project: Path, before: str, after: str, place: str, sentence: str
) -> None:
    path = project / "models/lateness/model.yaml"
    change(path, before, after)
    with pytest.raises(MillwrightError) as caught:
        asked(project)
    assert sentence in str(caught.value)
    assert caught.value.where == f"{path}{place}"


@pytest.mark.parametrize(
    ("before", "after", "line", "sentence"),
    [
        ("def features(tables):", "def features(tables:", ":6", "SyntaxError"),
        ("from contracts", "import nothing_there\nfrom contracts", ":1", "ModuleNotFoundError"),
        ("FEATURES = ", "import sys\nsys.exit(3)\nFEATURES = ", ":4", "SystemExit: 3"),
        ('"kind")\n', '"kidn")\n', ":7", "kidn"),
        ('["orders"]', '["ordres"]', ":7", "KeyError: 'ordres'"),
        ('["orders"].select', '["orders"].selct', ":7", "selct"),
        ('name="cost"', 'name="cots"', "", "features() gives no column cots"),
        ('"cost", kind="numeric"', '"cost", kind="categorical"', "", "FEATURES says categorical"),
        ("FEATURES =", "SLICES = ('knid',)\nFEATURES =", "", "the slice 'knid' is neither"),
        (
            "FEATURES =",
            "import datetime\nHISTORY = datetime.timedelta(9)\nFEATURES =",
            "",
            "only 0 days",
        ),
    ],
)
def test_what_is_wrong_in_the_features_names_the_persons_file(
    project: Path, before: str, after: str, line: str, sentence: str
) -> None:
    path = project / "models/lateness/features.py"
    change(path, before, after)
    with pytest.raises(MillwrightError) as caught:
        asked(project)
    assert sentence in str(caught.value)
    assert caught.value.where == f"{path}{line}"


def test_features_that_need_rows_are_left_to_the_run(project: Path) -> None:
    path = project / "models/lateness/features.py"
    mean = 'rows = tables["orders"]\n    1 / rows.count().execute()\n    return rows'
    change(path, 'return tables["orders"]', mean)
    assert "1 / rows" in asked(project)["definitions"]


def test_what_is_wrong_in_the_dataset_names_its_line(project: Path) -> None:
    path = project / "datasets/shop/dataset.yaml"
    change(path, "cost: number", "cost: nubmer")
    with pytest.raises(MillwrightError) as caught:
        asked(project)
    assert "line 10: tables.orders.columns.cost.type: 'nubmer' is not a type" in str(caught.value)
    assert caught.value.where == str(path)


def test_a_file_that_is_no_text_is_a_sentence(project: Path) -> None:
    path = project / "models/lateness/features.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\n# \xe9\n" + FEATURES.encode())
    with pytest.raises(MillwrightError, match="cannot be read"):
        asked(project)
