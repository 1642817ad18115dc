"""gRPC of a model server's process: its ports, its workers, and its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from pocket.supervisor import free_port
from serving import protocol
from serving.metrics import REQUESTS
from serving.runtime.grpc.schema import INFERENCE, message
from tests.integration.serving.conftest import NAME, eventually
from tests.integration.serving.test_runtime_process import server

Artifacts = dict[str, Path]


def method(channel: grpc.Channel, name: str = "ModelInfer") -> Any:
    taken, given = (message(INFERENCE, own) for own in INFERENCE.methods[name])
    path = f"/{protocol.CALLS}/{name}"
    return channel.unary_unary(path, taken.SerializeToString, given.FromString)


def inference() -> Any:
    contents = {"fp32_contents": [17.0]}
    hour = {"name": "hour", "datatype": "FP32", "shape": [1, 1], "contents": contents}
    return message(INFERENCE, "ModelInferRequest")(model_name=NAME, inputs=[hour])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_both_ports_speak_both_protocols(artifacts: Artifacts, workers: str) -> None:
    also = free_port()
    options = ("--also-port", str(also), "--workers", workers)
    with server(str(artifacts["v1"]), *options) as (_, url):
        ports = (int(url.rpartition(":")[2]), also)
        for port in ports:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                assert method(channel)(inference(), timeout=20).model_version == "1"
            live = httpx.get(f"http://127.0.0.1:{port}/v2/health/live", trust_env=False)
            assert live.status_code == 200
        text = httpx.get(f"{url}/metrics", trust_env=False).text
        (line,) = [own for own in text.splitlines() if own.startswith(f"{REQUESTS}{{")]
        assert line.endswith(" 2")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_named(artifacts: Artifacts, workers: str) -> None:
    command = [sys.executable, "-m", "serving.runtime", "--artifact", str(artifacts["v1"])]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        also = str(taken.getsockname()[1])
        ports = ("--port", str(free_port()), "--also-port", also, "--workers", workers)
        ended = subprocess.run([*command, *ports], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert f"cannot serve: 127.0.0.1:{also}: " in ended.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_answers_every_call_that_arrives(artifacts: Artifacts, workers: str) -> None:
    """A client that goes on until it is told loses nothing: what it had begun is answered, and what
    comes after the last that was looked at may be sent again, which gRPC's client does by itself.
    """
    answered: list[str] = []
    lost: list[str] = []
    told = threading.Event()

    def ask(port: str) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            infer, asked = method(channel), inference()
            while not told.is_set():
                try:
                    answered.append(infer(asked, timeout=20).model_version)
                except grpc.RpcError as error:
                    lost.append(f"{error.code()}: {error.details()}")

    options = ("--grace", "3s", "--workers", workers)
    with server(str(artifacts["v1"]), *options) as (process, url):
        port = url.rpartition(":")[2]
        threads = [threading.Thread(target=ask, args=(port,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answered) > 50)
        process.send_signal(signal.SIGTERM)
        before = len(answered)
        eventually(lambda: len(answered) > before + 50)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ready = method(channel, "ServerReady")
            nothing = message(INFERENCE, "ServerReadyRequest")()
            eventually(lambda: not ready(nothing, timeout=5).ready)
        told.set()
        for thread in threads:
            thread.join()
        assert process.wait(timeout=30) == 0
    assert lost == []
