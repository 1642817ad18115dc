"""An artifact is made of a person's own code, and served."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.artifact import DOCUMENT_FILE, PREDICTOR_FILE, Interpretation, PredictorRules
from contracts.errors import ServingError, UsageError
from serving.predictors import describe
from tests.integration.serving.test_runtime_process import running

NOW = datetime(2013, 1, 1, tzinfo=UTC)
CODE = """
import numpy as np

class Predictor:
    def predict(self, table):
        late = (np.nan_to_num(table["distance"]) > 100) & (table["carrier"] == "AA")
        share = late * 0.8 + 0.1
        return {"label": late.astype(int), "probabilities": np.column_stack([1 - share, share])}
"""
ROWS: list[dict[str, Any]] = [
    {"distance": 500, "carrier": "AA", "direct": True},
    {"distance": 1.5, "carrier": None, "direct": False},
    {"carrier": "UA", "direct": True},
]


def made(folder: Path, code: str = CODE, rows: list[dict[str, Any]] = ROWS, **more: Any) -> Any:
    folder.mkdir(parents=True)
    (folder / "predict.py").write_text(code)
    given: dict[str, Any] = {
        "name": "own-code",
        "version": "3",
        "task": "classification",
        "now": NOW,
    } | more
    return describe(folder, rows, **given)


def test_its_signature_is_what_the_code_takes_and_gives(tmp_path: Path) -> None:
    meaning = Interpretation(classes=(0, 1), positive=1)
    artifact, content = made(
        tmp_path / "code", rules=PredictorRules(workers=2), interpretation=meaning
    )
    assert {own.name: (own.datatype, own.optional) for own in artifact.inputs} == {
        "distance": ("FP64", True),
        "carrier": ("BYTES", True),
        "direct": ("BOOL", False),
    }
    assert {own.name: (own.datatype, own.shape) for own in artifact.outputs} == {
        "label": ("INT64", (-1,)),
        "probabilities": ("FP64", (-1, 2)),
    }
    served = tmp_path / "served"
    served.mkdir()
    (served / PREDICTOR_FILE).write_bytes(content)
    (served / DOCUMENT_FILE).write_text(artifact.model_dump_json())
    with running("--artifact", str(served)) as (_, url):
        answer = httpx.post(f"{url}/v2/models/own-code/predict", json=ROWS, trust_env=False)
        assert answer.status_code == 200, answer.text
        predicted = answer.json()["predictions"]
        assert [row["prediction"] for row in predicted] == [1, 0, 0]


@pytest.mark.parametrize(
    ("code", "rows", "error", "sentence"),
    [
        (CODE, [], UsageError, "no example rows"),
        (CODE, [{"x": 1}, {"x": "a"}], UsageError, "'x' is not of one kind"),
        (CODE, [{"x": 10**400}], UsageError, "'x' has a number beyond what a float can hold"),
        (CODE, [{"x": [1]}], UsageError, "'x' is not of one kind"),
        (CODE, [{"x": None}], UsageError, "'x' is not of one kind"),
        (CODE, [{"x": True}, {}], UsageError, "no missing value"),
        (CODE, [{"x": 1}], ServingError, "KeyError: 'distance' (predict.py, line 6)"),
        ("x = 1", ROWS, ServingError, "does not load"),
        (
            "class Predictor:\n    def predict(self, table): return [1.0]",
            ROWS,
            ServingError,
            "shape [1] for 3 rows",
        ),
    ],
)
def test_code_and_examples_that_do_not_fit(
    tmp_path: Path, code: str, rows: list[dict[str, Any]], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        made(tmp_path / "code", code, rows)
    assert sentence in str(raised.value)
