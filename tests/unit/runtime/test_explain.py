"""Why a model says what it says: asked for by rows, added up, bounded, and no inference."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from contracts.artifact import Distribution, Tensor
from serving.runtime.app import App
from serving.runtime.explaining.answers import Explaining
from serving.runtime.explaining.thread import ExplainingThread
from serving.runtime.model import Model
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served
from serving.runtime.store import fetch
from tests.serving_model import INPUTS, train_model, write_artifact
from tests.unit.runtime.conftest import Reply, call

EXPLAIN = "/v2/models/flight-delay/explain"
SPREADS = (
    Distribution(quantiles=tuple(np.linspace(100, 2500, 21)), mean=1300.0, missing=0.1),
    Distribution(quantiles=tuple(np.linspace(5, 23, 21)), mean=14.0),
    Distribution(shares=(0.3, 0.2, 0.2), missing=0.25),
)
TENSORS = [
    own.model_copy(
        update={
            "distribution": spread,
            "categories": ("AA", "B6", "UA") if own.datatype == "BYTES" else None,
        }
    )
    for own, spread in zip(INPUTS, SPREADS, strict=True)
]
ROWS = [{"hour": 17, "carrier": "B6", "distance": 300}, {"hour": 6, "carrier": None}]


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = write_artifact(tmp_path_factory.mktemp("a"), train_model(), inputs=TENSORS)
    return served(folder)


def served(folder: Path) -> App:
    return App(Served(Model("flight-delay", *fetch(str(folder)))))


def ask(app: App, value: Any, **headers: str) -> Reply:
    return call(app, "POST", EXPLAIN, json.dumps(value).encode(), headers)


def in_parts(answer: dict[str, Any]) -> list[dict[str, float]]:
    """The contributions of each row, which must add up."""
    for own in answer["explanations"]:
        assert own["base"] + sum(own["contributions"].values()) == pytest.approx(own["total"])
    return [own["contributions"] for own in answer["explanations"]]


def test_a_linear_model_is_explained_exactly(explained: App) -> None:
    answer = ask(explained, ROWS).json
    assert (answer["method"], answer["scale"]) == ("linear_shap", "log-odds")
    parts = in_parts(answer)
    for own in answer["explanations"]:
        assert 1 / (1 + np.exp(-own["total"])) == pytest.approx(own["score"], abs=1e-5)
    # By the definition: the coefficient times what the value differs from its mean.
    model = onnx.load_from_string(train_model())
    (linear,) = [own for own in model.graph.node if own.op_type == "LinearClassifier"]
    (weights,) = [list(own.floats) for own in linear.attribute if own.name == "coefficients"]
    distance, hour, *_ = weights[len(weights) // 2 :]
    assert parts[0]["hour"] == pytest.approx(hour * (17 - 14.0), abs=1e-5)
    assert parts[0]["distance"] - parts[1]["distance"] == pytest.approx(
        distance * (300 - imputed(model)), abs=1e-4
    )


def imputed(model: onnx.ModelProto) -> float:
    """What stands in for a missing distance."""
    (imputer,) = [own for own in model.graph.node if own.op_type == "Imputer"]
    (values,) = [
        list(own.floats) for own in imputer.attribute if own.name == "imputed_value_floats"
    ]
    return float(values[0])


def test_what_adds_most_is_first(explained: App) -> None:
    for parts in in_parts(ask(explained, ROWS).json):
        sizes = [abs(value) for value in parts.values()]
        assert sizes == sorted(sizes, reverse=True)


def test_every_form_of_rows_and_tensors_gets_the_same(explained: App) -> None:
    columns = {"hour": [17, 6], "carrier": ["B6", None], "distance": [300, None]}
    tensors = [
        {"name": "hour", "shape": [2, 1], "datatype": "FP32", "data": [17, 6]},
        {"name": "carrier", "shape": [2, 1], "datatype": "BYTES", "data": ["B6", None]},
        {"name": "distance", "shape": [2, 1], "datatype": "FP32", "data": [300, None]},
    ]
    expected = ask(explained, ROWS).json["explanations"]
    for value in ({"rows": ROWS}, {"columns": columns}, {"inputs": tensors}):
        for parameters in ({}, {"parameters": {"budget": 2}}):
            assert ask(explained, value | parameters).json["explanations"] == expected
    one = ask(explained, ROWS[0], **{"x-request-id": "mine"})
    assert one.json["explanations"] == expected[:1]
    assert (one.json["id"], one.headers["x-request-id"]) == ("mine", "mine")
    assert ask(explained, {"hour": 6}).json["missing"] == ["distance", "carrier"]


def test_trying_features_out_agrees_with_what_is_exact(tmp_path: Path) -> None:
    """A linear function as a plain product of matrices, in which nothing is recognised."""
    ends = [helper.make_tensor_value_info(own, TensorProto.FLOAT, [None, 1]) for own in "abcy"]
    weights = {"a": 2.0, "b": -1.0, "c": 0.0}
    nodes = [
        *(helper.make_node("Mul", [own, f"w{own}"], [f"m{own}"]) for own in "abc"),
        helper.make_node("Sum", ["ma", "mb", "mc"], ["y"]),
    ]
    initial = [
        numpy_helper.from_array(np.array([[value]], np.float32), f"w{name}")
        for name, value in weights.items()
    ]
    content = helper.make_model(
        helper.make_graph(nodes, "g", ends[:3], ends[3:], initializer=initial),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    ).SerializeToString()
    spread = Distribution(quantiles=tuple(np.linspace(0, 1, 21)), mean=0.5)
    number = {"datatype": "FP32", "shape": (-1, 1)}
    app = served(
        write_artifact(
            tmp_path,
            content,
            task="regression",
            inputs=[Tensor(name=own, distribution=spread, **number) for own in "abc"],
            outputs=[Tensor(name="y", **number)],
        )
    )
    rows = [{"a": 1, "b": 1, "c": 1}, {"a": 3, "b": 0, "c": 0}]
    answer = ask(app, {"rows": rows, "parameters": {"budget": 5}}).json
    assert (answer["method"], answer["scale"], answer["rounds"]) == ("sampled", "score", 100)
    assert "forests and linear functions" in answer["why_not_exact"]
    for row, parts, own in zip(rows, in_parts(answer), answer["explanations"], strict=True):
        for name, weight in weights.items():
            error = own["uncertainty"][name]
            assert parts[name] == pytest.approx(weight * (row[name] - 0.5), abs=4 * error + 1e-6)
    assert (
        ask(app, {"rows": rows, "parameters": {"budget": 5}}).json["explanations"]
        == (answer["explanations"])
    ), "the same request has the same answer"


def test_what_is_exact_can_be_tried_out_too(explained: App) -> None:
    answer = ask(explained, {"rows": ROWS, "parameters": {"sample": True, "budget": 5}}).json
    assert (answer["method"], answer["scale"]) == ("sampled", "score")
    in_parts(answer)
    for own in answer["explanations"]:
        assert own["total"] == pytest.approx(own["score"])


def test_an_unusual_row_is_told_from_an_ordinary_one(explained: App) -> None:
    rows = [
        {"hour": 14, "carrier": "AA", "distance": 1300},
        {"hour": 14, "carrier": "AA", "distance": 99_999},
        {"hour": 14, "carrier": "never seen", "distance": 1300},
        {"hour": 14, "carrier": None, "distance": None},
    ]
    answer = ask(explained, {"rows": rows, "parameters": {"outlier": True}}).json
    ordinary, far, rare, missing = [own["outlier"] for own in answer["explanations"]]
    assert ordinary["score"] == 0.0
    assert far["score"] == 1.0
    assert next(iter(far["most_unusual"].items())) == ("distance", 0.0)
    assert next(iter(rare["most_unusual"].items())) == ("carrier", pytest.approx(0.05))
    assert missing["most_unusual"]["distance"] == pytest.approx(0.1)


REFUSED = {
    "no JSON": (b"{", "not JSON"),
    "no rows": ([], "no rows"),
    "a misspelt name": ({"hour": 1, "distence": 3}, "distance"),
    "an unknown parameter": ({"rows": ROWS, "parameters": {"budgets": 1}}, "write budget"),
    "a budget that is none": ({"rows": ROWS, "parameters": {"budget": "x"}}, "write budget"),
    "no time": ({"rows": ROWS, "parameters": {"budget": 0}}, "up to 10"),
    "too much time": ({"rows": ROWS, "parameters": {"budget": 11}}, "up to 10"),
    "too many rows": ({"rows": ROWS * 200}, "at most 256"),
}


@pytest.mark.parametrize(("value", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_explained_is_refused(value: Any, says: str, explained: App) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    reply = call(explained, "POST", EXPLAIN, body)
    assert reply.status == 400
    assert says in reply.json["error"]


def test_an_artifact_without_distributions_says_what_to_do(app: App) -> None:
    for parameters in ({}, {"sample": True}):
        reply = call(
            app, "POST", EXPLAIN, json.dumps({"rows": ROWS, "parameters": parameters}).encode()
        )
        assert reply.status == 400
        assert "train a new version" in reply.json["error"]


def test_too_little_time_is_said(explained: App) -> None:
    reply = ask(explained, {"rows": ROWS * 100, "parameters": {"budget": 1e-9}})
    assert reply.status == 503
    assert "of 200 rows; send fewer, or a larger budget" in reply.json["error"]
    assert reply.headers["retry-after"] == "1"


def test_they_are_no_inferences(tmp_path: Path) -> None:
    app = served(write_artifact(tmp_path, train_model(), inputs=TENSORS))
    assert ask(app, ROWS).status == 200
    assert ask(app, {"rows": 3}).status == 400
    counters = app.served.counters
    assert (counters.requests[200], counters.requests[400], counters.rows) == (0, 0, 0)
    assert counters.explanations == {200: 1, 400: 1}
    text = call(app, "GET", "/metrics").body.decode()
    assert "millwright_explanations_total{" in text
    assert (
        call(app, "POST", EXPLAIN.replace("/explain", "/versions/1/explain"), b"[]").status == 400
    )
    assert call(app, "GET", EXPLAIN).status == 405


def test_no_more_than_so_many_wait_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is worked on, inferences are answered; beyond the bound there is no room."""
    app = served(write_artifact(tmp_path, train_model(), inputs=TENSORS))
    held, begun = threading.Event(), threading.Event()
    usual = Explaining.answer

    def slow(self: Explaining, body: bytes, identity: str) -> bytes:
        begun.set()
        assert held.wait(20)
        return usual(self, body, identity)

    monkeypatch.setattr(Explaining, "answer", slow)

    async def scenario() -> bytes:
        thread = ExplainingThread(most=1)
        body = json.dumps(ROWS).encode()
        first = asyncio.create_task(thread.answer(app.served, body, "a"))
        await asyncio.to_thread(begun.wait, 20)
        with pytest.raises(Refusal, match="1 explanations are being made"):
            await thread.answer(app.served, body, "b")
        prepared = app.served.read_rows(body, "c")
        assert app.served.answer(prepared)
        held.set()
        return await first

    assert json.loads(asyncio.run(scenario()))["method"] == "linear_shap"
    assert app.served.counters.explanations == {503: 1, 200: 1}


def test_columns_made_of_several_features_are_tried_out(tmp_path: Path) -> None:
    """What adds up reads a product of two features, which no sum over columns can share out."""
    ends = [helper.make_tensor_value_info(own, TensorProto.FLOAT, [None, 1]) for own in "aby"]
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["ab"]),
        helper.make_node(
            "LinearRegressor", ["ab"], ["y"], domain="ai.onnx.ml", coefficients=[1.0], targets=1
        ),
    ]
    content = helper.make_model(
        helper.make_graph(nodes, "g", ends[:2], ends[2:]),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=9,
    ).SerializeToString()
    spread = Distribution(quantiles=tuple(np.linspace(0, 1, 21)), mean=0.5)
    number = {"datatype": "FP32", "shape": (-1, 1)}
    inputs = [Tensor(name=own, distribution=spread, **number) for own in "ab"]
    outputs = [Tensor(name="y", **number)]
    app = served(
        write_artifact(tmp_path, content, task="regression", inputs=inputs, outputs=outputs)
    )
    answer = ask(app, {"a": 1, "b": 1}).json
    assert "made of several features" in answer["why_not_exact"]
    (parts,) = in_parts(answer)
    assert parts["a"] == pytest.approx(0.375, abs=0.1)
