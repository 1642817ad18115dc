"""Every endpoint and field of gRPC's protocols, asked by Google's client over a socket."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
import uvloop
from google.protobuf import descriptor_pb2
from onnx import TensorProto, helper

from contracts.artifact import Datatype, Tensor
from contracts.signals import FAILED_CALLS
from serving import protocol
from serving.runtime.app import App
from serving.runtime.connections import Connections
from serving.runtime.grpc import health
from serving.runtime.grpc.schema import FILES, HEALTH, INFERENCE, REFLECTIONS, File, message
from serving.runtime.grpc.services import Services
from serving.runtime.grpc.status import status_of
from serving.runtime.limits import Limits
from serving.runtime.model import Model
from serving.runtime.refusal import Refusal
from serving.runtime.repository import Repository
from serving.runtime.served import Served
from serving.runtime.server import opening
from serving.runtime.store import fetch
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import call
from tests.unit.runtime.test_repository import put

MODEL = "flight-delay"


class Running:
    """The server on a port of its own, and a channel to it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.services = Services(app)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connections = Connections(app)
        port = self.do(self._listen())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> int:
        make = partial(opening, self._connections, self.services)
        self._server = await self._loop.create_server(make, "127.0.0.1", 0)
        sockets: Any = getattr(self._server, "sockets", ())
        port: int = sockets[0].getsockname()[1]
        return port

    async def drain(self) -> None:
        self.app.draining = True
        self.services.health.changed()

    async def end(self) -> None:
        self._server.close()
        self._connections.end()

    def ask(
        self, name: str, file: File = INFERENCE, /, *, metadata: Any = (), **fields: Any
    ) -> Any:
        """A call's answer; its initial metadata in `last`."""
        taken, given = (message(file, own.rstrip("*")) for own in file.methods[name])
        method = self.channel.unary_unary(
            f"/{file.package}.{file.service}/{name}",
            request_serializer=taken.SerializeToString,
            response_deserializer=given.FromString,
        )
        answer, made = method.with_call(taken(**fields), timeout=20, metadata=metadata)
        self.last = dict(made.initial_metadata())
        return answer

    def stream(self, name: str, file: File, asked: list[Any], timeout: float = 20) -> Any:
        """The answers of a call that has several."""
        taken, given = (message(file, own.rstrip("*")) for own in file.methods[name])
        path = f"/{file.package}.{file.service}/{name}"
        forms = {
            "request_serializer": taken.SerializeToString,
            "response_deserializer": given.FromString,
        }
        if file.methods[name][0].endswith("*"):
            method = self.channel.stream_stream(path, **forms)
            return method(iter([taken(**own) for own in asked]), timeout=timeout)
        return self.channel.unary_stream(path, **forms)(taken(**asked[0]), timeout=timeout)

    def close(self) -> None:
        self.channel.close()
        self.do(self._aborted())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _aborted(self) -> None:
        self._server.close()
        self._connections.abort()
        await asyncio.sleep(0.05)


@pytest.fixture
def server(app: App) -> Iterator[Running]:
    running = Running(app)
    yield running
    running.close()


def row(**more: Any) -> dict[str, Any]:
    """An input of one row, typed."""
    contents = {"fp32_contents": [17.0]}
    return {"name": "hour", "datatype": "FP32", "shape": [1, 1], "contents": contents, **more}


def infer(server: Running, **fields: Any) -> Any:
    return server.ask("ModelInfer", **{"model_name": MODEL, "inputs": [row()], **fields})


def refused(ask: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask()
    return caught.value.code(), caught.value.details()


INVALID = grpc.StatusCode.INVALID_ARGUMENT


def metadata_of(server: Running) -> Any:
    return server.ask("ModelMetadata", name=MODEL)


def identity(folder: Path, datatype: Datatype) -> App:
    """A model that gives y of x, both of that datatype."""
    kind = {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BYTES": "STRING"}
    number = getattr(TensorProto, kind.get(datatype, datatype))
    ends = [helper.make_tensor_value_info(own, number, [None, 1]) for own in ("x", "y")]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opset = [helper.make_opsetid("", 18)]
    content: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=9)
    artifact = write_artifact(
        folder,
        content.SerializeToString(),
        task="regression",
        inputs=[Tensor(name="x", datatype=datatype, shape=(-1, 1))],
        outputs=[Tensor(name="y", datatype=datatype, shape=(-1, 1))],
    )
    return App(Served(Model(MODEL, *fetch(str(artifact)))))


CONTENTS: dict[str, dict[Datatype, list[Any]]] = {
    "bool_contents": {"BOOL": [True, False]},
    "int_contents": {"INT8": [-128, 127], "INT16": [-(2**15), 1], "INT32": [-(2**31), 7]},
    "int64_contents": {"INT64": [-(2**63), 2**63 - 1]},
    "uint_contents": {"UINT8": [0, 255], "UINT16": [1, 65535], "UINT32": [0, 2**32 - 1]},
    "uint64_contents": {"UINT64": [0, 2**64 - 1]},
    "fp32_contents": {"FP32": [0.5, -1.25]},
    "fp64_contents": {"FP64": [0.1, 1e300]},
}


def typed(folder: Path, field: str) -> None:
    """Typed contents and bytes, each answered in its own form."""
    for datatype, values in CONTENTS[field].items():
        running = Running(identity(folder / datatype, datatype))
        try:
            given = {"name": "x", "datatype": datatype, "shape": [2, 1]}
            answer = infer(running, inputs=[{**given, "contents": {field: values}}])
            (output,) = answer.outputs
            assert (output.datatype, list(getattr(output.contents, field))) == (datatype, values)
            assert len(output.contents.ListFields()) == 1
            raw = np.array(values, _numpy(datatype)).tobytes()
            answer = infer(running, inputs=[given], raw_input_contents=[raw])
            assert list(answer.raw_output_contents) == [raw]
            assert not answer.outputs[0].HasField("contents")
        finally:
            running.close()


def _numpy(datatype: str) -> str:
    kind, size = datatype.rstrip("0123456789"), int(datatype.lstrip("BOLUINTF P") or 8)
    return {"BOOL": "?", "INT": f"<i{size // 8}", "UINT": f"<u{size // 8}", "FP": f"<f{size // 8}"}[
        kind
    ]


def texts(server: Running) -> None:
    carrier = {"name": "carrier", "datatype": "BYTES", "shape": [1, 1]}
    answers = [
        infer(server, inputs=[row(), {**carrier, "contents": {"bytes_contents": [text]}}])
        for text in (b"B6", b"AA")
    ]
    first, second = (list(own.outputs[1].contents.fp32_contents) for own in answers)
    assert first != second
    bad = {**carrier, "contents": {"bytes_contents": [b"\xff"]}}
    assert refused(lambda: infer(server, inputs=[row(), bad])) == (
        INVALID,
        "input 'carrier': a text is not UTF-8",
    )


def outputs_alike(server: Running) -> None:
    """What gRPC answers is what REST does."""
    body = b'{"inputs":[{"name":"hour","shape":[1,1],"datatype":"FP32","data":[17.0]}]}'
    rest = call(server.app, "POST", f"/v2/models/{MODEL}/infer", body).json["outputs"]
    answer = infer(server)
    for ours, theirs in zip(answer.outputs, rest, strict=True):
        assert (ours.name, ours.datatype, list(ours.shape)) == (
            theirs["name"],
            theirs["datatype"],
            theirs["shape"],
        )
    probabilities = list(answer.outputs[1].contents.fp32_contents)
    assert probabilities == pytest.approx(rest[1]["data"], rel=1e-6)


def raws(server: Running) -> None:
    raw = np.array([17.0], "<f4").tobytes()
    given = row()
    given.pop("contents")
    answer = infer(server, inputs=[given], raw_input_contents=[raw])
    label, probabilities = answer.raw_output_contents
    assert np.frombuffer(label, "<i8").shape == (1,)
    plain = infer(server).outputs[1].contents.fp32_contents
    assert np.frombuffer(probabilities, "<f4").tolist() == pytest.approx(list(plain))
    for fields, what in (
        ({"raw_input_contents": [raw, raw], "inputs": [given]}, "2 raw_input_contents for 1"),
        ({"raw_input_contents": [raw]}, "contents beside raw_input_contents"),
        ({"raw_input_contents": [raw[:3]], "inputs": [given]}, "3 bytes for 1 elements"),
    ):
        code, sentence = refused(partial(infer, server, **fields))
        assert code == INVALID
        assert what in sentence


def refusing(fields: dict[str, Any], what: str, code: grpc.StatusCode = INVALID) -> Any:
    """A check: the call is refused with this sentence."""

    def check(server: Running) -> None:
        got, sentence = refused(partial(infer, server, **fields))
        assert (got, what in sentence) == (code, True), sentence

    return check


def metadata(check: Callable[[Any], bool]) -> Any:
    return lambda server: _true(check(metadata_of(server)))


def _true(value: object) -> None:
    assert value


def every(*checks: Callable[[Running], object]) -> Any:
    """All of these checks, in their order."""

    def check(server: Running) -> None:
        for own in checks:
            own(server)

    return check


def in_shared_memory(value: Any) -> Any:
    given = {**row(), "parameters": {"shared_memory_region": value}}
    return refusing({"inputs": [given]}, "shared memory is not spoken here")


def any_parameter(field: str, value: Any) -> Any:
    """A parameter of any kind is taken, and changes nothing."""

    def check(server: Running) -> None:
        parameter = {"parameters": {"sequence": {field: value}}}
        assert infer(server, inputs=[row(**parameter)], **parameter).outputs

    return check


def version_of(name: str) -> Any:
    def check(server: Running) -> None:
        assert server.ask(name, name=MODEL, version="7")
        code, sentence = refused(lambda: server.ask(name, name=MODEL, version="8"))
        assert (code, "version '8' is not served here" in sentence) == (_NOT_FOUND, True)

    return check


def name_of(name: str) -> Any:
    def check(server: Running) -> None:
        code, sentence = refused(lambda: server.ask(name, name="other"))
        assert (code, "there is no model 'other' here" in sentence) == (_NOT_FOUND, True)
        code, sentence = refused(lambda: server.ask(name))
        assert (code, sentence) == (INVALID, "no model is named; expected its name")

    return check


_NOT_FOUND = grpc.StatusCode.NOT_FOUND


def steering(name: str, **fields: Any) -> Any:
    def check(server: Running) -> None:
        code, sentence = refused(lambda: server.ask(name, **fields))
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert "a rollout's to decide" in sentence

    return check


def index(server: Running, **fields: Any) -> list[dict[str, str]]:
    names = ("name", "version", "state", "reason")
    answer = server.ask("RepositoryIndex", **fields)
    return [{name: getattr(own, name) for name in names} for own in answer.models]


def index_of_an_ending_server(server: Running) -> None:
    server.do(server.drain())
    assert [own["state"] for own in index(server)] == ["UNAVAILABLE"]
    assert index(server)[0]["reason"] == "the server is ending"
    assert index(server, ready=True) == []


def parameter(field: str, value: Any, name: str = "RepositoryModelLoad") -> Any:
    return steering(name, model_name=MODEL, parameters={"config": {field: value}})


LOAD, UNLOAD = "RepositoryModelLoad", "RepositoryModelUnload"
FIELDS: dict[str, Callable[[Running], None]] = {
    "ServerLiveResponse.live": lambda s: _true(s.ask("ServerLive").live),
    "ServerReadyResponse.ready": every(
        lambda s: _true(s.ask("ServerReady").ready),
        lambda s: s.do(s.drain()),
        lambda s: _true(not s.ask("ServerReady").ready),
    ),
    "ModelReadyRequest.name": name_of("ModelReady"),
    "ModelReadyRequest.version": version_of("ModelReady"),
    "ModelReadyResponse.ready": every(
        lambda s: _true(s.ask("ModelReady", name=MODEL).ready),
        lambda s: s.do(s.drain()),
        lambda s: _true(not s.ask("ModelReady", name=MODEL).ready),
    ),
    "ServerMetadataResponse.name": lambda s: _true(s.ask("ServerMetadata").name == "millwright"),
    "ServerMetadataResponse.version": lambda s: _true(s.ask("ServerMetadata").version),
    "ServerMetadataResponse.extensions": lambda s: _true(
        "binary_tensor_data" in s.ask("ServerMetadata").extensions
    ),
    "ModelMetadataRequest.name": name_of("ModelMetadata"),
    "ModelMetadataRequest.version": version_of("ModelMetadata"),
    "ModelMetadataResponse.name": metadata(lambda own: own.name == MODEL),
    "ModelMetadataResponse.versions": metadata(lambda own: own.versions == ["7"]),
    "ModelMetadataResponse.platform": metadata(lambda own: own.platform == "onnx_onnxv1"),
    "ModelMetadataResponse.inputs": metadata(
        lambda own: [tensor.name for tensor in own.inputs] == ["distance", "hour", "carrier"]
    ),
    "ModelMetadataResponse.outputs": metadata(
        lambda own: [tensor.name for tensor in own.outputs] == ["label", "probabilities"]
    ),
    "ModelMetadataResponse.properties": metadata(lambda own: not own.properties),
    "ModelMetadataResponse.TensorMetadata.name": metadata(lambda own: own.inputs[1].name == "hour"),
    "ModelMetadataResponse.TensorMetadata.datatype": metadata(
        lambda own: [tensor.datatype for tensor in own.inputs] == ["FP32", "FP32", "BYTES"]
    ),
    "ModelMetadataResponse.TensorMetadata.shape": metadata(
        lambda own: [list(tensor.shape) for tensor in own.outputs] == [[-1], [-1, 2]]
    ),
    "InferParameter.bool_param": any_parameter("bool_param", True),
    "InferParameter.int64_param": any_parameter("int64_param", -1),
    "InferParameter.string_param": in_shared_memory({"string_param": "region"}),
    "InferParameter.double_param": any_parameter("double_param", 0.5),
    "InferParameter.uint64_param": any_parameter("uint64_param", 2**64 - 1),
    "InferTensorContents.bytes_contents": texts,
    "ModelInferRequest.model_name": refusing(
        {"model_name": "other"}, "there is no model 'other' here", _NOT_FOUND
    ),
    "ModelInferRequest.model_version": every(
        lambda s: _true(infer(s, model_version="7").model_version == "7"),
        lambda s: _true(s.app.served.counters.addressed == 0),
        refusing({"model_version": "8"}, "version '8' is not served here", _NOT_FOUND),
    ),
    "ModelInferRequest.id": every(
        lambda s: _true(infer(s, id="mine").id == "mine"),
        lambda s: _true(s.last["x-request-id"] == "mine"),
        refusing({"id": "x" * 1025}, "at most 1024"),
    ),
    "ModelInferRequest.parameters": any_parameter("string_param", "x"),
    "ModelInferRequest.inputs": refusing({"inputs": []}, "missing inputs: hour"),
    "ModelInferRequest.outputs": lambda s: _true(
        [own.name for own in infer(s, outputs=[{"name": "probabilities"}]).outputs]
        == ["probabilities"]
    ),
    "ModelInferRequest.raw_input_contents": raws,
    "ModelInferRequest.InferInputTensor.name": refusing(
        {"inputs": [row(name="hours")]}, "there is no input 'hours'"
    ),
    "ModelInferRequest.InferInputTensor.datatype": every(
        refusing({"inputs": [row(datatype="FP64")]}, "its contents are in fp32_contents"),
        refusing({"inputs": [row(datatype="FP16")]}, "send raw_input_contents"),
        refusing({"inputs": [row(datatype="")]}, "has no contents"),
    ),
    "ModelInferRequest.InferInputTensor.shape": every(
        refusing({"inputs": [row(shape=[2, 1])]}, "1 elements for 2"),
        refusing({"inputs": [row(shape=[1])]}, "has shape [1]; expected [-1, 1]"),
        refusing({"inputs": [row(shape=[-1, -1])]}, "has shape"),
    ),
    "ModelInferRequest.InferInputTensor.parameters": in_shared_memory({"string_param": "x"}),
    "ModelInferRequest.InferInputTensor.contents": every(
        refusing({"inputs": [row(contents=None)]}, "has no contents; expected fp32_contents"),
        refusing(
            {"inputs": [row(contents={"fp32_contents": [1.0], "int_contents": [1]})]},
            "expected fp32_contents",
        ),
        refusing(
            {"inputs": [row(contents={"fp32_contents": [float("inf")]})]}, "an infinite number"
        ),
        refusing({"inputs": [row(contents={"fp32_contents": [float("nan")]})]}, "holds NaN"),
    ),
    "ModelInferRequest.InferRequestedOutputTensor.name": refusing(
        {"outputs": [{"name": "probability"}]}, "there is no output 'probability'"
    ),
    "ModelInferRequest.InferRequestedOutputTensor.parameters": refusing(
        {"outputs": [{"name": "label", "parameters": {"classification": {"int64_param": 2}}}]},
        "the classification extension is not spoken here",
    ),
    "ModelInferResponse.model_name": lambda s: _true(infer(s).model_name == MODEL),
    "ModelInferResponse.model_version": lambda s: _true(infer(s).model_version == "7"),
    "ModelInferResponse.id": lambda s: _true(infer(s).id == s.last["x-request-id"]),
    "ModelInferResponse.parameters": lambda s: _true(
        infer(s).parameters["missing"].string_param == "distance,carrier"
    ),
    "ModelInferResponse.outputs": outputs_alike,
    "ModelInferResponse.raw_output_contents": raws,
    "ModelInferResponse.InferOutputTensor.name": outputs_alike,
    "ModelInferResponse.InferOutputTensor.datatype": outputs_alike,
    "ModelInferResponse.InferOutputTensor.shape": outputs_alike,
    "ModelInferResponse.InferOutputTensor.parameters": lambda s: _true(
        not infer(s).outputs[0].parameters
    ),
    "ModelInferResponse.InferOutputTensor.contents": outputs_alike,
    "RepositoryIndexRequest.repository_name": lambda s: _true(index(s, repository_name="x")),
    "RepositoryIndexRequest.ready": index_of_an_ending_server,
    "RepositoryIndexResponse.models": lambda s: _true(
        index(s) == [{"name": MODEL, "version": "7", "state": "READY", "reason": ""}]
    ),
    "RepositoryIndexResponse.ModelIndex.name": lambda s: _true(index(s)[0]["name"] == MODEL),
    "RepositoryIndexResponse.ModelIndex.version": lambda s: _true(index(s)[0]["version"] == "7"),
    "RepositoryIndexResponse.ModelIndex.state": index_of_an_ending_server,
    "RepositoryIndexResponse.ModelIndex.reason": index_of_an_ending_server,
    "RepositoryModelLoadRequest.repository_name": steering(LOAD, repository_name="x"),
    "RepositoryModelLoadRequest.model_name": steering(LOAD, model_name=MODEL),
    "RepositoryModelLoadRequest.parameters": parameter("string_param", "{}"),
    "RepositoryModelUnloadRequest.repository_name": steering(UNLOAD, repository_name="x"),
    "RepositoryModelUnloadRequest.model_name": steering(UNLOAD, model_name=MODEL),
    "RepositoryModelUnloadRequest.parameters": parameter("bool_param", True, UNLOAD),
    "ModelRepositoryParameter.bool_param": parameter("bool_param", True),
    "ModelRepositoryParameter.int64_param": parameter("int64_param", 1),
    "ModelRepositoryParameter.string_param": parameter("string_param", "x"),
    "ModelRepositoryParameter.bytes_param": parameter("bytes_param", b"x"),
}
"""A check for each field of the inference protocol; typed contents have theirs in `CONTENTS`."""


@pytest.mark.parametrize("field", FIELDS)
def test_each_field(field: str, server: Running) -> None:
    FIELDS[field](server)


@pytest.mark.parametrize("field", CONTENTS)
def test_each_kind_of_contents(field: str, tmp_path: Path) -> None:
    typed(tmp_path, field)


def test_no_field_is_without_a_check() -> None:
    fields = {f"{name}.{field}" for name, fields in INFERENCE.messages.items() for field in fields}
    checked = FIELDS.keys() | {f"InferTensorContents.{field}" for field in CONTENTS}
    assert fields == checked


def test_numbers_that_the_type_cannot_hold(tmp_path: Path) -> None:
    running = Running(identity(tmp_path, "INT8"))
    given = {"name": "x", "datatype": "INT8", "shape": [1, 1], "contents": {"int_contents": [128]}}
    try:
        assert refused(lambda: infer(running, inputs=[given])) == (
            INVALID,
            "input 'x': a number is out of the range of INT8",
        )
    finally:
        running.close()


def test_numbers_of_16_bits_are_bytes(tmp_path: Path) -> None:
    running = Running(identity(tmp_path, "FP16"))
    raw = np.array([1.5, -2], "<f2").tobytes()
    given = {"name": "x", "datatype": "FP16", "shape": [2, 1]}
    try:
        answer = infer(running, inputs=[given], raw_input_contents=[raw])
        assert list(answer.raw_output_contents) == [raw]
    finally:
        running.close()


# -- what surrounds an inference -------------------------------------------------------------------


def test_an_inference_is_counted_and_remembered_as_one_of_rest(server: Running) -> None:
    infer(server, id="asked-by-grpc")
    refused(lambda: infer(server, inputs=[]))
    counters = server.app.served.counters
    assert counters.requests == {200: 1, 400: 1}
    assert counters.rows == 1
    assert counters.findings["carrier", "missing"] == 1
    judged = b'{"id":"asked-by-grpc","outcome":[1]}'
    reply = call(server.app, "POST", f"/v2/models/{MODEL}/feedback", judged)
    assert reply.json["right"] + reply.json["wrong"] == 1


def test_metadata_says_who_answers(server: Running) -> None:
    infer(server, metadata=[("x-request-id", "given")])
    assert server.last["x-request-id"] == "given"
    assert server.last["x-millwright-version"] == "7"
    assert server.last["x-millwright-predictor"] == "v7"
    infer(server, id="ünsafe")
    assert server.last["x-request-id"] == "%C3%BCnsafe"
    infer(server)
    assert len(server.last["x-request-id"]) == 32


def test_what_is_addressed_to_another_predictor_is_not_answered(server: Running) -> None:
    ours, others = ([("x-millwright-predictor", name)] for name in ("v7", "v8"))
    infer(server, metadata=ours)
    code, sentence = refused(lambda: infer(server, metadata=others))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert sentence == "this is predictor 'v7', and the request is addressed to 'v8'"
    counters = server.app.served.counters
    assert (counters.requests, counters.addressed) == ({200: 1, 421: 1}, 2)


def test_pages_of_other_origins_may_not_ask(server: Running) -> None:
    code, sentence = refused(lambda: infer(server, metadata=[("origin", "https://evil.example")]))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "evil.example" in sentence


def test_large_calls_are_answered_alike_beside_the_loop(server: Running) -> None:
    rows = 20_000
    hours = np.linspace(0, 23, rows).astype("<f4")
    given = {"name": "hour", "datatype": "FP32", "shape": [rows, 1]}
    answer = infer(server, inputs=[given], raw_input_contents=[hours.tobytes()])
    one = infer(server, inputs=[row(contents={"fp32_contents": [float(hours[-1])]})])
    last = np.frombuffer(answer.raw_output_contents[1], "<f4").reshape(-1, 2)[-1]
    assert last.tolist() == pytest.approx(list(one.outputs[1].contents.fp32_contents), rel=1e-6)


def test_too_large_a_call_says_how_large_it_may_be(server: Running) -> None:
    given = {"name": "hour", "datatype": "FP32", "shape": [50_000, 1]}
    code, sentence = refused(
        lambda: infer(server, inputs=[given], raw_input_contents=[bytes(200_000)])
    )
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 100000 are taken; send less in each call" in sentence


def test_packed_by_googles_client(server: Running) -> None:
    taken, given = (message(INFERENCE, name) for name in INFERENCE.methods["ModelInfer"])
    method = server.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer", taken.SerializeToString, given.FromString
    )
    tensor = row(shape=[400, 1], contents={"fp32_contents": [17.0] * 400})
    asked = taken(model_name=MODEL, inputs=[tensor])
    for packing in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        answer = method(asked, timeout=20, compression=packing)
        assert answer.outputs[0].shape == [400]


def test_many_calls_at_once_each_get_their_own_answer(server: Running) -> None:
    taken, given = (message(INFERENCE, name) for name in INFERENCE.methods["ModelInfer"])
    method = server.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer", taken.SerializeToString, given.FromString
    )
    asked = [taken(model_name=MODEL, id=f"r{n}", inputs=[row()]) for n in range(400)]
    answers = [future.result() for future in [method.future(own, timeout=30) for own in asked]]
    assert [own.id for own in answers] == [own.id for own in asked]


def test_overload_is_told_as_such(model: Model) -> None:
    running = Running(App(Served(model), limits=Limits(active=0)))
    try:
        code, sentence = refused(lambda: infer(running))
        assert code == grpc.StatusCode.UNAVAILABLE
        assert "requests are being answered; try again in 1 s" in sentence
    finally:
        running.close()


def test_models_of_a_repository_are_loaded_and_unloaded_as_by_rest(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two"), start=1):
        put(tmp_path, name, factor=number)
    running = Running(App(Repository(str(tmp_path))))

    def ready(name: str) -> bool:
        return bool(running.ask("ModelReady", name=name).ready)

    try:
        assert [own["name"] for own in index(running)] == ["one", "two"]
        assert not ready("one")
        running.ask(LOAD, model_name="one")
        assert (ready("one"), ready("two")) == (True, False)
        running.ask(UNLOAD, model_name="one")
        assert not ready("one")
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1]}
        asked = {"inputs": [{**tensor, "contents": {"fp32_contents": [3.0]}}]}
        answer = running.ask("ModelInfer", model_name="two", **asked)
        assert list(answer.outputs[0].contents.fp32_contents) == [6.0]
        assert ready("two")
        code, _ = refused(lambda: running.ask(LOAD, model_name="other"))
        assert code == _NOT_FOUND
        parameters = {"config": {"string_param": "{}"}}
        code, said = refused(lambda: running.ask(LOAD, model_name="one", parameters=parameters))
        assert (code, "the parameter 'config' is not taken" in said) == (INVALID, True)
    finally:
        running.close()
    assert running.app.active == 0
    assert running.app.repository is not None
    assert {slot.active for slot in running.app.repository.slots} == {0}


# -- health and reflection -------------------------------------------------------------------------


@pytest.mark.parametrize("service", health.SERVICES)
def test_health(service: str, server: Running) -> None:
    assert server.ask("Check", HEALTH, service=service).status == 1
    server.do(server.drain())
    assert server.ask("Check", HEALTH, service=service).status == 2


def test_health_of_what_is_not_here(server: Running) -> None:
    code, sentence = refused(lambda: server.ask("Check", HEALTH, service="other"))
    assert (code, sentence) == (_NOT_FOUND, "there is no service 'other' here")
    assert next(server.stream("Watch", HEALTH, [{"service": "other"}])).status == 3


def test_who_watches_is_told_of_the_end_and_then_let_go(server: Running) -> None:
    watched = server.stream("Watch", HEALTH, [{}])
    assert next(watched).status == 1
    server.do(server.drain())
    assert next(watched).status == 2
    server.do(server.end())
    code, sentence = refused(lambda: next(watched))
    assert (code, sentence) == (grpc.StatusCode.UNAVAILABLE, "the server ends")


def test_who_stops_watching_is_forgotten(server: Running) -> None:
    watched = server.stream("Watch", HEALTH, [{}])
    assert next(watched).status == 1
    assert len(server.services.health._watching) == 1
    watched.cancel()
    server.ask("ServerLive")
    assert not server.services.health._watching


@pytest.mark.parametrize("file", REFLECTIONS, ids=lambda file: file.package)
def test_reflection_tells_all_that_is_here(file: File, server: Running) -> None:
    symbols = [f"{INFERENCE.package}.{name}" for name in INFERENCE.messages]
    symbols += [
        "inference.GRPCInferenceService",
        "inference.GRPCInferenceService.ModelInfer",
        "inference.ModelInferRequest.id",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
    ]
    asked = [
        {"list_services": ""},
        {"file_by_filename": "inference.proto", "host": "here"},
        *({"file_containing_symbol": symbol} for symbol in symbols),
        {"file_containing_symbol": "inference.Nothing"},
        {"file_by_filename": "nothing.proto"},
        {"file_containing_extension": {"containing_type": "x", "extension_number": 1}},
        {"all_extension_numbers_of_type": "inference.ModelInferRequest"},
    ]
    services, named, *others = server.stream("ServerReflectionInfo", file, asked)
    known = {f"{own.package}.{own.service}" for own in FILES}
    assert {own.name for own in services.list_services_response.service} == known
    assert named.valid_host == named.original_request.host == "here"
    for answer in (named, *others[:-4]):
        (content,) = answer.file_descriptor_response.file_descriptor_proto
        told = descriptor_pb2.FileDescriptorProto.FromString(content)
        assert told.package in ("inference", "grpc.health.v1")
    assert {answer.error_response.error_code for answer in others[-4:]} == {5}
    assert all(answer.error_response.error_message for answer in others[-4:])


@pytest.mark.parametrize("name", INFERENCE.methods)
def test_each_method_refuses_what_is_no_message(name: str, server: Running) -> None:
    method = server.channel.unary_unary(f"/{INFERENCE.package}.{INFERENCE.service}/{name}")
    code, sentence = refused(lambda: method(b"\xff\xff", timeout=20))
    assert code == INVALID
    assert f"no {INFERENCE.package}.{name}Request" in sentence


def test_the_front_doors_paths_are_the_servers(app: App) -> None:
    own = {path.decode() for path in Services(app).methods}
    assert {path for path in own if path.startswith("/inference.")} == set(protocol.CALLS_PATHS)
    assert f"{INFERENCE.package}.{INFERENCE.service}" == protocol.CALLS


def test_gateways_take_for_failures_what_the_server_counts_as_such() -> None:
    """A status that a refusal with 5xx has is a failure's, and no other."""
    for code in (400, 403, 404, 405, 408, 413, 415, 421, 499, 500, 503, 504):
        status = status_of(Refusal(code, "x"))
        assert bool(re.fullmatch(FAILED_CALLS, str(int(status)))) == (code >= 500), code
