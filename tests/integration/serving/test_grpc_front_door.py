"""gRPC through a real Envoy: chosen by metadata, shared out by weight, failures counted once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from laptop.serving import LocalServing
from laptop.supervisor import Supervisor
from serving import protocol
from serving.client import Client
from serving.runtime.grpc.schema import INFERENCE, message
from tests.integration.serving.conftest import NAME, ROW, document, eventually
from tests.serving_model import make_artifact

CHOSEN = (("seldon", NAME), ("namespace", "default"))
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Caller:
    """A channel to the front door."""

    def __init__(self, url: str) -> None:
        self.channel = grpc.insecure_channel(url.split("/")[2])

    def ask(
        self, name: str = "ModelInfer", /, *, metadata: Any = CHOSEN, **fields: Any
    ) -> tuple[Any, dict[str, str]]:
        taken, given = (message(INFERENCE, own) for own in INFERENCE.methods[name])
        method = self.channel.unary_unary(
            f"/{protocol.CALLS}/{name}", taken.SerializeToString, given.FromString
        )
        if name == "ModelInfer":
            contents = {"fp32_contents": [17.0]}
            hour = {"name": "hour", "datatype": "FP32", "shape": [1, 1], "contents": contents}
            fields = {"model_name": NAME, "inputs": [hour], **fields}
        answer, call = method.with_call(taken(**fields), timeout=30, metadata=metadata)
        return answer, dict(call.initial_metadata())

    def refused(self, *args: Any, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.ask(*args, **fields)
        return caught.value.code(), caught.value.details()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[LocalServing, Supervisor]]:
    supervisor = Supervisor(tmp_path)
    yield LocalServing(tmp_path, supervisor), supervisor
    supervisor.stop_all()


def base(url: str) -> str:
    return "/".join(url.split("/")[:3])


Place = tuple[LocalServing, Supervisor]


def counted(serving: LocalServing, name: str) -> Callable[[], tuple[int, int]]:
    """Requests and errors of a predictor, as the judge gets them."""

    def read() -> tuple[int, int]:
        gateway = serving.counters(NAME)[name].gateway
        return gateway["requests"], gateway["errors"]

    return read


def test_calls_are_shared_out_as_requests_are(place: Place, artifacts: dict[str, Path]) -> None:
    serving, _ = place
    serving.apply(document(artifacts, v1=8_000, v2=2_000))
    url = base(serving.settle(NAME).url)
    caller = Caller(url)
    versions = Counter(caller.ask()[0].model_version for _ in range(200))
    assert versions["2"] in range(10, 80)
    assert versions["1"] + versions["2"] == 200
    with Client(url, NAME) as client:
        for _ in range(20):
            client.infer([ROW])
    both = [serving.counters(NAME)[name] for name in ("v1", "v2")]
    assert sum(own.gateway["requests"] for own in both) == 220
    assert sum(own.count("received") or 0 for own in both) == 220
    assert [own.gateway["errors"] for own in both] == [0, 0]

    for name, version in (("v1", "1"), ("v2", "2")):
        addressed = (*CHOSEN, (protocol.PREDICTOR_HEADER, name))
        answer, told = caller.ask(metadata=addressed)
        assert (answer.model_version, told[protocol.PREDICTOR_HEADER]) == (version, name)
        assert caller.ask("ModelReady", metadata=addressed, name=NAME)[0].ready
    code, sentence = caller.refused(metadata=(*CHOSEN, (protocol.PREDICTOR_HEADER, "v9")))
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert "has no such predictor" in sentence
    both = [serving.counters(NAME)[name] for name in ("v1", "v2")]
    assert sum(own.gateway["requests"] for own in both) == 220, "what is addressed is no evidence"

    for metadata in ((), CHOSEN[:1], (("seldon", "other"), CHOSEN[1])):
        code, sentence = caller.refused(metadata=metadata)
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert "no deployment has the metadata seldon and namespace" in sentence


def test_the_same_id_reaches_the_server_that_answered(
    place: Place, artifacts: dict[str, Path]
) -> None:
    serving, _ = place
    serving.apply(document(artifacts, replicas=2, v1=10_000, v2=0))
    caller = Caller(serving.settle(NAME).url)
    for _ in range(6):
        answer, told = caller.ask()
        assert told["x-request-id"] == answer.id
        named = {name: told[name] for name in ("x-request-id", protocol.PREDICTOR_HEADER)}
        url = f"{serving.observe(NAME).url}{protocol.FEEDBACK.of(NAME)}"
        judged = httpx.post(
            url, json={"id": answer.id, "outcome": [1]}, headers=named, trust_env=False
        )
        assert judged.status_code == 200, judged.text


def test_failures_of_calls_are_failures_and_counted_once(place: Place, tmp_path: Path) -> None:
    serving, supervisor = place
    good = make_artifact(tmp_path / "good", version="1")
    bad = make_artifact(tmp_path / "bad", version="2", fails=True)
    serving.apply(document({"v1": good, "v2": bad}, v1=0, v2=10_000))
    caller = Caller(serving.settle(NAME).url)
    read = counted(serving, "v2")

    code, sentence = caller.refused()
    assert code == grpc.StatusCode.INTERNAL
    assert "the model failed" in sentence
    assert eventually(lambda: read() == (1, 1)), read()
    servers = serving.counters(NAME)["v2"].replicas[0].counts
    assert servers["requests"] == servers["errors"] == 1

    code, _ = caller.refused(inputs=[])
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert eventually(lambda: read() == (2, 1)), "a caller's mistake is no failure"

    (server,) = [own for own in supervisor.status() if ".v2." in own.name]
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    code, _ = caller.refused()
    assert code == UNAVAILABLE
    assert eventually(lambda: read() == (3, 2)), "what Envoy answers for a server counts once"


def test_no_call_is_lost_while_versions_come_and_go(
    place: Place, artifacts: dict[str, Path]
) -> None:
    serving, _ = place
    serving.apply(document({"v1": artifacts["v1"]}, v1=10_000))
    caller = Caller(serving.settle(NAME).url)
    failures: list[str] = []
    versions: Counter[str] = Counter()

    def call(times: int) -> None:
        for _ in range(times):
            try:
                versions[caller.ask()[0].model_version] += 1
            except grpc.RpcError as error:
                failures.append(error.details())

    for weights in ({"v1": 5_000, "v2": 5_000}, {"v1": 0, "v2": 10_000}):
        serving.apply(document(artifacts, **weights))
        while not serving.observe(NAME).settled:
            serving.tick()
            call(5)
    serving.apply(document({"v2": artifacts["v2"]}, v2=10_000))
    for _ in range(40):
        serving.tick()
        call(5)
    assert failures == []
    assert versions["1"]
    assert versions["2"]
