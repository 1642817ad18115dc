"""What `serve run` refuses before a server is made, and the question that it proposes."""

from __future__ import annotations

import socket

import pytest

from cli.commands.servers import check_options, check_port, example
from contracts.artifact import Tensor
from contracts.errors import UsageError


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "nothing says what is served"),
        ({"model": "a-model", "repository": "."}, "two things to serve"),
        ({"model": "a-model", "version": "1", "alias": "stable"}, "two versions"),
        ({"repository": ".", "version": "1"}, "clients choose the version"),
        ({"model": "a-model", "memory": "2GiB"}, "one model stays loaded"),
    ],
)
def test_options_that_do_not_belong_together(given: dict[str, str], sentence: str) -> None:
    names = ("model", "version", "alias", "repository", "memory")
    with pytest.raises(UsageError) as raised:
        check_options(**{name: given.get(name, "") for name in names})
    assert sentence in str(raised.value)


def test_a_port_that_something_has_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} cannot be had"):
            check_port(port)


@pytest.mark.parametrize(
    ("tensor", "data"),
    [
        (Tensor(name="x", datatype="FP32", shape=(-1, 2), minimum=1.5), [1.5, 1.5]),
        (Tensor(name="x", datatype="INT64", shape=(-1, 1), minimum=3.0), [3]),
        (Tensor(name="x", datatype="BYTES", shape=(-1,), categories=("a", "b")), ["a"]),
        (Tensor(name="x", datatype="BOOL", shape=(-1, 1)), [False]),
    ],
)
def test_a_row_is_made_up_from_the_signature(tensor: Tensor, data: list[object]) -> None:
    made = example(tensor)
    assert (made["data"], made["shape"]) == (data, [1, *tensor.shape[1:]])
