"""The model server as a process: its start, its end, and what it does under too much work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from pocket.supervisor import free_port
from serving.client import Client
from tests.integration.serving.conftest import NAME, ROW, eventually

Artifacts = dict[str, Path]


@contextmanager
def server(artifact: str, *options: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server of one model, and its URL."""
    with running("--artifact", artifact, "--name", NAME, *options, **env) as started:
        yield started


@contextmanager
def running(*options: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running model server and its URL."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.runtime", "--port", str(port), *options],
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            return (
                httpx.get(f"{url}/v2/health/ready", trust_env=False, verify=False).status_code
                == 200
            )
        except httpx.HTTPError:
            return False

    try:
        eventually(ready)
        yield process, url
    finally:
        process.kill()
        process.communicate()


def body(rows: int) -> bytes:
    shape = [rows, 1]
    inputs = [{"name": "hour", "shape": shape, "datatype": "FP32", "data": [17.0] * rows}]
    return json.dumps({"inputs": inputs}).encode()


def test_sigterm_answers_everything_that_arrives(artifacts: Artifacts) -> None:
    answered: list[int] = []
    lost: list[str] = []
    told = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(trust_env=False, verify=False) as client:
            # Whoever routes needs a moment to act on the lost readiness.
            while not told.is_set():
                try:
                    answer = client.post(f"{url}/v2/models/{NAME}/infer", content=body(1))
                    assert answer.status_code == 200
                    answered.append(answer.status_code)
                except (httpx.HTTPError, AssertionError) as error:
                    lost.append(repr(error))

    with server(str(artifacts["v1"]), "--grace", "1500ms") as (process, url):
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answered) > 50)
        process.send_signal(signal.SIGTERM)
        health = f"{url}/v2/health/ready"
        eventually(lambda: httpx.get(health, trust_env=False, verify=False).status_code == 503)
        unready = len(answered)
        eventually(lambda: len(answered) > unready + 20)
        told.set()
        for thread in threads:
            thread.join()
        assert process.wait(10) == 0
    assert lost == []


def test_sigterm_does_not_wait_for_half_a_request(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"]), "--grace", "100ms") as (process, url):
        with connected(url) as client:
            client.sendall(
                f"POST /v2/models/{NAME}/infer HTTP/1.1\r\nhost: x\r\n"
                "content-length: 99\r\nexpect: 100-continue\r\n\r\n".encode()
            )
            assert client.recv(2**16).startswith(b"HTTP/1.1 100 ")
            process.send_signal(signal.SIGTERM)

            def closed() -> bool:
                try:
                    connected(url).close()
                except ConnectionError:
                    return True
                return False

            eventually(closed)
        assert process.wait(10) == 0


def test_an_answer_is_one_write(artifacts: Artifacts) -> None:
    start = (
        f"POST /v2/models/{NAME}/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body(1))}\r\n"
    ).encode()
    with server(str(artifacts["v1"])) as (_, url), connected(url) as client:
        for _ in range(50):
            client.sendall(start + b"\r\n" + body(1))
            assert client.recv(2**16).endswith(b"}}"), "the head came without its body"
        # What has no body is not waited for.
        client.sendall(b"HEAD /v2 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(2**16).startswith(b"HTTP/1.1 200 OK\r\n")
        client.sendall(start + b"expect: 100-continue\r\n\r\n")
        assert client.recv(2**16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body(1))
        assert client.recv(2**16).endswith(b"}}")
        client.sendall(b"no HTTP at all\r\n\r\n")
        assert client.recv(2**16).endswith(b'{"error":"this is not a request in HTTP/1.1"}')
        assert client.recv(2**16) == b""


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.2, h2c"])
@pytest.mark.parametrize("cut", [1, 0])
def test_an_offer_of_another_protocol_loses_no_body(
    artifacts: Artifacts, offer: str, cut: int
) -> None:
    head = (
        f"POST /v2/models/{NAME}/infer HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, "
        f"HTTP2-Settings\r\nupgrade: {offer}\r\nhttp2-settings: AAMAAABk\r\n"
    ).encode()
    plain = head + f"content-length: {len(body(1))}\r\n\r\n".encode() + body(1)
    parts = [body(1)[:20], body(1)[20:]]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))
    chunked = head + b"transfer-encoding: chunked\r\n\r\n" + chunks
    with server(str(artifacts["v1"])) as (_, url), connected(url) as client:
        for request in (plain, chunked, plain):  # on one connection
            middle = len(head) - 5 if cut else len(request) - 5
            client.sendall(request[:middle])
            client.sendall(request[middle:])
            assert b'"outputs"' in client.recv(2**16)


START = b"POST /v2/repository/index HTTP/1.1\r\nhost: x\r\n"
LONG = b"x" * 70_000
HEADS = {
    "one header": (START + b"a: " + LONG, 431),
    "a whole head": (START + b"a: " + LONG + b"\r\n\r\n", 431),
    "many headers": (START + b"a: b\r\n" * 12_000, 431),
    "a header's name": (START + LONG, 431),
    "a target": (b"GET /" + LONG, 414),
    "a whole target": (b"GET /" + LONG + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
    "empty lines": (b"\r\n" * 40_000, 431),
    "trailers": (START + b"transfer-encoding: chunked\r\n\r\n0\r\na: " + 6 * LONG, 431),
    "a chunk's extension": (START + b"transfer-encoding: chunked\r\n\r\n1;" + 6 * LONG, 431),
}


def test_a_head_without_an_end_is_refused(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"])) as (_, url):
        answered = set()
        for step in (1_000_000, 1000):
            for case, (head, status) in HEADS.items():
                # Who still sends when the server closes may find a reset in place of the answer;
                # who is not refused waits in vain.
                with connected(url) as client, suppress(ConnectionError):
                    for start in range(0, len(head), step):
                        client.sendall(head[start : start + step])
                    answer = client.recv(2**16)
                    assert answer.startswith(b"HTTP/1.1 %d " % status), (case, step, answer)
                    assert b"65536 bytes" in answer
                    answered.add(status)
                    assert client.recv(2**16) == b""
        assert answered == {414, 431}
        # As much again, in requests of which each is small enough.
        small = START + b"a: " + LONG[:60_000] + b"\r\ncontent-length: 40000\r\n\r\n"
        with connected(url) as client:
            for _ in range(3):
                client.sendall(small + b" " * 40_000)
                assert client.recv(2**16).startswith(b"HTTP/1.1 ")
            client.sendall(START + b"a: " + LONG[:40_000] + b"\r\n\r\n" + START)
            assert b"HTTP/1.1 200 " in client.recv(2**16)


def test_an_offer_in_an_older_protocol_is_passed_over(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"])) as (_, url), connected(url) as client:
        client.sendall(
            b"GET /v2 HTTP/1.0\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
        )
        assert client.recv(2**16).startswith(b"HTTP/1.1 200 ")
        assert client.recv(2**16) == b""


def connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10)


def test_health_is_answered_while_a_large_request_is(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"])) as (_, url):
        answers = []
        large = body(200_000)

        def ask() -> None:
            infer = f"{url}/v2/models/{NAME}/infer"
            answers.append(
                httpx.post(infer, content=large, timeout=60, trust_env=False, verify=False)
            )

        thread = threading.Thread(target=ask)
        thread.start()
        healthy = 0
        with httpx.Client(trust_env=False, verify=False) as client:
            while thread.is_alive():
                assert client.get(f"{url}/v2/health/live").status_code == 200
                healthy += 1
        thread.join()
        assert answers[0].status_code == 200
        assert answers[0].json()["outputs"][0]["shape"] == [200_000]
        assert healthy > 5


def test_too_much_work_is_refused_with_a_time_to_come_back(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"]), "--max-active", "1") as (_, url):
        infer = f"{url}/v2/models/{NAME}/infer"
        large = threading.Thread(
            target=httpx.post,
            args=(infer,),
            kwargs={"content": body(400_000), "timeout": 60, "verify": False},
        )
        large.start()

        def answer() -> httpx.Response | None:
            found = httpx.post(infer, content=body(1), trust_env=False, verify=False)
            return found if found.status_code == 503 else None

        assert eventually(answer).headers["retry-after"] == "1"
        large.join()
        eventually(
            lambda: httpx.post(infer, content=body(1), trust_env=False, verify=False).is_success
        )


def test_half_sent_requests_keep_nobody_out(artifacts: Artifacts) -> None:
    half = (
        f"POST /v2/models/{NAME}/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{"
    ).encode()
    with server(str(artifacts["v1"]), "--max-active", "1") as (_, url), ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(url)).sendall(half)
        infer = f"{url}/v2/models/{NAME}/infer"
        assert httpx.post(infer, content=body(1), trust_env=False, verify=False).is_success


def test_a_body_beyond_the_limit_is_read_and_refused(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"]), "--max-body", "1000000") as (_, url):
        infer = f"{url}/v2/models/{NAME}/infer"
        answer = httpx.post(infer, content=b" " * 3_000_000, trust_env=False, verify=False)
        assert answer.status_code == 413
        assert "1000000 bytes" in answer.json()["error"]


def test_slow_answers_are_counted_at_the_limit(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"]), "--slow-over", "3ms", "--predictor", "v1") as (_, url):
        with Client(url, NAME, namespace=None) as client:
            client.infer([ROW] * 60_000)
        metrics = httpx.get(f"{url}/metrics", trust_env=False, verify=False).text
        counts = {
            line.split("} ")[0]: line.split("} ")[1]
            for line in metrics.splitlines()
            if "} " in line
        }
        series = f'model="{NAME}",version="1",predictor="v1"'
        assert counts[f'millwright_request_seconds_bucket{{{series},le="0.003"'] == "0"
        assert counts[f"millwright_request_seconds_count{{{series}"] == "1"


def test_an_artifact_in_s3_is_served(artifacts: Artifacts) -> None:
    cloud = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    cloud.start()
    try:
        host, port = cloud.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        s3.create_bucket(Bucket="artifacts")
        for path in artifacts["v2"].iterdir():
            s3.upload_file(str(path), "artifacts", f"flight-delay/2/{path.name}")
        uri = "s3://artifacts/flight-delay/2"
        with (
            server(uri, AWS_ENDPOINT_URL=endpoint) as (_, url),
            Client(url, NAME, namespace=None) as client,
        ):
            assert client.infer([ROW]).version == "2"
    finally:
        cloud.stop()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"no model"), "digest"),
        (lambda folder: (folder / "artifact.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "artifact.json").unlink(), "cannot be read"),
    ],
)
def test_what_is_no_artifact_is_not_served(spoil, sentence, artifacts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    for path in artifacts["v1"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spoil(tmp_path)
    command = [sys.executable, "-m", "serving.runtime", "--artifact", str(tmp_path), "--port", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("cannot serve: ")
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
