"""Tensors as bytes, and bodies that are packed: both ways, mixed, and broken."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.runtime import coding
from serving.runtime.app import App
from serving.runtime.limits import Limits
from serving.runtime.model import Model
from serving.runtime.served import Served
from tests.unit.runtime.conftest import Reply, call
from tests.unit.runtime.test_protocol import BASE, request, tensor

Infer = Callable[..., Reply]
SIZE = "inference-header-content-length"
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def texts(*values: str) -> bytes:
    raw = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(value)) + value for value in raw)


def as_bytes(own: dict[str, Any]) -> bytes:
    if own["datatype"] == "BYTES":
        return texts(*(value or "" for value in own["data"]))
    numbers = [np.nan if value is None else value for value in own["data"]]
    return np.array(numbers, "<f4").tobytes()


def packed(value: dict[str, Any], *names: str) -> tuple[bytes, int]:
    """A request with these inputs as bytes, and how long its JSON is."""
    behind = b""
    inputs = []
    for own in value["inputs"]:
        if own["name"] in names:
            raw = as_bytes(own)
            behind += raw
            plain = {key: own[key] for key in ("name", "shape", "datatype")}
            own = plain | {"parameters": {"binary_data_size": len(raw)}}
        inputs.append(own)
    text = json.dumps(value | {"inputs": inputs}).encode()
    return text + behind, len(text)


def outputs(reply: Reply) -> dict[str, Any]:
    """Each output's data, whichever form it came in."""
    assert reply.status == 200, reply.body
    size = int(reply.headers.get(SIZE, len(reply.body)))
    answer, behind = json.loads(reply.body[:size]), reply.body[size:]
    types = {"INT64": "<i8", "FP32": "<f4"}
    found = {}
    for own in answer["outputs"]:
        if own.get("parameters"):
            assert "data" not in own
            length = own["parameters"]["binary_data_size"]
            raw, behind = behind[:length], behind[length:]
            found[own["name"]] = np.frombuffer(raw, types[own["datatype"]]).tolist()
        else:
            found[own["name"]] = own["data"]
    assert not behind
    return found


ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(0, 5000, width=32), st.floats(0, 24, width=32), st.text(max_size=4)
    ),
    min_size=1,
    max_size=9,
)


@given(
    rows=ROWS,
    names=st.sets(st.sampled_from(["distance", "hour", "carrier"])),
    wish=st.sampled_from(["", "all", "label", "all but label"]),
    sent=st.sampled_from(["", "gzip", "deflate", "raw deflate", "Identity", "GZIP"]),
    wanted=st.sampled_from(["", "gzip", "deflate", "gzip, deflate, br", "*", "identity"]),
)
@FEW
def test_every_form_gives_the_same_answer(
    rows: list[Any], names: set[str], wish: str, sent: str, wanted: str, infer: Infer
) -> None:
    distances, hours, carriers = (list(column) for column in zip(*rows, strict=True))
    inputs = [tensor("distance", distances), tensor("hour", hours)]
    value: dict[str, Any] = {"inputs": [*inputs, tensor("carrier", carriers, "BYTES")]}
    plain = outputs(infer(value))
    if wish:
        value["parameters"] = {"binary_data_output": wish != "label"}
    if wish in ("label", "all but label"):
        own = {"name": "label", "parameters": {"binary_data": wish == "label"}}
        value["outputs"] = [own, {"name": "probabilities"}]
    body, size = packed(value, *names)
    headers = {SIZE: str(size)} if names else {}
    if sent:
        headers["content-encoding"] = sent.removeprefix("raw ")
        packers = {"gzip": gzip.compress, "deflate": zlib.compress}
        body = packers.get(sent.lower(), lambda plain: plain)(body)
        if sent == "raw deflate":
            body = zlib.compress(body)[2:-4]
    if wanted:
        headers["accept-encoding"] = wanted
    reply = infer(body, **headers)
    assert reply.status == 200, reply.body
    assert (SIZE in reply.headers) == bool(wish)
    chosen = {"gzip": "gzip", "deflate": "deflate", "*": "gzip"}.get(wanted)
    assert reply.headers.get("content-encoding") == (chosen if wanted != "*" else None)
    unpack: Callable[[bytes], bytes] = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(
        reply.headers.get("content-encoding", ""), bytes
    )
    assert outputs(Reply(reply.status, reply.headers, unpack(reply.body))) == plain


def test_a_large_answer_is_packed_for_whoever_can_read_it(infer: Infer) -> None:
    inputs = [tensor("hour", [6 + row % 100 / 10 for row in range(900)])]
    large = infer({"inputs": inputs}, **{"accept-encoding": "gzip, deflate, br"})
    assert large.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(large.body))["outputs"][0]["shape"] == [900]
    small = infer(request(rows=1), **{"accept-encoding": "gzip, deflate, br"})
    assert "content-encoding" not in small.headers


@pytest.mark.parametrize(
    ("header", "wish"),
    [
        (b"gzip;q=0", None),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"deflate;q=0.9, gzip;q=0.2", b"deflate"),
        (b"identity, gzip;q=0.5", None),
        (b"br", None),
        (b"*;q=0", None),
        (b"GZIP", b"gzip"),
        (b"gzip;q=x", None),
        (b"", None),
        (b",;=;,", None),
    ],
)
def test_how_an_answer_is_wanted(header: bytes, wish: bytes | None) -> None:
    assert coding.wish_of(header).coding == wish


def hour(parameters: object, behind: bytes, **changes: Any) -> tuple[bytes, dict[str, str]]:
    own = {"name": "hour", "shape": [1, 1], "datatype": "FP32", "parameters": parameters, **changes}
    text = json.dumps({"inputs": [own]}).encode()
    return text + behind, {SIZE: str(len(text))}


HOUR = np.array([7], "<f4").tobytes()
FOUR = {"binary_data_size": 4}
BROKEN = {
    "fewer bytes": (*hour({"binary_data_size": 8}, HOUR), "only 4 bytes are left"),
    "more bytes": (*hour(FOUR, HOUR + b"x"), "1 bytes behind the JSON belong to no input"),
    "not the shape's": (*hour(FOUR, HOUR, shape=[2, 1]), "4 bytes for 2 elements of 4 bytes each"),
    "no size": (*hour({}, HOUR), "has no `data`"),
    "a size that is none": (*hour({"binary_data_size": "4"}, HOUR), "expected a length"),
    "a negative size": (*hour({"binary_data_size": -4}, HOUR), "expected a length"),
    "a true size": (*hour({"binary_data_size": True}, HOUR), "expected a length"),
    "both": (*hour(FOUR, HOUR, data=[7.0]), "expected one of them"),
    "infinite": (*hour(FOUR, np.array([np.inf], "<f4").tobytes()), "infinite"),
    "missing": (*hour(FOUR, np.array([np.nan], "<f4").tobytes()), "must not be missing"),
    "shared memory": (*hour({"shared_memory_region": "x"}, b""), "shared memory is not spoken"),
    "no header": (hour(FOUR, HOUR)[0], {}, "not JSON"),
    "a header beyond": (hour(FOUR, HOUR)[0], {SIZE: "9999"}, "how many of the body's"),
    "a header that is none": (hour(FOUR, HOUR)[0], {SIZE: "-1"}, "how many of the body's"),
    "a header of text": (hour(FOUR, HOUR)[0], {SIZE: "\u00b2"}, "how many of the body's"),
    "no header at all": (hour(FOUR, b"")[0], {}, "no header inference-header-content-length"),
    "rubbish as gzip": (b"{}", {"content-encoding": "gzip"}, "the body is not gzip"),
    "rubbish as deflate": (b"{}", {"content-encoding": "deflate"}, "the body is not deflate"),
    "half of it": (gzip.compress(b"{}" * 99)[:-9], {"content-encoding": "gzip"}, "ends too early"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_refused_with_its_place(case: str, infer: Infer) -> None:
    body, headers, sentence = BROKEN[case]
    reply = infer(body, **headers)
    assert reply.status == 400
    assert sentence in reply.json["error"]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (texts("B6", "UA"), "not the 1 texts"),
        (b"", "not the 1 texts"),
        (b"\x05\0\0\0ab", "longer than what is left"),
        (b"\x05\0", "longer than what is left"),
        (b"\x02\0\0\0\xff\xfe", "not UTF-8"),
    ],
)
def test_texts_that_are_none(raw: bytes, sentence: str, infer: Infer) -> None:
    own = {"name": "carrier", "shape": [1, 1], "datatype": "BYTES"}
    own["parameters"] = {"binary_data_size": len(raw)}  # type: ignore[assignment]
    text = json.dumps({"inputs": [tensor("hour", [7.0]), own]}).encode()
    reply = infer(text + raw, **{SIZE: str(len(text))})
    assert reply.status == 400
    assert f"input 'carrier': {sentence}" in reply.json["error"].replace("text 0 is ", "").replace(
        "the bytes are ", ""
    )


def test_what_is_not_spoken_is_said(infer: Infer) -> None:
    reply = infer(request(), **{"content-encoding": "br"})
    assert (reply.status, "gzip, deflate or identity" in reply.json["error"]) == (415, True)
    ranked = request(outputs=[{"name": "label", "parameters": {"classification": 2}}])
    assert "classification extension" in infer(ranked).json["error"]


@pytest.mark.parametrize("value", ["false", "true", 0, None, {}])
def test_a_wish_that_is_neither_true_nor_false_is_refused(value: object, infer: Infer) -> None:
    output = {"name": "label", "parameters": {"binary_data": value}}
    for asked in ({"outputs": [output]}, {"parameters": {"binary_data_output": value}}):
        reply = infer(request(**asked))
        assert reply.status == 400
        assert "expected true or false" in reply.json["error"]


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_body_that_unpacks_beyond_the_limit_is_refused(name: str, infer: Infer) -> None:
    pack = gzip.compress if name == "gzip" else zlib.compress
    reply = infer(pack(b" " * 50_000_000), **{"content-encoding": name})
    assert reply.status == 413
    assert "larger than 100000 bytes when it is unpacked" in reply.json["error"]


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate"])
def test_a_body_in_too_many_pieces_is_refused(name: str, infer: Infer) -> None:
    text = json.dumps(request()).encode()

    def pack(plain: bytes) -> bytes:
        if name == "gzip":
            return gzip.compress(plain)
        framed = zlib.compress(plain)
        return framed if name == "deflate" else framed[2:-4]

    header = {"content-encoding": name.removeprefix("raw ")}
    assert infer(pack(text) + pack(b"") * 15, **header).status == 200
    reply = infer(pack(text) + pack(b"") * 16, **header)
    assert reply.status == 400
    assert "more than 16 pieces" in reply.json["error"]


def test_unpacking_waits_in_the_bound_on_large_requests(model: Model) -> None:
    app = App(Served(model), limits=Limits(inline=100, large=0))
    body = gzip.compress(json.dumps(request()).encode())
    reply = call(app, "POST", f"{BASE}/infer", body, {"content-encoding": "gzip"})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    reply = call(app, "POST", "/v2/repository/index", body, {"content-encoding": "gzip"})
    assert reply.status == 503


def test_an_answer_is_not_packed_where_too_much_is(model: Model) -> None:
    app = App(Served(model), limits=Limits(large=0, inline=2_000))
    inputs = [{"name": "hour", "shape": [60, 1], "datatype": "FP32", "data": [7.5] * 60}]
    body = json.dumps({"inputs": inputs}).encode()
    reply = call(app, "POST", f"{BASE}/infer", body, {"accept-encoding": "gzip"})
    assert (reply.status, reply.headers.get("content-encoding")) == (200, None)
    assert len(reply.body) > 2_000 > len(body)


@pytest.mark.parametrize("path", [f"{BASE}/feedback", "/v2/repository/index"])
def test_other_bodies_are_unpacked_too(path: str, app: App) -> None:
    body = gzip.compress(b'{"id": "nobody", "outcome": [1]}')
    reply = call(app, "POST", path, body, {"content-encoding": "gzip"})
    assert reply.status in (200, 404)
    assert "not JSON" not in reply.body.decode()
