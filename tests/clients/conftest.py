"""A served model, and an environment of its own for each of other people's clients."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop.serving import LocalServing
from laptop.supervisor import Supervisor
from tests.integration.serving.conftest import NAME, document
from tests.serving_model import make_artifact

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".millwright" / "clients"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a deployment behind the front door, and that of its server."""
    root = tmp_path_factory.mktemp("twin")
    artifact = make_artifact(root / "artifact", version="1")
    supervisor = Supervisor(root)
    serving = LocalServing(root, supervisor)
    serving.apply(document({"v1": artifact}, v1=10_000))
    url = serving.settle(NAME).url
    (port,) = [own.ports["port"] for own in supervisor.status() if own.name.startswith("serving.")]
    yield url, f"http://127.0.0.1:{port}"
    supervisor.stop_all()


def environment(client: str) -> Path:
    """The Python of a client's environment, made of its pins where it is not there yet."""
    pins, folder = HERE / "pins" / f"{client}.txt", ENVIRONMENTS / client
    python, stamp = folder / "bin" / "python", folder / "pins.txt"
    if not stamp.exists() or stamp.read_text() != pins.read_text():
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        fill = [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(pins)]
        for command in (make, fill):
            subprocess.run(command, check=True)
        shutil.copy(pins, stamp)
    return python
