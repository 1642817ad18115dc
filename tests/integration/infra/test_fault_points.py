"""A sample of fault points, through a small program and the real provider; `python -m
benchmarks.faults` goes through all of them with the whole environment."""

from __future__ import annotations

from typing import Any

import pytest

from pocket.engine import up
from tests.integration.infra.standing import Standing, run_until_settled

SAMPLE: dict[str, dict[str, Any]] = {
    "throttled": {"kind": "throttle", "nth": 2, "step": 4},
    "server error": {"kind": "server_error", "nth": 3, "step": 5},
    "answer lost": {"kind": "lost_answer", "nth": 1, "step": 4},
    "answer lost where nothing has a name": {
        "kind": "lost_answer",
        "service": "ec2",
        "operation": "[CA]*",
        "nth": 1,
        "step": 2,
    },
}


SHORT = "throttled"


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.long] * (kind != SHORT)) for kind in SAMPLE]
)
def test_up_converges(kind: str, reduced: Standing) -> None:
    reduced.faults({"changes_only": True, **SAMPLE[kind]})
    run_until_settled(lambda: up(reduced.workspace), tries=20)
    assert reduced.struck().total() >= 4
    reduced.faults()
    assert reduced.wrong() == []
    assert reduced.destroy() == []
