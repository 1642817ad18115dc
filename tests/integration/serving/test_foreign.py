"""An artifact is made of an ONNX file from elsewhere, by ONNX Runtime itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from contracts.errors import MillwrightError, ServingError, UsageError
from serving.foreign import describe
from tests.serving_model import classifier, train_model

NOW = datetime(2013, 1, 1, tzinfo=UTC)
NUMBERS = [{"x": 1.0}, {"x": 2.0}]


def described(content: bytes, rows: list[dict[str, Any]], **given: Any) -> Any:
    usual: dict[str, Any] = {"name": "foreign", "version": "1", "task": "regression", "now": NOW}
    return describe(content, rows, **usual | given)


def graph(
    kind: int = TensorProto.FLOAT,
    shape: tuple[Any, ...] = ("rows", 1),
    node: str = "Identity",
    out: tuple[Any, ...] | None = None,
    **more: Any,
) -> bytes:
    """One operator from ``x`` to ``y``."""
    made = helper.make_graph(
        [helper.make_node(node, ["x"], ["y"], **more.pop("attributes", {}))],
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", more.pop("to", kind), out or shape)],
        **more,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def external() -> bytes:
    weight = numpy_helper.from_array(np.ones((1, 1), np.float32), "weight")
    model = onnx.load_from_string(graph(initializer=[weight]))
    own = model.graph.initializer[0]
    own.ClearField("raw_data")
    own.data_location = TensorProto.EXTERNAL
    own.external_data.add(key="location", value="weights.bin")
    content: bytes = model.SerializeToString()
    return content


def test_its_signature_is_the_files() -> None:
    rows = [
        {"distance": 500, "hour": 7, "carrier": "AA"},
        {"hour": 20, "carrier": "B6"},
    ]
    made = described(train_model(), rows, task="classification")
    assert {own.name: (own.datatype, own.shape, own.optional) for own in made.inputs} == {
        "distance": ("FP32", (-1, 1), True),
        "hour": ("FP32", (-1, 1), False),
        "carrier": ("BYTES", (-1, 1), False),
    }
    assert {own.name: (own.datatype, own.shape) for own in made.outputs} == {
        "label": ("INT64", (-1,)),
        "probabilities": ("FP32", (-1, 2)),
    }
    assert made.interpretation.classes == (0, 1)


def test_what_the_file_leaves_open_is_as_the_examples_have_it() -> None:
    made = described(graph(shape=("rows", "columns")), [{"x": [1, 2, 3]}, {"x": [4, 5, 6]}])
    assert [own.shape for own in made.inputs] == [(-1, -1)]
    assert [own.shape for own in made.outputs] == [(-1, 3)]


@pytest.mark.parametrize("names", [["early", "late"], [3, 7]])
def test_classes_are_those_that_the_file_names(names: list[Any]) -> None:
    rows = [{"numbers": [1, 0]}]
    given = {"task": "classification", "positive": str(names[0])}
    made = described(classifier(names), rows, **given).interpretation
    assert (list(made.classes), made.positive) == (names, names[0])
    with pytest.raises(UsageError, match="'other' is none of the model's classes"):
        described(classifier(names), rows, task="classification", positive="other")


@pytest.mark.parametrize(
    ("content", "rows", "error", "sentence"),
    [
        (b"", NUMBERS, UsageError, "no ONNX file"),
        (b"\xff\xfe\x00", NUMBERS, UsageError, "no ONNX file"),
        (external(), NUMBERS, UsageError, "the tensor 'weight' has its data in another file"),
        (graph(TensorProto.COMPLEX64), NUMBERS, UsageError, "input 'x' has elements of type COMPL"),
        (
            graph(
                node="Cast", to=TensorProto.FLOAT8E5M2, attributes={"to": TensorProto.FLOAT8E5M2}
            ),
            NUMBERS,
            UsageError,
            "output 'y' has elements of type FLOAT8E5M2",
        ),
        (graph(shape=(2, 1)), NUMBERS, UsageError, "'x' has the shape [2, 1]: its first"),
        (graph(), [], UsageError, "no example rows"),
        (graph(), [{"x": 1}, {"z": 2}], UsageError, "the model has no input 'z'"),
        (graph(TensorProto.INT64), [{"x": 1}, {}], UsageError, "'x' (INT64) is missing in one"),
        (graph(), [{"x": "text"}], ServingError, "cannot predict the examples"),
        (graph(), [{"x": [1, 2]}, {"x": 1}], ServingError, "'x' has rows of shape"),
        (graph(node="Nosuch"), NUMBERS, ServingError, "ONNX Runtime cannot load"),
        (
            graph(node="ReduceSum", out=(1, 1)),
            NUMBERS,
            ServingError,
            "output 'y' has the shape [1, 1] for 2 rows",
        ),
        (
            classifier([0, 1], zipmap=True),
            [{"numbers": [1, 0]}],
            UsageError,
            "'output_probability' is a sequence, and no tensor",
        ),
    ],
)
def test_files_and_examples_that_do_not_fit(
    content: bytes, rows: list[dict[str, Any]], error: type[MillwrightError], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        described(content, rows)
    assert sentence in str(raised.value)
