"""Inference: our model server beside MLServer, the same ONNX model, in one run.

`python -m benchmarks.inference [--artifact FOLDER]` prints the table, then the section for
docs/benchmarks.md. MLServer runs in an environment of its own, made at the first run from
benchmarks/requirements-mlserver.txt; its model class is benchmarks/peers/mlserver_onnx.py. The load
comes from wrk where that is on the PATH: a Python program costs about as much as the servers.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
from rich.console import Console
from rich.table import Table

from benchmarks import calls, load
from contracts.artifact import Artifact, Tensor
from pocket.supervisor import HttpReady, Port, Running, Spec, Supervisor
from serving.runtime.store import fetch_document

ROOT = Path(__file__).parents[1]
PEER = ROOT / "benchmarks" / "peers" / "mlserver_onnx.py"
PINS = ROOT / "benchmarks" / "requirements-mlserver.txt"
ENVIRONMENT = ROOT / ".millwright" / "benchmarks" / "mlserver-venv"
NAME = "flight-delay"
CASES = ((1, 1), (1, 16), (100, 4))
"""Rows in a request, connections at once."""
PROTOCOLS = ("REST", "gRPC")
"""Tensors are JSON in one, bytes in the other, as clients of each write them."""
Ask = Callable[[Running, float], load.Result]
"""A load of one case on a server, for so many seconds."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One case on both servers."""

    model: str
    protocol: str
    rows: int
    connections: int
    ours: load.Result
    theirs: load.Result
    cpu: dict[str, float]
    """Each server's processor time for a request, in microseconds: the same on a busy machine."""

    @property
    def ratio(self) -> float:
        """How many times as many requests a second."""
        return self.ours.per_second / self.theirs.per_second


def main() -> int:
    """Measure, print the table and the documentation's section."""
    options = _arguments()
    console = Console(stderr=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millwright-bench-")))
        with console.status("making the model and MLServer's environment"):
            artifacts = {"its own": options.artifact} if options.artifact else _samples(folder)
            _environment()
        lines = []
        for model, artifact in artifacts.items():
            document = fetch_document(str(artifact))
            with _servers(artifact, document.name, folder / f"servers of {model}") as servers:
                _same_answers(document, servers)
                for protocol, (rows, connections) in product(PROTOCOLS, CASES):
                    with console.status(f"{model}, {protocol}: {rows} rows, {connections} at once"):
                        ask = _asking(protocol, document, rows, connections)
                        measured = _measure(servers, ask, options.seconds)
                        measured |= {"rows": rows, "connections": connections}
                        lines.append(Line(model=model, protocol=protocol, **measured))
    console.print(_table(lines))
    print(_section(lines))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, help="a trained model; a small one by default")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each case and server")
    return parser.parse_args()


def _samples(folder: Path) -> dict[str, Path]:
    """A hundred boosted trees over a matrix, and a linear model over three inputs, one a text."""
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingClassifier

    from tests.serving_model import make_artifact, write_artifact

    random = np.random.default_rng(0)
    rows = random.normal(size=(3000, 20)).astype(np.float32)
    target = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
    trees = GradientBoostingClassifier(n_estimators=100, max_depth=4).fit(rows, target)
    content = to_onnx(trees, rows[:1], options={"zipmap": False}).SerializeToString()
    matrix = Tensor(name="X", datatype="FP32", shape=(-1, 20), minimum=-1.0, maximum=1.2)
    return {
        "trees, 20 numbers": write_artifact(folder / "trees", content, inputs=(matrix,)),
        "linear, 3 inputs": make_artifact(folder / "linear"),
    }


def _environment() -> None:
    """MLServer's own environment: its pins and ours do not agree."""
    stamp = ENVIRONMENT / "requirements.txt"
    if stamp.exists() and stamp.read_text() == PINS.read_text():
        return
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    python = ENVIRONMENT / "bin" / "python"
    venv = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)]
    subprocess.run(venv, check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(PINS)]
    subprocess.run(install, check=True)
    shutil.copy(PINS, stamp)


@contextmanager
def _servers(artifact: Path, name: str, folder: Path) -> Iterator[dict[str, Running]]:
    """Both servers, one process each."""
    supervisor = Supervisor(folder / "twin")
    try:
        ours = supervisor.start(_ours(artifact, name))
        theirs = supervisor.start(_theirs(artifact, name, folder / "mlserver"))
        yield {"ours": ours, "theirs": theirs}
    finally:
        supervisor.stop_all()


def _ours(artifact: Path, name: str) -> Spec:
    return Spec(
        name="ours",
        argv=(
            *(sys.executable, "-m", "serving.runtime", "--artifact", str(artifact)),
            *("--name", name, "--port", Port(), "--grace", "0s"),
        ),
        cwd=ROOT,
        ready=HttpReady(path="/v2/health/ready"),
    )


def _theirs(artifact: Path, name: str, folder: Path) -> Spec:
    folder.mkdir(parents=True)
    shutil.copy(PEER, folder)
    model = {
        "name": name,
        "implementation": "mlserver_onnx.OnnxModel",
        "parameters": {"uri": str(artifact / "model.onnx")},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    # No worker processes: for a model this small, handing requests over costs more than it gains.
    settings = {"parallel_workers": 0, "host": "127.0.0.1", "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    return Spec(
        name="mlserver",
        argv=(str(ENVIRONMENT / "bin" / "mlserver"), "start", str(folder)),
        env={
            "MLSERVER_HTTP_PORT": Port(),
            "MLSERVER_GRPC_PORT": Port("grpc"),
            "MLSERVER_METRICS_PORT": Port("metrics"),
            "PYTHONPATH": str(folder),
        },
        cwd=folder,
        ports=("port", "grpc", "metrics"),
        ready=HttpReady(path=f"/v2/models/{name}/ready"),
    )


def _body(document: Artifact, rows: int) -> bytes:
    return json.dumps({"inputs": [_input(tensor, rows) for tensor in document.inputs]}).encode()


def _input(tensor: Tensor, rows: int) -> dict[str, Any]:
    """Plausible values: a category seen in training, a number inside the range seen."""
    value: str | float = (tensor.categories or ("",))[-1]
    if tensor.datatype != "BYTES":
        value = ((tensor.minimum or 0.0) + (tensor.maximum or 20.0)) / 2
    shape = [rows, *tensor.shape[1:]]
    return {
        "name": tensor.name,
        "shape": shape,
        "datatype": tensor.datatype,
        "data": [value] * rows * math.prod(tensor.shape[1:]),
    }


def _same_answers(document: Artifact, servers: dict[str, Running]) -> None:
    """What is compared must be the same work."""
    answers = {}
    for server, running in servers.items():
        url = f"{running.url}/v2/models/{document.name}/infer"
        answer = httpx.post(url, content=_body(document, 3), trust_env=False).raise_for_status()
        answers[server] = {own["name"]: own["data"] for own in answer.json()["outputs"]}
    if answers["ours"] != answers["theirs"]:
        raise SystemExit(f"the servers answer differently: {answers}")


def _asking(protocol: str, document: Artifact, rows: int, connections: int) -> Ask:
    if protocol == "REST":
        path, body = f"/v2/models/{document.name}/infer", _body(document, rows)
        return lambda running, seconds: _load(running.port, path, body, connections, seconds)
    call = calls.call_of(document, rows)

    def ask(running: Running, seconds: float) -> load.Result:
        port = running.ports.get("grpc", running.port)
        return calls.run(port, call, connections=connections, seconds=seconds)

    return ask


def _measure(servers: dict[str, Running], ask: Ask, seconds: float) -> dict[str, Any]:
    results: dict[str, Any] = {}
    cpu = {}
    for server, running in servers.items():
        ask(running, min(1.0, seconds))
        before = _cpu_seconds(running.pid)
        result = results[server] = ask(running, seconds)
        used = _cpu_seconds(running.pid) - before
        cpu[server] = 1e6 * used / (result.per_second * seconds)
        if result.failed:
            raise SystemExit(f"{server}: {result.failed} requests failed")
    return {"cpu": cpu, **results}


def _load(port: int, path: str, body: bytes, connections: int, seconds: float) -> load.Result:
    by_wrk = load.wrk(port, path, body, connections=connections, seconds=seconds)
    request = load.post(path, body)
    return by_wrk or load.run(port, request, connections=connections, seconds=seconds)


def _cpu_seconds(pid: int) -> float:
    """The processor time of a process and its children so far."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


COLUMNS = (
    "model",
    "protocol",
    "rows",
    "connections",
    "server",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "ratio",
)


def _cells(line: Line) -> list[tuple[str, ...]]:
    cells: list[tuple[str, ...]] = []
    servers = (
        ("Millwright", line.ours, line.cpu["ours"], f"{line.ratio:.1f}x"),
        ("MLServer", line.theirs, line.cpu["theirs"], ""),
    )
    for server, result, cpu, ratio in servers:
        latencies = (f"{result.p50:.2f}", f"{result.p99:.2f}")
        numbers = (f"{result.per_second:,.0f}", *latencies, f"{cpu:.0f}")
        case = (line.model, line.protocol, str(line.rows), str(line.connections))
        cells.append((*case, server, *numbers, ratio))
    return cells


def _table(lines: list[Line]) -> Table:
    table = Table(*COLUMNS, title="Inference, one server process each")
    for line in lines:
        for cells in _cells(line):
            table.add_row(*cells)
        table.add_section()
    return table


def _section(lines: list[Line]) -> str:
    """The section of docs/benchmarks.md."""
    loader = "wrk" if shutil.which("wrk") else "benchmarks/load.py"
    rows = [COLUMNS, ("---:",) * len(COLUMNS), *(cells for line in lines for cells in _cells(line))]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    pins = [line for line in PINS.read_text().splitlines() if "==" in line]
    return (
        "## Inference\n\n"
        f"`python -m benchmarks.inference`, {date.today().isoformat()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; the peer: {', '.join(pins)}. "
        f"The same ONNX model, JSON tensors, one server process each, closed loop by {loader} "
        "(gRPC: benchmarks/calls.py, bytes for tensors) on "
        "the same machine; equal answers are checked first. CPU is the server's own for a request, "
        "which other work on the machine hardly changes.\n\n"
        f"{table}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
