"""Several models in one server: listed, loaded when asked for, and let go when memory is short."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from contracts.artifact import DOCUMENT_FILE, MODEL_FILE, Artifact, Tensor
from serving.runtime import repository as module
from serving.runtime.app import App
from serving.runtime.connections import Connections
from serving.runtime.http import Connection
from serving.runtime.limits import Limits
from serving.runtime.repository import Repository, Rules, listing
from serving.runtime.slots import LOADING, READY, UNAVAILABLE
from serving.runtime.store import UnreachableError, fetch
from tests.serving_model import write_artifact
from tests.unit.runtime.conftest import Reply, Wire, call

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [2.0]}]}
MIB = 2**20


def times(factor: float, *, ballast: int = 0) -> bytes:
    """A model that multiplies, and has so many bytes of constants beside."""
    make = onnx.helper.make_node
    constants = [np.array([factor], np.float32), np.zeros(max(ballast // 4, 1), np.float32)]
    names = ["factor", "ballast"]
    graph = onnx.helper.make_graph(
        [
            make("ReduceSum", ["ballast"], ["nothing"], keepdims=0),
            make("Mul", ["x", "factor"], ["product"]),
            make("Add", ["product", "nothing"], ["y"]),
        ],
        "times",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 1])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(*pair) for pair in zip(constants, names, strict=True)],
    )
    opset = onnx.helper.make_opsetid("", 18)
    content: bytes = onnx.helper.make_model(
        graph, opset_imports=[opset], ir_version=9
    ).SerializeToString()
    return content


def put(root: Path, name: str, version: str = "1", factor: float = 2.0, **more: Any) -> Path:
    """A model in a repository."""
    return write_artifact(
        root / name / version,
        times(factor, **more),
        version=version,
        name=name,
        task="regression",
        interpretation={"tolerance": 0.5},
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 1)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1, 1)),),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for number, name in enumerate(("one", "two", "three"), start=1):
        put(folder, name, factor=number)
    put(folder, "one", "2", factor=10)
    return folder


@pytest.fixture
def app(root: Path) -> App:
    return App(Repository(str(root)))


def post(app: App, path: str, value: object = None, **headers: str) -> Reply:
    return call(app, "POST", path, b"" if value is None else json.dumps(value).encode(), headers)


def infer(app: App, model: str, **headers: str) -> Reply:
    return post(app, f"/v2/models/{model}/infer", ROW, **headers)


def answered(app: App, model: str) -> float:
    reply = infer(app, model)
    assert reply.status == 200, reply.body
    return float(reply.json["outputs"][0]["data"][0])


def index(app: App, value: object = None) -> dict[tuple[str, str], tuple[str, str]]:
    listed = post(app, "/v2/repository/index", value)
    assert listed.status == 200
    return {(own["name"], own["version"]): (own["state"], own["reason"]) for own in listed.json}


def test_a_model_is_loaded_when_it_is_asked_for(app: App) -> None:
    assert {state for state, _ in index(app).values()} == {UNAVAILABLE}
    assert answered(app, "two") == 4.0
    assert answered(app, "one") == 20.0, "the newest version"
    assert answered(app, "one/versions/1") == 2.0
    states = index(app)
    assert states["one", "1"] == states["one", "2"] == states["two", "1"] == (READY, "")
    assert states["three", "1"] == (UNAVAILABLE, "it is loaded when it is asked for")
    assert index(app, {"ready": True}).keys() == {("one", "1"), ("one", "2"), ("two", "1")}


def test_an_answer_says_which_version_gave_it(app: App) -> None:
    for model, version in (("one", "2"), ("one/versions/1", "1"), ("two", "1")):
        for _ in range(2):
            reply = infer(app, model)
            assert reply.headers["x-millwright-version"] == reply.json["model_version"] == version
    assert "x-millwright-version" not in call(app, "GET", "/v2/health/ready").headers


def test_what_a_model_says_of_itself_loads_it_and_its_readiness_does_not(app: App) -> None:
    ready = call(app, "GET", "/v2/models/three/ready")
    assert (ready.status, ready.json) == (503, {"name": "three", "ready": False})
    assert call(app, "GET", "/v2/models/three").json["inputs"][0]["name"] == "x"
    assert call(app, "GET", "/v2/models/three/ready").status == 200
    assert call(app, "GET", "/v2/models/two/config").json["name"] == "two"
    assert call(app, "GET", "/v2/health/ready").status == 200
    assert "model_repository" in call(app, "GET", "/v2").json["extensions"]
    app.draining = True
    assert call(app, "GET", "/v2/models/three/ready").status == 503


def test_load_and_unload(app: App) -> None:
    assert post(app, "/v2/repository/models/two/load").status == 200
    assert index(app)["two", "1"] == (READY, "")
    assert post(app, "/v2/repository/models/two/unload").status == 200
    assert index(app)["two", "1"] == (UNAVAILABLE, "it was unloaded")
    reply = infer(app, "two")
    assert (reply.status, "/v2/repository/models/two/load" in reply.json["error"]) == (404, True)
    assert post(app, "/v2/repository/models/two/load", {}).status == 200
    assert answered(app, "two") == 4.0


@pytest.mark.parametrize("what", ["load", "unload"])
def test_load_takes_what_the_repository_has_and_nothing_else(app: App, what: str) -> None:
    path = f"/v2/repository/models/two/{what}"
    reply = post(app, path, {"parameters": {"file:1/model.onnx": "AAAA"}})
    assert (reply.status, "file:1/model.onnx" in reply.json["error"]) == (400, True)
    assert post(app, path, {"parameters": {"unload_dependents": False}}).status == 200
    assert post(app, path, [1]).status == 400
    for name in ("..", "%2e%2e", "nobody", "two/1", "TWO", "a" * 300, "one/../two"):
        reply = post(app, f"/v2/repository/models/{name}/{what}")
        assert reply.status == 404, name


@pytest.mark.parametrize("name", ["../one", "%2e%2e/one", "nobody", "one/versions/9", "one%00"])
def test_a_path_of_a_client_is_looked_up_and_never_opened(
    app: App, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(uri: str) -> None:
        raise AssertionError(uri)

    monkeypatch.setattr(module, "fetch", opened)
    reply = infer(app, name)
    assert reply.status == 404
    assert "error" in reply.json


def test_an_unknown_model_and_version_are_named(app: App) -> None:
    assert "'nobody'" in infer(app, "nobody").json["error"]
    assert "there are 1, 2" in infer(app, "one/versions/9").json["error"]
    assert "V2" in post(app, "/v1/models/one:predict").json["error"]
    assert "write /v2/models/two/infer" in post(app, "/v2/models/Two/infer", ROW).json["error"]


def test_new_models_and_versions_come_when_they_are_looked_for(app: App, root: Path) -> None:
    put(root, "four", factor=4.0)
    put(root, "two", "3", factor=300.0)
    assert infer(app, "four").status == 404
    assert ("four", "1") in index(app)
    assert answered(app, "four") == 8.0
    assert answered(app, "two") == 4.0, "only asked for, a new version takes nobody's place"
    assert answered(app, "two/versions/3") == 600.0
    assert post(app, "/v2/repository/models/two/load").status == 200
    assert answered(app, "two") == 600.0
    put(root, "five")
    assert post(app, "/v2/repository/models/five/load").status == 200, "load looks for it too"


def test_what_is_gone_from_the_repository_is_gone(app: App, root: Path) -> None:
    assert answered(app, "three") == 6.0
    (root / "three").rename(root.parent / "elsewhere")
    assert ("three", "1") not in index(app)
    assert infer(app, "three").status == 404
    (root / "one" / "2" / DOCUMENT_FILE).unlink()
    index(app)
    assert answered(app, "one") == 2.0, "the newest that is left"


def broken(root: Path, how: str) -> None:
    folder = root / "two" / "1"
    if how == "digest":
        (folder / MODEL_FILE).write_bytes(times(3.0))
    elif how == "document":
        (folder / DOCUMENT_FILE).write_text("{}")
    elif how == "missing":
        (folder / MODEL_FILE).unlink()
    elif how == "model":
        write_artifact(folder, b"no model", name="two")
    else:
        put(root, "other")
        document = (root / "other" / "1" / DOCUMENT_FILE).read_text()
        (folder / DOCUMENT_FILE).write_text(document)


BROKEN = {
    "digest": "digest",
    "document": "digest",
    "missing": "cannot be read",
    "model": "cannot load",
    "other": "other 1",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_model_that_cannot_be_loaded_says_why_and_harms_no_other(
    app: App, root: Path, how: str
) -> None:
    broken(root, how)
    reply = infer(app, "two")
    assert reply.status == 500
    assert "'two' cannot be loaded" in reply.json["error"]
    assert BROKEN[how] in reply.json["error"]
    state, reason = index(app)["two", "1"]
    assert (state, BROKEN[how] in reason) == (UNAVAILABLE, True)
    assert post(app, "/v2/repository/models/two/load").status == 500
    assert answered(app, "one") == 20.0
    text = call(app, "GET", "/metrics").body.decode()
    assert 'model="two",version="1",predictor="",code="500"} 1' in text


def test_a_broken_model_is_tried_again_after_a_while_and_at_once_by_load(
    app: App, root: Path
) -> None:
    broken(root, "digest")
    assert infer(app, "two").status == 500
    put(root, "two")
    assert infer(app, "two").status == 500, "it was tried a moment ago"
    assert post(app, "/v2/repository/models/two/load").status == 200
    assert answered(app, "two") == 4.0
    eager = App(Repository(str(root), rules=Rules(again=0.0)))
    broken(root, "digest")
    assert infer(eager, "two").status == 500
    put(root, "two")
    assert answered(eager, "two") == 4.0


def test_a_version_that_changes_is_not_loaded_again(root: Path) -> None:
    app = App(Repository(str(root)))
    assert answered(app, "two") == 4.0
    post(app, "/v2/repository/models/two/unload")
    put(root, "two", factor=9.0)
    reply = post(app, "/v2/repository/models/two/load")
    assert (reply.status, "another model than before" in reply.json["error"]) == (500, True)


# -- memory ------------------------------------------------------------------------------------


def large(tmp_path: Path) -> Path:
    root = tmp_path / "large"
    for number in range(1, 6):
        put(root, f"m{number}", factor=number, ballast=4 * MIB)
    return root


def loaded(app: App) -> set[str]:
    assert app.repository is not None
    return {slot.name for slot in app.repository.slots if slot.loaded}


def test_who_was_not_asked_for_the_longest_goes_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1, 10_000))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    root = large(tmp_path)
    repository = Repository(str(root), rules=Rules(memory=14 * MIB))
    app = App(repository)
    answered(app, "m1")
    cost = repository.slots[0].cost
    assert 4 * MIB <= cost < 7 * MIB
    fit = 14 * MIB // cost
    assert 2 <= fit < 5
    for number in range(1, fit + 1):
        assert answered(app, f"m{number}") == 2.0 * number
    assert len(loaded(app)) == fit
    answered(app, "m1")
    answered(app, "m5")
    assert loaded(app) >= {"m1", "m5"}
    assert "m2" not in loaded(app), "the one that was not asked for the longest"
    assert index(app)["m2", "1"][1].startswith("it went to make room")
    assert answered(app, "m2") == 4.0
    assert repository.used <= 14 * MIB
    text = call(app, "GET", "/metrics").body.decode()
    assert 'millwright_requests_total{model="m2",version="1",predictor="",code="200"} 2' in text
    assert text.count("# TYPE millwright_requests_total") == 1


def test_feedback_is_remembered_while_the_model_is_gone(tmp_path: Path) -> None:
    app = App(Repository(str(large(tmp_path)), rules=Rules(memory=6 * MIB)))
    infer(app, "m1", **{"x-request-id": "asked-before"})
    answered(app, "m2")
    assert loaded(app) == {"m2"}
    body = {"id": "asked-before", "outcome": [2.0]}
    reply = post(app, "/v2/models/m1/feedback", body)
    assert reply.status == 200, reply.body
    assert loaded(app) == {"m2"}


def test_a_model_that_is_larger_than_the_memory_says_so(tmp_path: Path) -> None:
    app = App(Repository(str(large(tmp_path)), rules=Rules(memory=2 * MIB)))
    reply = infer(app, "m1")
    assert (reply.status, "--memory" in reply.json["error"]) == (500, True)
    assert index(app)["m1", "1"][0] == UNAVAILABLE


def test_a_model_that_is_answering_does_not_go(tmp_path: Path) -> None:
    app = App(Repository(str(large(tmp_path)), rules=Rules(memory=6 * MIB)))
    answered(app, "m1")
    assert app.repository is not None
    slot = app.repository.current["m1"]
    slot.active = 1
    reply = infer(app, "m2")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert loaded(app) == {"m1"}
    slot.active = 0
    assert answered(app, "m2") == 4.0


# -- while it is loaded ------------------------------------------------------------------------


class Gate:
    """Holds the loading of one model until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.opened = threading.Event()
        self.fetched = 0

        def held(uri: str) -> tuple[Artifact, bytes]:
            if f"/{name}/" in uri:
                self.fetched += 1
                assert self.opened.wait(30)
            return fetch(uri)

        monkeypatch.setattr(module, "fetch", held)


def request(model: str) -> bytes:
    body = json.dumps(ROW).encode()
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body


async def until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def ask(connections: Connections, model: str) -> Wire:
    wire = Wire()
    connection = Connection(connections)
    connection.connection_made(wire)
    connection.data_received(request(model))
    return wire


def status(wire: Wire) -> int:
    return int(wire.written.split()[1])


def test_others_are_answered_while_a_model_is_loaded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "two")
    app = App(Repository(str(root)))
    answered(app, "one")

    async def talk() -> None:
        connections = Connections(app)
        waiting = [ask(connections, "two") for _ in range(3)]
        for _ in range(20):
            wire = ask(connections, "one")
            await until(wire.closed.is_set)
            assert status(wire) == 200
        assert app.repository is not None
        assert app.repository.current["two"].state == LOADING
        assert not any(wire.written for wire in waiting)
        gate.opened.set()
        for wire in waiting:
            await until(wire.closed.is_set)
            assert status(wire) == 200

    asyncio.run(talk())
    assert gate.fetched == 1
    assert app.active == 0


def test_who_waits_for_a_model_waits_within_bounds(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "two")
    app = App(Repository(str(root), rules=Rules(waiting=2, patience=0.2)))

    async def talk() -> None:
        connections = Connections(app)
        wires = [ask(connections, "two") for _ in range(3)]
        await until(wires[2].closed.is_set)
        assert b"2 requests wait for 'two'" in wires[2].written
        for wire in wires:
            await until(wire.closed.is_set)
            assert status(wire) == 503
            assert b"retry-after: 1\r\n" in wire.written
        assert b"still being loaded" in wires[0].written
        gate.opened.set()
        assert app.repository is not None
        slot = app.repository.current["two"]
        await until(lambda: slot.loaded)
        wire = ask(connections, "two")
        await until(wire.closed.is_set)
        assert status(wire) == 200

    asyncio.run(talk())


def test_unloaded_while_it_is_loaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "two")
    app = App(Repository(str(root)))

    async def talk() -> None:
        assert app.repository is not None
        slot = app.repository.current["two"]
        wire = ask(Connections(app), "two")
        await until(lambda: gate.fetched)
        await app.repository.unload("two")
        gate.opened.set()
        await until(wire.closed.is_set)
        assert status(wire) == 503
        assert (slot.loaded, slot.state) == (False, UNAVAILABLE)

    asyncio.run(talk())


def test_one_model_does_not_take_the_others_places(root: Path) -> None:
    app = App(Repository(str(root)), limits=Limits(each=1))
    answered(app, "one")
    answered(app, "two")
    assert app.repository is not None
    app.repository.current["two"].active = 1
    reply = infer(app, "two")
    assert (reply.status, "requests to 'two'" in reply.json["error"]) == (503, True)
    assert infer(app, "one").status == 200


# -- the listing -------------------------------------------------------------------------------


def test_only_whole_artifacts_in_their_places_are_listed(root: Path) -> None:
    for place in ("one/next", "one/3x", "Upper/1", "one/1/deeper", "lonely", "two/7"):
        (root / place).mkdir(parents=True)
        if place != "two/7":  # which is being copied, its document last
            (root / place / DOCUMENT_FILE).write_text("{}")
    assert {name: sorted(own) for name, own in listing(str(root)).items()} == {
        "one": ["1", "2"],
        "two": ["1"],
        "three": ["1"],
    }


@pytest.mark.parametrize("uri", ["/nowhere/at/all", "gs://bucket/models"])
def test_a_repository_that_cannot_be_listed(uri: str) -> None:
    with pytest.raises(UnreachableError):
        Repository(uri)


def test_the_index_says_when_the_repository_cannot_be_listed(app: App, root: Path) -> None:
    root.rename(root.parent / "gone")
    reply = post(app, "/v2/repository/index")
    assert (reply.status, "no such folder" in reply.json["error"]) == (503, True)
