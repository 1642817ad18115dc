"""What an inference is, at a real Envoy and real servers: what is served is counted, whatever its
spelling, and what is not counted is not served."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

import httpx
import pytest

from laptop.serving import LocalServing
from tests.integration.serving.conftest import NAME, document, eventually

FRONT = f"/seldon/default/{NAME}"
INFER = f"{FRONT}/v2/models/{NAME}/infer"
BODY = json.dumps(
    {"inputs": [{"name": "hour", "shape": [1, 1], "datatype": "FP32", "data": [7]}]}
).encode()
H2C = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAA\r\n"

SERVED = {
    "as it is": INFER,
    "a query": f"{INFER}?x=1",
    "an empty query": f"{INFER}?",
    "a whole URL": f"http://elsewhere{INFER}",
    "a step back": f"{FRONT}/v2/x/../models/{NAME}/infer",
    "a step back before it": f"/seldon/x/../default/{NAME}/v2/models/{NAME}/infer",
    "an escape of a plain letter": INFER.replace("infer", "%69nfer"),
    "an escape of a dash": INFER.replace(f"models/{NAME}", f"models/{NAME.replace('-', '%2D')}"),
}
"""Spellings that a proxy makes one (RFC 3986, 6.2.2) before it routes."""

REFUSED = {
    "a slash at its end": f"{INFER}/",
    "slashes at its end": f"{INFER}//",
    "a slash more in front": f"{FRONT}//v2/models/{NAME}/infer",
    "a slash more within": INFER.replace("/infer", "//infer"),
    "capitals": INFER.replace("infer", "INFER"),
    "capitals in front": INFER.replace("/seldon", "/Seldon"),
    "an escaped slash": INFER.replace("/infer", "%2Finfer"),
    "a parameter of the path": f"{INFER};a=1",
    "a fragment": f"{INFER}#a",
    "a blank": f"{INFER}%20",
    "a zero": f"{INFER}%00",
    "a backslash": f"{INFER}\\",
    "another version": INFER.replace("/infer", "/versions/9/infer"),
    "no version": INFER.replace("/infer", "/versions//infer"),
    "another model": INFER.replace(f"models/{NAME}", "models/other"),
    "nothing of ours": f"{FRONT}/v2/models/{NAME}/generate",
    "without its front": f"/v2/models/{NAME}/infer",
}

OTHERWISE = {
    "another method": ("PUT", INFER, "x-http-method-override: POST\r\n"),
    "no body": ("GET", INFER, "x-http-method: POST\r\n"),
    "small letters": ("post", INFER, ""),
    "HTTP/1.0": ("POST", INFER, "HTTP/1.0"),
    "a socket for the web": ("POST", INFER, "connection: Upgrade\r\nupgrade: websocket\r\n"),
    "an unknown predictor": ("POST", INFER, "x-millwright-predictor: v9\r\n"),
    "no predictor": ("POST", INFER, "x-millwright-predictor:\r\n"),
}


@pytest.fixture(scope="module")
def port(serving: LocalServing, artifacts: dict[str, Path]) -> int:
    serving.apply(document(artifacts, v1=5000, v2=5000))
    url = serving.settle(NAME).url
    return int(url.rpartition(":")[2].partition("/")[0])


def counted(serving: LocalServing) -> tuple[int, int]:
    """Inferences, as Envoy and as the servers count them."""
    counters = serving.counters(NAME).values()
    gateway = sum(own.count("requests") or 0 for own in counters)
    servers = sum(one.counts["received"] for own in counters for one in own.replicas)
    return gateway, servers


def ask(port: int, method: str, target: str, extra: str = "") -> int:
    """The status of a request as it is written here."""
    version = "HTTP/1.1"
    if extra.startswith("HTTP/"):
        version, extra = extra, ""
    head = f"{method} {target} {version}\r\nhost: x\r\nconnection: close\r\n"
    if extra.startswith("connection"):
        head = f"{method} {target} {version}\r\nhost: x\r\n"
    head += f"content-length: {len(BODY)}\r\n{extra}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head.encode("latin-1") + BODY)
        return int(client.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("case", SERVED)
def test_what_is_served_is_counted(case: str, serving: LocalServing, port: int) -> None:
    before = counted(serving)
    assert ask(port, "POST", SERVED[case]) == 200
    wanted = tuple(count + 1 for count in before)
    assert eventually(lambda: counted(serving) == wanted)


@pytest.mark.parametrize("case", [*REFUSED, *OTHERWISE])
def test_what_is_not_counted_is_not_served(case: str, serving: LocalServing, port: int) -> None:
    before = counted(serving)
    method, target, extra = OTHERWISE.get(case) or ("POST", REFUSED[case], "")
    assert 400 <= ask(port, method, target, extra) < 500
    # Another one, so that the counts that were read are later than the first.
    assert ask(port, "POST", INFER) == 200
    wanted = tuple(count + 1 for count in before)
    assert eventually(lambda: counted(serving) >= wanted)
    assert counted(serving) == wanted


def test_rows_are_shared_out_and_counted_as_tensors_are(serving: LocalServing, port: int) -> None:
    url = f"http://127.0.0.1:{port}{INFER.removesuffix('infer')}predict"
    before = counted(serving)
    versions: set[str] = set()
    asked = 0
    while len(versions) < 2:
        asked += 1
        assert asked < 200
        answer = (
            httpx.post(url, json=[{"hour": 17.0}], trust_env=False, verify=False)
            .raise_for_status()
            .json()
        )
        assert len(answer["predictions"]) == 1
        versions.add(answer["model_version"])
    wanted = tuple(count + asked for count in before)
    assert eventually(lambda: counted(serving) == wanted)


def test_an_offer_of_another_protocol_is_served_and_counted(
    serving: LocalServing, port: int
) -> None:
    before = counted(serving)
    assert ask(port, "POST", INFER, H2C) == 200
    wanted = tuple(count + 1 for count in before)
    assert eventually(lambda: counted(serving) == wanted)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def test_http_2_is_counted_too(serving: LocalServing, port: int) -> None:
    before = counted(serving)
    fields = {":method": "POST", ":scheme": "http", ":authority": "x", ":path": INFER}
    # Literals without an index (RFC 7541, 6.2.2).
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(4, 0, 0, b"")
            + frame(1, 4, 1, block)
            + frame(0, 1, 1, BODY)
        )
        wanted = tuple(count + 1 for count in before)
        assert eventually(lambda: counted(serving) == wanted)


@pytest.mark.parametrize("path", ["/versions/2/infer", "/infer"])
def test_what_names_a_version_dilutes_nothing(path: str, serving: LocalServing, port: int) -> None:
    before = counted(serving)
    named = "" if "versions" in path else "x-millwright-predictor: v2\r\n"
    assert ask(port, "POST", f"{FRONT}/v2/models/{NAME}{path}", named) == 200
    assert counted(serving) == before
