"""Artifacts that an older Millwright registered are served; newer ones are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from contracts.artifact import Artifact
from contracts.errors import DocumentError
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.served import Served
from serving.runtime.store import fetch
from tests.unit.runtime.conftest import Reply, call

SCHEMA_1 = Path(__file__).parent / "schema_1"
"""Written before documents said their schema, with the meaning among the parameters."""
SCHEMA_2 = Path(__file__).parent / "schema_2"
"""Written before artifacts said how inputs were spread."""
BASE = "/v2/models/flight-delay"


def ask(served: App, *values: float | None) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [len(values), 1], "datatype": "FP32", "data": list(values)}
    body = json.dumps({"id": "r", "inputs": [tensor]}).encode()
    reply = call(served, "POST", f"{BASE}/infer", body)
    assert reply.status == 200, reply.body
    return {output["name"]: output["data"] for output in reply.json["outputs"]}


def tell(served: App, *outcome: object) -> Reply:
    return call(
        served, "POST", f"{BASE}/feedback", json.dumps({"id": "r", "outcome": outcome}).encode()
    )


def served(name: str) -> App:
    return App(Served(Model("flight-delay", *fetch(str(SCHEMA_1 / name)))))


def test_an_old_regression_keeps_its_tolerance() -> None:
    app = served("regression")
    assert ask(app, 10.0, 20.0)["y"] == [10.0, 20.0]
    verdict = tell(app, 12.5, 22.6).json
    assert (verdict["right"], verdict["wrong"]) == (1, 1)


def test_an_old_classification_keeps_its_threshold_of_nothing() -> None:
    app = served("classification")
    assert ask(app, 0.0, 0.9)["label"] == [1, 1], "from a probability of 0 on it is positive"
    verdict = tell(app, 1, 0).json
    assert (verdict["right"], verdict["wrong"]) == (1, 1)


def test_an_artifact_without_distributions_predicts_as_before() -> None:
    artifact, content = fetch(str(SCHEMA_2 / "classification"))
    assert (
        json.loads((SCHEMA_2 / "classification" / "artifact.json").read_text())["schema_version"]
        == 2
    )
    assert artifact.schema_version == 3
    assert all(own.distribution is None for own in artifact.inputs)
    app = App(Served(Model("flight-delay", artifact, content)))
    body = json.dumps({"hour": 17, "carrier": "B6"}).encode()
    assert call(app, "POST", f"{BASE}/predict", body).json["predictions"][0]["prediction"] == 1


def test_what_is_written_again_says_its_schema(tmp_path: Path) -> None:
    artifact, _ = fetch(str(SCHEMA_1 / "classification"))
    assert artifact.interpretation.threshold == 0.0
    assert artifact.parameters["threshold"] == 0.0, "the parameters stay what they were"
    text = artifact.model_dump_json()
    assert json.loads(text)["schema_version"] == 3
    assert Artifact.parse(json.loads(text)) == artifact


def test_an_artifact_of_a_newer_millwright_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SCHEMA_1 / "regression", tmp_path / "newer")
    path = tmp_path / "newer" / "artifact.json"
    document = json.loads(path.read_text()) | {"schema_version": 4}
    path.write_text(json.dumps(document))
    with pytest.raises(DocumentError, match="is 4; this Millwright reads Artifact documents up to"):
        fetch(str(tmp_path / "newer"))
    path.write_text(json.dumps(document | {"schema_version": "two"}))
    with pytest.raises(DocumentError, match="schema_version: "):
        fetch(str(tmp_path / "newer"))


WRONG = [
    ({"classes": ["a"]}, "classes: ['a'] must be at least two"),
    ({"classes": [0, 1], "positive": 2}, "positive: 2 is not one of [0, 1]"),
    ({"classes": ["a", "b"]}, "are not what the output 'label' (INT64) can say"),
    ({"classes": [0, 1, 2]}, "are not the columns of 'probabilities', which has 2"),
    ({"threshold": 1.5}, "interpretation.threshold: input should be less than or equal to 1"),
    ({"tolerance": 3}, "interpretation.tolerance: a class is right or wrong"),
    ({"tolerance": "3 min"}, "'3 min' is not a tolerance; write a number in the label's unit"),
    ({"tolerance": {}}, "write a number in the label's unit, or a share such as 10%"),
    ({"tolerance": -1}, "greater than or equal to 0"),
]


@pytest.mark.parametrize(("meaning", "sentence"), WRONG, ids=lambda one: str(one)[:40])
def test_a_meaning_that_cannot_be_is_refused(meaning: object, sentence: str) -> None:
    document = json.loads((SCHEMA_1 / "classification" / "artifact.json").read_text())
    with pytest.raises(DocumentError) as caught:
        Artifact.parse(document | {"schema_version": 2, "interpretation": meaning})
    assert sentence in str(caught.value)


def test_a_regression_has_no_classes() -> None:
    document = json.loads((SCHEMA_1 / "regression" / "artifact.json").read_text())
    with pytest.raises(DocumentError, match="a regression predicts numbers"):
        Artifact.parse(document | {"schema_version": 2, "interpretation": {"classes": [0, 1]}})
