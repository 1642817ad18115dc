"""Requests that share a call of the model: each gets what it would get alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier

from contracts.artifact import Tensor
from serving.runtime.app import App
from serving.runtime.connections import Connections
from serving.runtime.http import Connection
from serving.runtime.model import Model, Prepared
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served
from serving.runtime.store import fetch
from serving.runtime.turns import can_share
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import Wire

RANDOM = np.random.default_rng(7)
ROWS = RANDOM.normal(size=(400, 33)).astype(np.float32)
CLASSES = (ROWS[:, 0] + ROWS[:, 1] * ROWS[:, 2] > 0).astype(int) + (ROWS[:, 3] > 1)
PROBABILITIES = (
    Tensor(name="label", datatype="INT64", shape=(-1,)),
    Tensor(name="probabilities", datatype="FP32", shape=(-1, 3)),
)


def exported(estimator: Any, target: Any) -> bytes:
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else None
    content: bytes = to_onnx(
        estimator.fit(ROWS, target), ROWS[:1], options=options
    ).SerializeToString()
    return content


def loaded(folder: Path, content: bytes, inputs: Any, outputs: Any) -> tuple[Model, bytes]:
    write_artifact(folder, content, inputs=inputs, outputs=outputs)
    artifact, read = fetch(str(folder))
    return Model("flight-delay", artifact, read), read


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Model:
    content = exported(RandomForestClassifier(20, random_state=0), CLASSES)
    inputs = (Tensor(name="X", datatype="FP32", shape=(-1, 33)),)
    return loaded(tmp_path_factory.mktemp("forest"), content, inputs, PROBABILITIES)[0]


@pytest.mark.parametrize(
    ("estimator", "shares"),
    [
        (GradientBoostingClassifier(n_estimators=5), True),
        (RandomForestClassifier(5), True),
        (LogisticRegression(), False),
        (LinearRegression(), False),
        (MLPClassifier((4,), max_iter=2), False),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_models_share_whose_bits_do_not_depend_on_the_rows_beside(
    tmp_path: Path, estimator: Any, shares: bool
) -> None:
    content = exported(estimator, CLASSES)
    names = [output.name for output in onnx.load_from_string(content).graph.output]
    outputs = PROBABILITIES
    if names == ["variable"]:
        outputs = (Tensor(name="variable", datatype="FP32", shape=(-1, 1)),)
    inputs = (Tensor(name="X", datatype="FP32", shape=(-1, 33)),)
    model, read = loaded(tmp_path, content, inputs, outputs)
    assert can_share(read, model) is shares
    if shares:
        together = model._session.run(None, {"X": ROWS[:300]})
        for row in range(300):
            alone = model._session.run(None, {"X": ROWS[row : row + 1]})
            for ours, theirs in zip(together, alone, strict=True):
                assert ours[row].tobytes() == theirs[0].tobytes()


def body(rows: Any, **fields: Any) -> bytes:
    tensor = {"name": "X", "shape": list(rows.shape), "datatype": "FP32"}
    return json.dumps({"inputs": [tensor | {"data": rows.ravel().tolist()}], **fields}).encode()


REQUEST = st.builds(
    lambda start, rows, extra: body(ROWS[start : start + rows], **extra),
    st.integers(0, 200),
    st.integers(1, 40),
    st.sampled_from(
        [
            {},
            {"id": "a\\u00fc\n"},
            {"outputs": [{"name": "probabilities"}]},
            {"outputs": [{"name": "label"}, {"name": "probabilities"}]},
            {"outputs": [{"name": "label", "parameters": {"binary_data": True}}]},
            {"parameters": {"binary_data_output": True}},
        ]
    ),
)


@given(st.lists(REQUEST, min_size=2, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_answered_together_is_what_is_answered_alone(
    forest: Model, bodies: list[bytes]
) -> None:
    asked = [forest.prepared(text, f"r{number}") for number, text in enumerate(bodies)]
    together = forest.answers(asked)
    for number, (text, answer) in enumerate(zip(bodies, together, strict=True)):
        assert (asked[number].identity, answer) == forest.answer(text, f"r{number}")


def test_the_usual_answer_is_written_as_any_other(forest: Model) -> None:
    """Two writers, one form."""
    every = {"outputs": [{"name": "label"}, {"name": "probabilities"}]}
    for rows in (1, 3, 100):
        _, usual = forest.answer(body(ROWS[:rows]), "an id, with ü and \"'")
        _, named = forest.answer(body(ROWS[:rows], **every), "an id, with ü and \"'")
        assert usual.body == named.body


def picking() -> bytes:
    """A model that gives ``table[index] / divisor``: fails where there is no such index, and gives
    no number where both are 0."""
    nodes = [
        helper.make_node("Gather", ["table", "index"], ["picked"]),
        helper.make_node("Div", ["picked", "divisor"], ["ratio"]),
    ]
    graph = helper.make_graph(
        nodes,
        "picking",
        [
            helper.make_tensor_value_info("index", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("divisor", TensorProto.FLOAT, [None]),
        ],
        [helper.make_tensor_value_info("ratio", TensorProto.FLOAT, [None])],
        [helper.make_tensor("table", TensorProto.FLOAT, [4], [0.0, 1.0, 2.0, 3.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="module")
def picker(tmp_path_factory: pytest.TempPathFactory) -> Model:
    inputs = (
        Tensor(name="index", datatype="INT64", shape=(-1,)),
        Tensor(name="divisor", datatype="FP32", shape=(-1,)),
    )
    outputs = (Tensor(name="ratio", datatype="FP32", shape=(-1,)),)
    folder = tmp_path_factory.mktemp("picker")
    model, content = loaded(folder, picking(), inputs, outputs)
    assert can_share(content, model)
    return model


def ask(index: list[int], divisor: list[float]) -> bytes:
    inputs = [
        {"name": "index", "shape": [len(index)], "datatype": "INT64", "data": index},
        {"name": "divisor", "shape": [len(index)], "datatype": "FP32", "data": divisor},
    ]
    return json.dumps({"inputs": inputs}).encode()


def test_one_that_fails_does_not_fail_its_neighbours(picker: Model) -> None:
    bodies = {
        "good": ask([1], [2.0]),
        "no such index": ask([9], [1.0]),
        "no number": ask([0, 1], [0.0, 1.0]),
        "many rows": ask([3] * 200, [1.0] * 200),
        "last": ask([2], [1.0]),
    }
    asked = [picker.prepared(text, name) for name, text in bodies.items()]
    answers = dict(zip(bodies, picker.answers(asked), strict=True))
    for name in ("no such index", "no number"):
        refusal = answers[name]
        assert isinstance(refusal, Refusal)
        assert refusal.status == 500
    for name in ("good", "many rows", "last"):
        assert answers[name] == picker.answer(bodies[name], name)[1]
    # Without the one that makes the whole call fail, what is no number is one request's matter.
    del asked[1], answers["no such index"]
    again = picker.answers(asked)
    assert [isinstance(answer, Refusal) for answer in again] == [False, True, False, False]


def test_those_of_one_turn_share_a_call_and_all_are_answered_and_counted(
    picker: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    answers = picker.answers

    def counting(asked: list[Prepared]) -> Any:
        calls.append(len(asked))
        return answers(asked)

    monkeypatch.setattr(picker, "answers", counting)

    def request(content: bytes) -> bytes:
        head = "POST /v2/models/flight-delay/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content

    async def talk(app: App, contents: list[bytes]) -> list[bytes]:
        wires = []
        connections = Connections(app)
        for content in contents:
            wires.append(Wire())
            connection = Connection(connections)
            connection.connection_made(wires[-1])
            connection.data_received(request(content))
        for wire in wires:
            await asyncio.wait_for(wire.closed.wait(), 30)
        return [wire.written.partition(b"\r\n")[0] for wire in wires]

    contents = [
        ask([1], [1.0]),
        ask([7], [1.0]),
        b"{",
        ask([2] * 300, [1.0] * 300),
        ask([0], [1.0]),
    ]
    statuses = [b"200 OK", b"500 Internal Server Error", b"400 Bad Request", b"200 OK", b"200 OK"]
    for shared, expected in ((True, [2, 1, 1]), (False, [1, 1, 1, 1])):
        calls.clear()
        app = App(Served(picker, shared=shared))
        answered = asyncio.run(talk(app, contents))
        assert answered == [b"HTTP/1.1 " + status for status in statuses]
        assert calls == expected
        assert app.served.counters.requests == {200: 3, 400: 1, 500: 1}
        assert app.served.counters.rows == 302
        assert app.active == 0
