"""Rows as requests: each value is sent, missing, or refused by its name."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contracts.errors import ServingError
from serving.bodies import Input, inference_body, plain

FLOAT = Input("age", "FP32")
WHOLE = Input("n", "INT64")
TEXT = Input("plan", "BYTES")


@pytest.mark.parametrize(
    ("value", "own", "sent"),
    [
        (1, FLOAT, 1.0),
        (True, FLOAT, 1.0),
        (np.float32(0.5), FLOAT, 0.5),
        (np.int64(3), WHOLE, 3),
        (np.array(3), WHOLE, 3),
        (Decimal("1.25"), FLOAT, 1.25),
        (Decimal("3.0"), WHOLE, 3),
        (Decimal("3.5"), WHOLE, 3.5),
        (np.str_("pro"), TEXT, "pro"),
        (b"pro", TEXT, "pro"),
        ("prö", TEXT, "prö"),
        *(
            (missing, own, None)
            for own in (FLOAT, TEXT)
            for missing in (None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT)
        ),
        (Decimal("nan"), FLOAT, None),
        (Decimal("snan"), FLOAT, None),
        (np.datetime64("NaT"), FLOAT, None),
    ],
)
def test_what_a_value_becomes(value: Any, own: Input, sent: object) -> None:
    made = plain(value, own)
    assert (type(made), made) == (type(sent), sent)
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "own", "sentence"),
    [
        (float("inf"), FLOAT, "an infinite number"),
        (-np.inf, FLOAT, "an infinite number"),
        (Decimal("-Infinity"), FLOAT, "an infinite number"),
        (Decimal("1e999"), FLOAT, "an infinite number"),
        (10**400, FLOAT, "beyond what a float can hold"),
        (b"\xff", TEXT, "not UTF-8"),
        ("\ud800", TEXT, "surrogate"),
        (1j, FLOAT, "a complex"),
        ({}, TEXT, "a dict"),
        (object(), TEXT, "an? object|a object"),
        (pd.Timestamp("2020-01-01"), TEXT, "a Timestamp"),
        ({1}, FLOAT, "a set"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(value: Any, own: Input, sentence: str) -> None:
    with pytest.raises(ServingError, match=sentence) as refused:
        inference_body([{own.name: value}], [own])
    assert own.name in str(refused.value)


IMAGE = Input("image", "FP32", (-1, 1, 8, 8))
ONE = np.arange(64.0).reshape(1, 8, 8)


@pytest.mark.parametrize(
    ("own", "rows", "shape"),
    [
        (IMAGE, [ONE], [1, 1, 8, 8]),
        (IMAGE, [ONE.tolist(), ONE, None], [3, 1, 8, 8]),
        (Input("image", "FP32", (1, 8, 8)), [ONE], [1, 8, 8]),
        (Input("image", "FP32", (1, 8, 8)), [ONE[0]], [1, 8, 8]),
        (Input("image", "FP32", (8, 8)), [ONE[0]], [8, 8]),
        (Input("image", "FP32", (-1, -1)), [[1, 2, 3], (4, 5, 6)], [2, 3]),
        (Input("image", "FP32", (-1,)), [1, 2], [2]),
        (Input("image", "FP32", (-1, 1)), [[1], 2], None),
        (Input("image", "FP32", (-1, 1)), [[1], [2]], [2, 1]),
        (Input("image", "BYTES", (-1, 2)), [["a", None]], [1, 2]),
        (IMAGE, [ONE[0]], None),
        (IMAGE, [1.0], None),
        (Input("image", "FP32", (-1, -1)), [[1, 2], [1]], None),
        (Input("image", "FP32", (-1, 2, 2)), [[[1, 2], [1]]], None),
        (Input("image", "FP32", (-1, 2)), [[]], None),
    ],
)
def test_rows_have_the_shape_that_a_model_declares(
    own: Input, rows: list[Any], shape: list[int] | None
) -> None:
    values = [{"image": row} for row in rows]
    if shape is None:
        with pytest.raises(ServingError, match="shape"):
            inference_body(values, [own])
        return
    (tensor,) = inference_body(values, [own])["inputs"]
    assert tensor["shape"] == shape
    assert len(tensor["data"]) == np.prod(shape)
    json.dumps(tensor, allow_nan=False)
