"""Several processes that serve one version: from outside they are one server."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest

from pocket.supervisor import free_port
from tests.integration.serving.conftest import NAME, eventually
from tests.integration.serving.test_runtime_process import body, server
from tests.unit.runtime.grpc_client import inference

Artifacts = dict[str, Path]
PATH = f"/v2/models/{NAME}"


class Connection:
    """One that is kept, as a proxy's is."""

    def __init__(self, url: str) -> None:
        port = int(url.rsplit(":", 1)[1])
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.connect()
        self._connection.auto_open = 0
        self.get("/v2/health/live")  # it is a worker's now

    def get(self, path: str) -> bytes:
        return self._ask("GET", path)

    def infer(self, identity: str, rows: int = 1) -> Any:
        headers = {"x-request-id": identity}
        return json.loads(self._ask("POST", f"{PATH}/infer", body(rows), headers))

    def feedback(self, identity: str, *outcome: int | None) -> Any:
        given = json.dumps({"id": identity, "outcome": outcome}).encode()
        return json.loads(self._ask("POST", f"{PATH}/feedback", given))

    def _ask(self, method: str, path: str, content: bytes = b"", headers: Any = None) -> bytes:
        self._connection.request(method, path, content, headers or {})
        answer = self._connection.getresponse()
        said: bytes = answer.read()
        assert answer.status == 200, said
        return said

    def close(self) -> None:
        self._connection.close()

    @property
    def port(self) -> int:
        """The client's side of it."""
        port: int = self._connection.sock.getsockname()[1]
        return port


def workers_of(process: Any) -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process(process.pid).children()
    return children


def peers_of(worker: psutil.Process) -> list[int]:
    """The clients' ports of a worker's connections."""
    return [each.raddr.port for each in worker.net_connections("tcp") if each.raddr]


def connections_of(worker: psutil.Process) -> int:
    return len(peers_of(worker))


def counted(text: bytes) -> dict[str, float]:
    """Every counter of a page of metrics."""
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def requests(numbers: dict[str, float]) -> float:
    return sum(
        value for name, value in numbers.items() if name.startswith("millwright_requests_total")
    )


@contextmanager
def asking(url: str, clients: int) -> Iterator[list[list[str]]]:
    """Clients that ask until the end; of each what was answered, and the failures in a last list.
    Each has one connection, and another when that breaks."""
    told = threading.Event()
    seen: list[list[str]] = [[] for _ in range(clients + 1)]

    def ask(client: int) -> None:
        number = 0
        with httpx.Client(trust_env=False, timeout=30) as kept:
            while not told.is_set():
                number += 1
                headers = {"x-request-id": f"{client}-{number}"}
                try:
                    answer = kept.post(f"{url}{PATH}/infer", content=body(1), headers=headers)
                    assert answer.status_code == 200
                    seen[client].append(answer.json()["id"])
                except (httpx.HTTPError, AssertionError) as error:
                    seen[-1].append(repr(error))

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        told.set()
        for thread in threads:
            thread.join()


def test_counts_are_exact_and_never_go_back_though_a_worker_is_killed(
    artifacts: Artifacts,
) -> None:
    with server(str(artifacts["v1"]), "--workers", "3") as (process, url):
        first = workers_of(process)
        assert len(first) == 3
        pages: list[dict[str, float]] = []
        with asking(url, clients=6) as seen:

            def answered() -> int:
                return sum(map(len, seen[:-1]))

            def answers_reach(number: int) -> bool:
                pages.append(counted(httpx.get(f"{url}/metrics", trust_env=False).content))
                return answered() > number

            eventually(lambda: answers_reach(300))
            first[1].kill()
            before = answered()
            eventually(lambda: answers_reach(before + 300))
        assert answers_reach(before + 300)
        lost = len(seen[-1])
        assert lost <= 3, "the connections of one worker in three"
        # What it had counted when it was killed, and not answered yet, counts.
        assert answered() <= requests(pages[-1]) <= answered() + lost
        assert pages[-1][next(n for n in pages[-1] if "seconds_count" in n)] == requests(pages[-1])
        for earlier, later in itertools.pairwise(pages):
            for name, value in earlier.items():
                assert later[name] >= value, name
        assert len({page["process_start_time_seconds"] for page in pages}) == 1
        for _ in range(6):  # whichever is asked
            again = counted(httpx.get(f"{url}/metrics", trust_env=False).content)
            assert again == pages[-1]
        now = {worker.pid for worker in workers_of(process)}
        assert now - {worker.pid for worker in first}
        assert len(now) == 3
        process.kill()
        log = process.stderr.read() if process.stderr else ""
    (line,) = [line for line in log.splitlines() if "worker ended" in line]
    assert "a worker ended by SIGKILL" in line
    assert "another takes its place" in line


def test_few_connections_are_shared_out_evenly(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"]), "--workers", "2") as (process, url):
        workers = workers_of(process)
        eventually(lambda: sum(map(connections_of, workers)) == 0)
        for kept in range(1, 7):
            connections = [Connection(url) for _ in range(kept)]
            shares = sorted(map(connections_of, workers))
            assert shares == [kept // 2, -(-kept // 2)]
            for connection in connections:
                connection.close()
            eventually(lambda: sum(map(connections_of, workers)) == 0)


def test_feedback_finds_what_another_worker_predicted_even_one_that_died(
    artifacts: Artifacts,
) -> None:
    with server(str(artifacts["v1"]), "--workers", "2", "--predictor", "v1") as (process, url):
        one, other = Connection(url), Connection(url)
        (label,) = [
            output["data"]
            for output in one.infer("a", rows=3)["outputs"]
            if output["name"] == "label"
        ]
        judged = other.feedback("a", label[0], 1 - label[1], None)
        assert (judged["right"], judged["wrong"], judged["repeated"]) == (1, 1, 0)
        again = one.feedback("a", label[0], label[1], label[2])
        assert (again["right"], again["repeated"]) == (1, 2)
        other.infer("b")
        (holder,) = [own for own in workers_of(process) if other.port in peers_of(own)]
        holder.kill()
        eventually(lambda: not holder.is_running() or holder.status() == "zombie")
        with suppress(OSError, http.client.HTTPException):
            other.infer("c")
            pytest.fail("its connection lives")
        assert one.feedback("b", 1)["repeated"] == 0
        numbers = counted(one.get("/metrics"))
        assert sum(n for name, n in numbers.items() if "feedback_total" in name) == 4
        with pytest.raises(AssertionError, match="knows no request"):
            one.feedback("nobody", 1)
        with pytest.raises(AssertionError, match="2 outcomes for a request of 1 rows"):
            one.feedback("b", 1, 1)


def test_grpc_is_spoken_by_all_and_counted_with_the_rest(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"]), "--workers", "2") as (process, url), ExitStack() as stack:
        where, own = url.removeprefix("http://"), [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            stack.enter_context(grpc.insecure_channel(where, options=own)) for _ in range(2)
        ]
        for number, channel in enumerate(channels):
            ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            answer = ask(inference(id=f"g{number}"), timeout=30, wait_for_ready=True)
            assert f"g{number}".encode() in answer
        assert [connections_of(worker) for worker in workers_of(process)] == [1, 1]
        rest = Connection(url)
        assert requests(counted(rest.get("/metrics"))) == 2
        for number in range(2):
            judged = rest.feedback(f"g{number}", 1)
            assert judged["right"] + judged["wrong"] == 1


@pytest.mark.parametrize("group", [False, True], ids=["the parent", "all of its group"])
def test_sigterm_ends_all_and_loses_nothing(artifacts: Artifacts, group: bool) -> None:
    with server(str(artifacts["v1"]), "--workers", "2", "--grace", "1500ms") as (process, url):
        workers = workers_of(process)
        with asking(url, clients=4) as seen:
            eventually(lambda: sum(map(len, seen)) > 100)
            for pid in (process.pid, *(worker.pid for worker in workers if group)):
                os.kill(pid, signal.SIGTERM)
            ready = f"{url}/v2/health/ready"
            eventually(lambda: httpx.get(ready, trust_env=False).status_code == 503)
            unready = sum(map(len, seen[:-1]))
            eventually(lambda: sum(map(len, seen[:-1])) > unready + 20)
        assert seen[-1] == []
        assert process.wait(10) == 0
        assert not [worker for worker in workers if worker.is_running()]


def test_workers_do_not_outlive_their_parent(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"]), "--workers", "2") as (process, url):
        workers = workers_of(process)
        connection = Connection(url)
        process.kill()
        eventually(lambda: not [worker for worker in workers if worker.is_running()])
        connection.close()
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)


def test_answers_are_those_of_one_process(artifacts: Artifacts) -> None:
    def answers(*options: str) -> list[Any]:
        with server(str(artifacts["v1"]), *options) as (_, url):
            connections = [Connection(url) for _ in range(4)]
            return [
                connection.infer(f"r{rows}", rows=rows)
                for rows in (1, 2, 50)
                for connection in connections
            ]

    alone = answers()
    assert answers("--workers", "2") == alone
    assert answers("--workers", "2", "--threads", "2") == alone
    batched = answers("--workers", "2", "--batch-rows", "8", "--batch-wait", "1ms")
    assert batched == alone  # each was alone in its batch


def test_a_model_that_cannot_be_loaded_ends_all_with_its_sentence(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(artifacts["v1"], folder)
    (folder / "model.onnx").write_bytes(b"no model")
    document = json.loads((folder / "artifact.json").read_text())
    document["digest"] = hashlib.sha256(b"no model").hexdigest()
    (folder / "artifact.json").write_text(json.dumps(document))
    for threads in ("1", "2"):
        command = [sys.executable, "-m", "serving.runtime", "--artifact", str(folder)]
        options = ["--port", str(free_port()), "--workers", "2", "--threads", threads]
        ended = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 1
        assert re.search("cannot serve: .*ONNX Runtime cannot load the model", ended.stderr)


def test_a_port_that_is_taken_is_said(artifacts: Artifacts) -> None:
    with server(str(artifacts["v1"])) as (_, url):
        command = [sys.executable, "-m", "serving.runtime", "--artifact", str(artifacts["v1"])]
        options = ["--port", url.rsplit(":", 1)[1], "--workers", "2"]
        ended = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 1
    assert "cannot serve: 127.0.0.1" in ended.stderr
