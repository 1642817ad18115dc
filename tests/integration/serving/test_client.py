"""The client beside a real model server: any shape, any value, any name, and what was missing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from contracts.artifact import Distribution, Tensor
from contracts.errors import ServingError
from serving.client import Client
from tests.integration.serving.conftest import NAME, ROW
from tests.integration.serving.test_runtime_process import server
from tests.serving_model import INPUTS, train_model, write_artifact


@pytest.fixture(scope="module")
def url(artifacts: dict[str, Path]) -> Iterator[str]:
    with server(str(artifacts["v1"]), "--predictor", "v1") as (_, url):
        yield url


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ({"hour": 7}, ("carrier", "distance")),
        ({"hour": np.int64(7), "carrier": pd.NA, "distance": 1.0}, ("carrier",)),
        ({"hour": Decimal("7.5"), "carrier": "ü", "distance": float("nan")}, ("distance",)),
        (dict(ROW), ()),
    ],
)
def test_an_answer_says_what_was_missing(url: str, row: dict[str, Any], missing: Any) -> None:
    with Client(url, NAME, None) as client:
        assert client.infer([row]).missing == missing
        assert set(client.infer([row, dict(ROW)]).missing) == set(missing)


@pytest.mark.parametrize(
    "row",
    [
        {"hour": float("inf")},
        {"hour": 1e39},
        {"hour": None},
        {"hour": "\ud800"},
        {"hour": [1, 2]},
        {"hour": {}},
        {"hour": 7, "carrier": 5},
        {"hour\x00": 1},
        {"hour": 7, "größe": 1},
        {},
    ],
)
def test_what_cannot_be_asked_is_a_sentence(url: str, row: dict[str, Any]) -> None:
    with Client(url, NAME, None) as client, pytest.raises(ServingError) as refused:
        client.infer([row])
    assert len(str(refused.value)) > 20


@pytest.mark.parametrize(
    "identity", ["ü-1", "a b", " x ", "a\r\nb", "日本", "x" * 900, "%C3", "\ud7ff"]
)
def test_any_request_id_finds_its_feedback(url: str, identity: str) -> None:
    with Client(url, NAME, None) as client:
        prediction = client.infer([ROW], request_id=identity)
        assert prediction.request_id == identity
        label = prediction.outputs["label"][0]
        for truth in (np.int64(label), Decimal(label)):
            verdict = client.feedback(prediction, [truth])
            assert verdict.right + verdict.repeated == 1
        with pytest.raises(ServingError, match="infinite"):
            client.feedback(prediction, [float("inf")])


@pytest.mark.parametrize(
    "name", ["ü", "a b", "a/b", "../x", "a?b", "a#b", "%2e", "\ud800", "", "x" * 999]
)
@pytest.mark.parametrize("namespace", [None, "a/ü?"])
def test_any_name_of_a_model_is_a_sentence(url: str, name: str, namespace: str | None) -> None:
    with Client(url, name, namespace) as client:
        assert not client.ready()
        for ask in (client.metadata, lambda: client.infer([ROW])):
            with pytest.raises(ServingError, match="404"):
                ask()


@pytest.mark.parametrize("predictor", ["v9", "ü", "a\r\nb", " "])
def test_any_predictor_is_a_sentence(url: str, predictor: str) -> None:
    with Client(url, NAME, None) as client, pytest.raises(ServingError, match="421"):
        client.infer([ROW], predictor=predictor)


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "http://x:99999999", "nowhere", "http://\x00", "", "http://127.0.0.1:1"],
)
def test_any_address_is_a_sentence(address: str) -> None:
    with pytest.raises(ServingError), Client(address, NAME, None, timeout=1) as client:
        client.metadata()


def test_an_image_is_sent_in_its_shape(tmp_path: Path) -> None:
    image = Tensor(name="image", datatype="FP32", shape=(-1, 1, 8, 8))
    halves = Tensor(name="rows", datatype="FP32", shape=(-1, 8))
    sizes: list[Any] = [None, 1, 8, 8]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["image", "axes"], ["rows"], keepdims=0),
        ],
        "rows",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 8])],
        [onnx.numpy_helper.from_array(np.array([1, 3], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder = write_artifact(
        tmp_path / "image",
        model.SerializeToString(),
        name=NAME,
        task="regression",
        inputs=(image,),
        outputs=(halves,),
        features=(),
    )
    pictures = np.arange(128, dtype=np.float32).reshape(2, 1, 8, 8)
    with server(str(folder)) as (_, url), Client(url, NAME, None) as client:
        for rows in (pictures, pictures.tolist()):
            answer = client.infer([{"image": picture} for picture in rows])
            assert answer.outputs["rows"] == pictures.max(axis=(1, 3)).tolist()
        with pytest.raises(ServingError, match=r"shape \[8, 8\]; expected \[1, 8, 8\]"):
            client.infer([{"image": pictures[0][0]}])


def test_an_explanation_adds_up_and_names_what_is_unusual(tmp_path: Path) -> None:
    spreads = (
        Distribution(quantiles=tuple(np.linspace(100, 2500, 21)), mean=1300.0),
        Distribution(quantiles=tuple(np.linspace(5, 23, 21)), mean=14.0),
        Distribution(shares=(0.3, 0.3, 0.3)),
    )
    inputs = [
        own.model_copy(
            update={
                "distribution": spread,
                "categories": ("AA", "B6", "UA") if own.datatype == "BYTES" else None,
            }
        )
        for own, spread in zip(INPUTS, spreads, strict=True)
    ]
    artifact = write_artifact(tmp_path, train_model(), inputs=inputs)
    with server(str(artifact)) as (_, url), Client(url, NAME, None) as client:
        rows = [dict(ROW), {"hour": np.float32(14), "distance": 1e6, "carrier": None}]
        answer = client.explain(rows, outlier=True)
        assert (answer.method, answer.scale, answer.version) == ("linear_shap", "log-odds", "1")
        for own in answer.rows:
            assert own.base + sum(own.contributions.values()) == pytest.approx(own.total)
            assert set(own.contributions) == {"hour", "carrier", "distance"}
        assert answer.rows[1].outlier == 1.0
        assert next(iter(answer.rows[1].most_unusual)) in ("distance", "carrier")
        sampled = client.explain(rows[:1], sample=True, budget=5.0)
        assert sampled.method == "sampled"
        assert set(sampled.rows[0].uncertainty) == {"hour", "carrier", "distance"}
        assert sampled.rows[0].outlier is None
        with pytest.raises(ServingError, match="up to 10"):
            client.explain(rows, budget=11.0)
