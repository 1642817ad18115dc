"""Rows in place of tensors: the same predictions, counted, remembered and refused alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.runtime.app import App
from tests.unit.runtime.conftest import Reply, call

PREDICT = "/v2/models/flight-delay/predict"
ROWS = [{"hour": 17, "carrier": "AA", "distance": 300.5}, {"hour": 6.0, "carrier": None}]


def predict(app: App, value: Any, path: str = PREDICT, **headers: str) -> Reply:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return call(app, "POST", path, body, headers)


def test_every_form_says_the_same_as_tensors(app: App) -> None:
    columns = {"hour": [17, 6], "carrier": ["AA", None], "distance": [300.5, None]}
    tensors = [
        {"name": "hour", "shape": [2, 1], "datatype": "FP32", "data": [17, 6]},
        {"name": "carrier", "shape": [2, 1], "datatype": "BYTES", "data": ["AA", None]},
        {"name": "distance", "shape": [2, 1], "datatype": "FP32", "data": [300.5, None]},
    ]
    reply = call(
        app,
        "POST",
        "/v2/models/flight-delay/infer",
        json.dumps({"inputs": tensors, "id": "a"}).encode(),
    )
    outputs = {own["name"]: own["data"] for own in reply.json["outputs"]}
    expected = [
        {"prediction": label, "score": outputs["probabilities"][2 * row + 1]}
        for row, label in enumerate(outputs["label"])
    ]
    for value in (ROWS, {"rows": ROWS, "id": "a"}, {"columns": columns, "id": "a"}):
        answer = predict(app, value, **{"x-request-id": "a"})
        assert answer.json == {
            "model_name": "flight-delay",
            "model_version": "7",
            "id": "a",
            "predictions": expected,
        }
        assert answer.headers["x-request-id"] == "a"
        assert answer.headers["x-millwright-predictor"] == "v7"
    one = predict(app, ROWS[0]).json["predictions"]
    assert one == expected[:1]
    large = predict(app, ROWS * 300)  # in a thread
    assert large.json["predictions"] == expected * 300


def test_what_is_left_out_is_named(app: App) -> None:
    answer = predict(app, {"hour": 17})
    assert answer.json["missing"] == ["distance", "carrier"]
    assert "missing" not in predict(app, ROWS).json


REFUSED = {
    "no JSON": (b"{", "not JSON"),
    "a number": (3, "no rows"),
    "no rows": ([], "no rows"),
    "a row of another kind": ([1], "no rows"),
    "an empty row": ({}, "name no input"),
    "a misspelt name": ({"hour": 1, "distence": 3}, "distance"),
    "a missing input": ({"carrier": "AA"}, "hour"),
    "a text for a number": ({"hour": "x"}, "hour"),
    "a list for a number": ({"hour": [1, 2]}, "hour"),
    "an infinite number": (b'{"hour": 1e999}', "out of range"),
    "unequal columns": ({"columns": {"hour": [1], "carrier": []}}, "unequal"),
    "columns of another kind": ({"columns": {"hour": 1}}, "columns"),
    "more than rows": ({"rows": ROWS, "extra": 1}, "extra"),
    "an id of another kind": ({"rows": ROWS, "id": 3}, "id"),
    "too long an id": ({"rows": ROWS, "id": "x" * 2000}, "id"),
}


@pytest.mark.parametrize(("value", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_row_is_refused_in_a_sentence(app: App, value: Any, says: str) -> None:
    answer = predict(app, value)
    assert answer.status == 400
    assert says in answer.json["error"]


def test_they_are_inferences(app: App) -> None:
    predict(app, ROWS, **{"x-request-id": "mine"})
    predict(app, {"hour": "x"})
    predict(app, ROWS, path=f"{PREDICT.removesuffix('/predict')}/versions/7/predict")
    assert app.served.counters.requests == {200: 2, 400: 1}
    assert app.served.counters.addressed == 1
    assert app.served.counters.rows == 4
    feedback = json.dumps({"id": "mine", "outcome": [1, None]}).encode()
    verdict = call(app, "POST", "/v2/models/flight-delay/feedback", feedback).json
    assert verdict["right"] + verdict["wrong"] == 1
    assert call(app, "GET", PREDICT).status == 405
