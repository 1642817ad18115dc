"""A version takes the features that it did not select, so that one caller can ask every version."""

from __future__ import annotations

import pytest

from contracts.artifact import Tensor
from serving.runtime.refusal import Refusal
from serving.runtime.requests import read_request
from serving.runtime.tensors import Signature

SIGNATURE = Signature(
    (
        Tensor(name="age", datatype="FP32", shape=(-1, 1), optional=True),
        Tensor(name="colour", datatype="BYTES", shape=(-1, 1), optional=True, used=False),
    ),
    (),
)


def body(colour: str) -> bytes:
    return (
        b'{"inputs": [{"name": "age", "datatype": "FP32", "shape": [1, 1], "data": [3]},'
        b'{"name": "colour", "datatype": "BYTES", "shape": [1, 1], "data": [' + colour.encode()
    ) + b"]}]}"


def test_what_the_model_does_not_read_is_taken_and_left_out() -> None:
    feeds, rows, findings = SIGNATURE.feeds(read_request(body('"red"')))
    assert (list(feeds), rows, findings) == (["age"], 1, {})


def test_what_is_left_out_is_told_of_what_the_model_reads_only() -> None:
    def sent(*inputs: bytes) -> list[str]:
        feeds = SIGNATURE.feeds(read_request(b'{"inputs": [%s]}' % b",".join(inputs)))
        return feeds[2].get("missing", [])

    age, colour = (own + b"}" for own in body('"red"')[12:-2].rstrip(b"}").split(b"},"))
    assert sent(age) == []
    assert sent(colour) == ["age"]


def test_it_is_still_checked() -> None:
    with pytest.raises(Refusal, match="colour"):
        SIGNATURE.feeds(read_request(body("7")))
