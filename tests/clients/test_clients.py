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


def test_the_pages_example_of_grpc(served: tuple[str, str]) -> None:
    """As docs/protocol.md has it, but for the address."""
    page = (HERE.parents[1] / "docs" / "protocol.md").read_text()
    example = page.partition("## gRPC")[2].partition("```python\n")[2].partition("```")[0]
    assert "127.0.0.1:8080" in example
    code = example.replace("127.0.0.1:8080", served[0].split("/")[2])
    python = str(environment("tritongrpc"))
    done = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("1 [[0."), done.stdout


def test_each_client_has_its_pins() -> None:
    assert sorted(path.stem for path in (HERE / "pins").glob("*.txt")) == CLIENTS
