"""Whether a server's log says that it cannot start."""

from __future__ import annotations

import pytest

from laptop.serving.state import refused
from serving.runtime.refusal import CANNOT_SERVE, SERVES

NO = f"{CANNOT_SERVE}s3://a/1: the artifact's model.onnx cannot be read\n  Check the URI\n"
YES = f'{{"event": "{SERVES}", "model": "m"}}\n'


@pytest.mark.parametrize(
    ("log", "certain"),
    [
        ("", False),
        (NO * 2, False),
        (NO * 3, True),
        ("a line of somebody's\n".join([NO] * 3), True),
        (NO * 3 + YES, False),
        (NO * 3 + YES + NO * 2, False),
        ("Killed\n" * 9, False),
    ],
)
def test_it_is_certain_after_several_starts_in_a_row(log: str, certain: bool) -> None:
    assert bool(refused(log, tries=3)) == certain
    if certain:
        assert refused(log, tries=3).startswith("s3://a/1: the artifact's model.onnx cannot")
