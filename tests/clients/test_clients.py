"""Other people's clients by their defaults, each in its own environment: make test-clients."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.clients.conftest import HERE, environment
from tests.integration.serving.conftest import NAME

CLIENTS = sorted(path.stem for path in (HERE / "calls").glob("*.py"))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_clients_usual_calls(client: str, served: tuple[str, str]) -> None:
    url, direct = served
    # Not run by its path: beside it stand files that are named as the clients are.
    code = (HERE / "calls" / f"{client}.py").read_text()
    outside = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(environment(client)), "-I", "-c", code, url, NAME, direct],
        capture_output=True,
        text=True,
        check=False,
        env={**outside, "NO_PROXY": "*"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_each_client_has_its_pins() -> None:
    assert sorted(path.stem for path in (HERE / "pins").glob("*.txt")) == CLIENTS
