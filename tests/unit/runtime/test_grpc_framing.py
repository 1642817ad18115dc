"""HTTP/2 as hostile, slow and odd clients speak it, without a socket."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.runtime.app import App
from serving.runtime.grpc import connection as grpc_connection
from serving.runtime.grpc import frames
from serving.runtime.grpc.frames import Code, Kind, Setting
from serving.runtime.grpc.heads import MOST_HEADERS
from serving.runtime.grpc.opening import Opening
from serving.runtime.grpc.schema import INFERENCE, message
from serving.runtime.grpc.session import MOST_NOISE, MOST_RESETS, MOST_STREAMS
from serving.runtime.limits import Limits
from serving.runtime.model import Answer as ModelAnswer
from serving.runtime.model import Model, Prepared
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served
from serving.runtime.server import opening
from tests.unit.runtime.conftest import Wire, call
from tests.unit.runtime.grpc_client import (
    INFER,
    SERVICE,
    Answer,
    Client,
    asked,
    framed,
    inference,
    run,
)

Bytes = Callable[[Client], bytes]


@pytest.fixture(autouse=True)
def _one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent is read at once, however slow the machine."""
    monkeypatch.setattr(grpc_connection, "_TURN", 60.0)


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return frames.frame(kind, flags, stream, payload)


def head(client: Client, flags: int = frames.END_HEADERS, stream: int = 1, **more: str) -> bytes:
    return frame(Kind.HEADERS, client.head(**more), flags=flags, stream=stream)


def whole(answer: Answer) -> bool:
    return answer.ended and answer.status == 0 and len(answer.body) > 5


# -- what is well said ---------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1, 7, 64])
def test_whatever_pieces_calls_come_in_they_are_answered(app: App, step: int) -> None:
    answers = asked(app, lambda c: b"".join(c.call(n) for n in (1, 3, 5)), 1, 3, 5, step=step)
    assert all(map(whole, answers))
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert {answer.headers["x-millwright-version"] for answer in answers} == {"7"}


def data_in_frames(client: Client, *sizes: int, pad: int = 0) -> bytes:
    body, sent = framed(inference()), head(client)
    for size in sizes:
        piece, body = body[:size], body[size:]
        flags, start = (frames.PADDED, bytes((pad,))) if pad else (0, b"")
        sent += frame(Kind.DATA, start + piece + bytes(pad), flags=flags, stream=1)
    return sent + frame(Kind.DATA, body, flags=frames.END_STREAM, stream=1)


def in_continuations(client: Client) -> bytes:
    block, start = client.head(), frames.frame
    pieces = [block[:10], block[10:20], block[20:]]
    sent = start(Kind.HEADERS, 0, 1, pieces[0]) + start(Kind.CONTINUATION, 0, 1, pieces[1])
    sent += start(Kind.CONTINUATION, frames.END_HEADERS, 1, pieces[2])
    return sent + frame(Kind.DATA, framed(inference()), flags=frames.END_STREAM, stream=1)


def with_trailers(client: Client) -> bytes:
    trailers = client.encoder.encode([("x-last", "1")])
    both = frames.END_HEADERS | frames.END_STREAM
    sent = head(client) + frame(Kind.DATA, framed(inference()), stream=1)
    return sent + frame(Kind.HEADERS, trailers, flags=both, stream=1)


def with_priority(client: Client) -> bytes:
    block = b"\0\0\0\0\x10" + client.head()
    flags = frames.END_HEADERS | frames.PRIORITIZED
    sent = frame(Kind.PRIORITY, b"\0\0\0\0\x10", stream=1)
    sent += frame(Kind.HEADERS, block, flags=flags, stream=1)
    return sent + frame(Kind.DATA, framed(inference()), flags=frames.END_STREAM, stream=1)


GOOD: dict[str, Bytes] = {
    "the message in many frames": lambda c: data_in_frames(c, 1, 1, 3, 2, 10),
    "padded": lambda c: data_in_frames(c, 4, 9, pad=200),
    "headers in continuations": in_continuations,
    "trailers": with_trailers,
    "a priority": with_priority,
    "a frame of no known kind": lambda c: frame(0xFA, b"x", stream=7) + c.call(1),
    "a ping": lambda c: frame(Kind.PING, bytes(8)) + c.call(1),
    "settings, and none": lambda c: frames.settings({Setting.HEADER_TABLE_SIZE: 0}) + c.call(1),
    "the content-type of protobuf": lambda c: c.call(1, content_type="application/grpc+proto"),
    "a length": lambda c: c.call(1, content_length=str(len(framed(inference())))),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_odd_but_well_said(app: App, data: Bytes) -> None:
    for step in (0, 3):
        assert whole(asked(app, data, 1, step=step)[0])


def test_blocks_are_remembered_only_while_they_mean_the_same(app: App) -> None:
    async def talk(client: Client) -> list[str]:
        client.greet()
        same = client.head(x_request_id="a")  # puts it into the table
        again = client.head(x_request_id="a")
        body = frame(Kind.DATA, framed(inference()), flags=frames.END_STREAM, stream=0)
        names = []
        blocks = [same, again, again, client.head(x_request_id="b")]
        blocks.append(again)  # whose bytes now point at another entry
        for number, block in enumerate(blocks):
            stream = 2 * number + 1
            client.send(frames.headers(stream, block, end=False))
            client.send(body[:5] + stream.to_bytes(4, "big") + body[9:])
            (answer,) = await client.answered(stream)
            names.append(answer.headers.get("x-request-id", "none"))
        return names

    first, second, third, fourth, fifth = run(app, talk)
    assert [first, second, third, fourth] == ["a", "a", "a", "b"]
    assert fifth != "a"


# -- what ends a connection, or a stream ----------------------------------------------------------

FAULTS: dict[str, tuple[Code, Bytes]] = {
    "a frame that is too large": (
        Code.FRAME_SIZE_ERROR,
        lambda c: frame(Kind.DATA, bytes(2**14 + 1), stream=1),
    ),
    "a body of no stream": (Code.PROTOCOL_ERROR, lambda c: frame(Kind.DATA, b"x", stream=1)),
    "a body of the connection": (Code.PROTOCOL_ERROR, lambda c: frame(Kind.DATA, b"x")),
    "headers of the connection": (Code.PROTOCOL_ERROR, lambda c: head(c, stream=0)),
    "an even stream": (Code.PROTOCOL_ERROR, lambda c: head(c, stream=2)),
    "an older stream": (Code.STREAM_CLOSED, lambda c: c.call(5) + c.call(3)),
    "an interrupted block": (
        Code.PROTOCOL_ERROR,
        lambda c: head(c, flags=0) + frame(Kind.PING, bytes(8)),
    ),
    "a block of another stream": (
        Code.PROTOCOL_ERROR,
        lambda c: head(c, flags=0) + frame(Kind.CONTINUATION, b"", stream=3),
    ),
    "a continuation of nothing": (
        Code.PROTOCOL_ERROR,
        lambda c: frame(Kind.CONTINUATION, b"", stream=1),
    ),
    "a block that cannot be read": (
        Code.COMPRESSION_ERROR,
        lambda c: frame(Kind.HEADERS, b"\xff\xff\xff\xff\x0f", flags=4, stream=1),
    ),
    "a block that points nowhere": (
        Code.COMPRESSION_ERROR,
        lambda c: frame(Kind.HEADERS, b"\xfe", flags=4, stream=1),
    ),
    "more padding than frame": (
        Code.PROTOCOL_ERROR,
        lambda c: head(c) + frame(Kind.DATA, b"\x09x", flags=frames.PADDED, stream=1),
    ),
    "a body after its end": (
        Code.STREAM_CLOSED,
        lambda c: c.call(1) + frame(Kind.DATA, b"x", stream=1),
    ),
    "a push": (Code.PROTOCOL_ERROR, lambda c: frame(Kind.PUSH_PROMISE, bytes(4), stream=1)),
    "a short ping": (Code.FRAME_SIZE_ERROR, lambda c: frame(Kind.PING, bytes(7))),
    "a ping of a stream": (Code.PROTOCOL_ERROR, lambda c: frame(Kind.PING, bytes(8), stream=1)),
    "short settings": (Code.FRAME_SIZE_ERROR, lambda c: frame(Kind.SETTINGS, bytes(5))),
    "an answer to settings with content": (
        Code.FRAME_SIZE_ERROR,
        lambda c: frame(Kind.SETTINGS, bytes(6), flags=frames.ACK),
    ),
    "a first window out of range": (
        Code.FLOW_CONTROL_ERROR,
        lambda c: frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31}),
    ),
    "a largest frame out of range": (
        Code.PROTOCOL_ERROR,
        lambda c: frames.settings({Setting.MAX_FRAME_SIZE: 2**14 - 1}),
    ),
    "a push that is neither": (
        Code.PROTOCOL_ERROR,
        lambda c: frames.settings({Setting.ENABLE_PUSH: 2}),
    ),
    "a window that grows by nothing": (Code.PROTOCOL_ERROR, lambda c: frames.window_update(0, 0)),
    "a window that is too large": (
        Code.FLOW_CONTROL_ERROR,
        lambda c: frames.window_update(0, 2**31 - 1),
    ),
    "a window of no stream": (Code.PROTOCOL_ERROR, lambda c: frames.window_update(9, 1)),
    "a short window": (Code.FRAME_SIZE_ERROR, lambda c: frame(Kind.WINDOW_UPDATE, bytes(3))),
    "a reset of no stream": (Code.PROTOCOL_ERROR, lambda c: frames.reset(1, Code.CANCEL)),
    "a short reset": (Code.FRAME_SIZE_ERROR, lambda c: frame(Kind.RST_STREAM, b"", stream=1)),
    "a short farewell": (Code.FRAME_SIZE_ERROR, lambda c: frame(Kind.GOAWAY, bytes(7))),
    "a stream that depends on itself": (
        Code.PROTOCOL_ERROR,
        lambda c: frame(
            Kind.HEADERS,
            b"\0\0\0\x01\x10" + c.head(),
            flags=frames.END_HEADERS | frames.PRIORITIZED,
            stream=1,
        ),
    ),
}


@pytest.mark.parametrize(("code", "data"), FAULTS.values(), ids=FAULTS.keys())
def test_what_ends_the_connection(app: App, code: Code, data: Bytes) -> None:
    async def talk(client: Client) -> tuple[list[tuple[int, Code, str]], bool]:
        client.greet()
        client.send(data(client))
        client.send(frame(Kind.PING, bytes(8)))
        await asyncio.sleep(0)
        client.look()
        return client.goaway, client.wire.is_closing()

    (said,), closed = run(app, talk)
    assert said[1] == code
    assert said[2]
    assert closed


RESETS: dict[str, tuple[Code, Bytes]] = {
    "no path": (Code.PROTOCOL_ERROR, lambda c: malformed(c, drop=":path")),
    "no method": (Code.PROTOCOL_ERROR, lambda c: malformed(c, drop=":method")),
    "an unknown pseudo-header": (Code.PROTOCOL_ERROR, lambda c: malformed(c, add=(":x", "1"))),
    "a pseudo-header too late": (
        Code.PROTOCOL_ERROR,
        lambda c: malformed(c, add=(":authority", "y")),
    ),
    "a capital letter": (Code.PROTOCOL_ERROR, lambda c: malformed(c, add=("X-A", "1"))),
    "a name with a blank": (Code.PROTOCOL_ERROR, lambda c: malformed(c, add=("x a", "1"))),
    "a value with a line's end": (
        Code.PROTOCOL_ERROR,
        lambda c: malformed(c, add=("x-a", "1\r\nx-b: 2")),
    ),
    "a header of connections": (
        Code.PROTOCOL_ERROR,
        lambda c: malformed(c, add=("connection", "close")),
    ),
    "transfer-encoding": (
        Code.PROTOCOL_ERROR,
        lambda c: malformed(c, add=("transfer-encoding", "chunked")),
    ),
    "te of another kind": (Code.PROTOCOL_ERROR, lambda c: head(c, te="gzip")),
    "another length than it has": (Code.PROTOCOL_ERROR, lambda c: c.call(1, content_length="3")),
    "a length that is none": (Code.PROTOCOL_ERROR, lambda c: c.call(1, content_length="x")),
    "trailers that end nothing": (Code.PROTOCOL_ERROR, lambda c: head(c) + head(c)),
    "a path with a blank": (Code.PROTOCOL_ERROR, lambda c: head(c, path="/a b")),
    "a window that grows by nothing": (
        Code.PROTOCOL_ERROR,
        lambda c: head(c) + frames.window_update(1, 0),
    ),
    "a window that is too large": (
        Code.FLOW_CONTROL_ERROR,
        lambda c: head(c) + frames.window_update(1, 2**31 - 1),
    ),
    "a short priority": (
        Code.FRAME_SIZE_ERROR,
        lambda c: head(c) + frame(Kind.PRIORITY, b"", stream=1),
    ),
}


def malformed(client: Client, drop: str = "", add: tuple[str, str] | None = None) -> bytes:
    headers = {":method": "POST", ":scheme": "http", ":path": INFER, "te": "trailers"}
    headers.pop(drop, None)
    pairs = [*headers.items(), *([add] if add else [])]
    return frames.headers(1, client.encoder.encode(pairs), end=False)


@pytest.mark.parametrize(("code", "data"), RESETS.values(), ids=RESETS.keys())
def test_what_ends_a_stream_and_no_other(app: App, code: Code, data: Bytes) -> None:
    bad, good = asked(app, lambda c: data(c) + c.call(3), 1, 3)
    assert bad.reset == code
    assert whole(good)


@pytest.mark.parametrize("start", [b"PRI * HTTP/2.0\r\n\r\nXX", b"PRI * HTTP/2.1"])
def test_what_only_looks_like_http_2_is_read_as_http_1(app: App, start: bytes) -> None:
    async def talk(client: Client) -> bytes:
        wire = Switching()
        first = opening(client.connections, client.services)
        first.connection_made(wire)
        wire.protocol = first
        wire.protocol.data_received(start)
        await asyncio.sleep(0)
        return wire.written

    assert run(app, talk).startswith(b"HTTP/1.1 4")


class Switching(Wire):
    """A connection whose protocol may change."""

    protocol: asyncio.Protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol


@pytest.mark.parametrize("step", [1, 5, 24, 100])
def test_the_first_bytes_choose_the_protocol(app: App, step: int) -> None:
    async def talk(client: Client) -> tuple[list[str], bool]:
        kinds = []
        rest = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
        greeting = frames.PREFACE + frames.settings({})
        for data in (rest, greeting, b"POST /v2"):
            wire = Switching()
            wire.protocol = opening(client.connections, client.services)
            wire.protocol.connection_made(wire)
            for start in range(0, len(data), step):
                wire.protocol.data_received(data[start : start + step])
            kinds.append(type(wire.protocol).__module__.rpartition(".")[2])
            assert wire.written.startswith((b"HTTP/1.1 200", b"\0\0", b""))
        silent = Switching()
        waiting = opening(client.connections, client.services)
        waiting.connection_made(silent)
        waiting.check(waiting._since + 100)
        open_still = not silent.is_closing()
        waiting.check(waiting._since + 121)
        return kinds, open_still and silent.is_closing()

    assert run(app, talk) == (["http", "connection", "http"], True)


# -- floods and stalls -----------------------------------------------------------------------------


def flooded(
    app: App, data: Callable[[Client, int], bytes], times: int
) -> tuple[list[Code], Client]:
    async def talk(client: Client) -> tuple[list[Code], Client]:
        client.greet()
        for number in range(times):
            client.send(data(client, number))
            if number % 50 == 0:
                await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0.001)
        client.look()
        return [code for _, code, _ in client.goaway], client

    return run(app, talk)


FLOODS: dict[str, tuple[int, Callable[[Client, int], bytes]]] = {
    "streams that are reset at once": (
        MOST_RESETS + 2,
        lambda c, n: head(c, stream=2 * n + 1) + frames.reset(2 * n + 1, Code.CANCEL),
    ),
    "pings": (MOST_NOISE + 2, lambda c, n: frame(Kind.PING, bytes(8))),
    "settings": (MOST_NOISE + 2, lambda c, n: frames.settings({})),
    "priorities": (MOST_NOISE + 2, lambda c, n: frame(Kind.PRIORITY, bytes(4) + b"x", stream=1)),
    "empty bodies": (
        MOST_NOISE + 2,
        lambda c, n: (b"" if n else head(c)) + frame(Kind.DATA, stream=1),
    ),
    "frames of no known kind": (MOST_NOISE + 2, lambda c, n: frame(0xF0, b"x")),
    "windows of a stream with nothing to send": (
        MOST_NOISE + 2,
        lambda c, n: (b"" if n else head(c)) + frames.window_update(1, 1),
    ),
    "headers that go on": (
        20,
        lambda c, n: head(c, flags=0) if not n else frame(Kind.CONTINUATION, b"", stream=1),
    ),
    "headers that grow": (
        3,
        lambda c, n: (
            head(c, flags=0) if not n else frame(Kind.CONTINUATION, bytes(MOST_HEADERS), stream=1)
        ),
    ),
    "headers that are large when they are unpacked": (1, lambda c, n: bomb()),
}


def bomb() -> bytes:
    """A block of 4 KiB that is 4 MiB."""
    entry = b"\x40\x01a\x7f\x81\x1e" + b"v" * 4000
    return frames.headers(1, entry + b"\xbe" * 1000, end=False)


@pytest.mark.parametrize(("times", "data"), FLOODS.values(), ids=FLOODS.keys())
def test_floods_end_the_connection(
    app: App, times: int, data: Callable[[Client, int], bytes]
) -> None:
    codes, client = flooded(app, data, times)
    assert codes == [Code.ENHANCE_YOUR_CALM]
    assert client.wire.is_closing()
    assert app.active == 0
    assert client.connections.held == 0


def test_a_second_later_they_are_counted_anew(app: App) -> None:
    async def talk(client: Client) -> list[tuple[int, Code, str]]:
        client.greet()
        for _ in range(3):
            for _ in range(MOST_NOISE - 10):
                client.send(frame(Kind.PING, bytes(8)))
            client.connection.check(client.connection._since)
        client.look()
        return client.goaway

    assert run(app, talk) == []


def test_more_streams_than_may_be_are_refused_unseen(app: App) -> None:
    streams = range(1, 2 * MOST_STREAMS + 4, 2)
    answers = asked(app, lambda c: b"".join(head(c, stream=n) for n in streams), streams[-1])
    assert answers[0].reset == Code.REFUSED_STREAM
    assert app.served.counters.requests.total() == 0


def test_no_more_comes_than_may(app: App) -> None:
    app.limits = Limits(body=8 * 2**20)

    async def talk(client: Client) -> list[Code]:
        client.greet()
        client.send(head(client))
        client.connection._streams[1].more = lambda: b""  # type: ignore[method-assign]
        body = framed(bytes(2 * 2**20))
        for start in range(0, 2**20 + 2**14, 2**14):
            client.send(frame(Kind.DATA, body[start : start + 2**14], stream=1))
        return [answer.reset for answer in await client.answered(1) if answer.reset]

    assert run(app, talk) == [Code.FLOW_CONTROL_ERROR]


def large(client: Client, rows: int) -> bytes:
    made = message(INFERENCE, "ModelInferRequest")(model_name="flight-delay")
    tensor = made.inputs.add(name="hour", datatype="FP32", shape=[rows, 1])
    tensor.contents.fp32_contents.extend([17.0] * rows)
    body = framed(made.SerializeToString())
    sent = head(client)
    for start in range(0, len(body), 2**14):
        sent += frame(Kind.DATA, body[start : start + 2**14], stream=1)
    return sent + frame(Kind.DATA, flags=frames.END_STREAM, stream=1)


def test_an_answer_waits_for_the_clients_windows_and_others_do_not(app: App) -> None:
    async def talk(client: Client) -> tuple[int, int, Answer, Answer]:
        client.greet({Setting.INITIAL_WINDOW_SIZE: 0})
        client.send(large(client, 9000))
        await asyncio.sleep(0)
        while not client.connection._sending:
            await asyncio.sleep(0.001)
        client.look()
        nothing = len(client.answers[1].body)
        client.send(frames.window_update(1, 1000))
        client.look()
        some = len(client.answers[1].body)
        client.send(client.call(3) + frames.window_update(3, 1000))
        (other,) = await client.answered(3)
        client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**20}))
        client.send(frames.window_update(0, 2**20))
        (answer,) = await client.answered(1)
        return nothing, some, other, answer

    nothing, some, other, answer = run(app, talk)
    assert (nothing, some) == (0, 1000)
    assert whole(other)
    assert whole(answer)
    given = message(INFERENCE, "ModelInferResponse").FromString(answer.body[5:])
    assert given.outputs[0].shape == [9000]


def test_a_client_that_never_opens_its_window_loses_the_stream(app: App) -> None:
    async def talk(client: Client) -> Answer:
        client.greet({Setting.INITIAL_WINDOW_SIZE: 0})
        client.send(client.call(1))
        while not client.connection._sending:
            await asyncio.sleep(0.001)
        now = client.connection._streams[1].since
        client.connection.check(now + 59)
        client.look()
        assert client.answers[1].reset is None
        client.connection.check(now + 61)
        return (await client.answered(1))[0]

    assert run(app, talk).reset == Code.CANCEL


def test_a_client_that_does_not_read_is_not_read(app: App) -> None:
    async def talk(client: Client) -> tuple[bool, bool, bool, bool]:
        client.greet()
        client.connection.pause_writing()
        paused = client.wire.paused
        client.send(client.call(1))
        await asyncio.sleep(0.02)
        client.look()
        silent = 1 not in client.answers
        client.connection.resume_writing()
        (answer,) = await client.answered(1)
        client.connection.pause_writing()
        client.connection.check(client.connection._since + 61)
        return paused, silent, whole(answer), client.wire.is_closing()

    assert run(app, talk) == (True, True, True, True)


def test_a_body_that_does_not_come(app: App) -> None:
    async def talk(client: Client) -> Answer:
        client.greet()
        client.send(head(client) + frame(Kind.DATA, b"\0\0\0", stream=1))
        began = client.connection._streams[1].began
        client.connection.check(began + 29)
        client.look()
        assert 1 not in client.answers
        client.connection.check(began + 31)
        return (await client.answered(1))[0]

    answer = run(app, talk)
    assert answer.status == 1
    assert "send it faster" in answer.sentence
    assert answer.reset == Code.NO_ERROR


@pytest.mark.parametrize("start", [b"\0\0", frames.HEAD.pack(0, 9, 0, 0, 1)])
def test_a_frame_that_does_not_come_to_its_end(app: App, start: bytes) -> None:
    async def talk(client: Client) -> list[Code]:
        client.greet()
        client.send(start)
        client.connection.check(client.connection._read_at + 31)
        client.look()
        return [code for _, code, _ in client.goaway]

    assert run(app, talk) == [Code.ENHANCE_YOUR_CALM]


def test_bodies_that_arrive_are_bounded_together(app: App) -> None:
    async def talk(client: Client) -> tuple[Answer, int]:
        client.connections.most_held = 20_000
        client.greet()
        for stream in (1, 3):
            client.send(head(client, stream=stream))
            start = framed(bytes(50_000))[:15_000]
            client.send(frame(Kind.DATA, start, stream=stream))
        (answer,) = await client.answered(3)
        return answer, client.connections.held

    answer, held = run(app, talk)
    assert answer.status == 14
    assert "try again" in answer.sentence
    assert held == 15_000


def test_a_connection_that_is_lost_holds_nothing(app: App) -> None:
    async def talk(client: Client) -> tuple[int, int]:
        client.greet()
        client.send(head(client) + frame(Kind.DATA, bytes(3000), stream=1) + client.call(3))
        client.connection.connection_lost(None)
        await asyncio.sleep(0.01)
        return client.connections.held, app.active

    assert run(app, talk) == (0, 0)


def test_many_frames_are_read_in_turns(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_connection, "_TURN", 0.0)

    async def talk(client: Client) -> list[int]:
        client.greet()
        client.send(b"".join(frame(Kind.PING, bytes(8)) for _ in range(30)))
        counts, paused = [client.connection._noise], client.wire.paused
        while client.connection._rest:
            await asyncio.sleep(0)
            counts.append(client.connection._noise)
        assert paused
        await asyncio.sleep(0)
        assert not client.wire.paused
        return counts

    counts = run(app, talk)
    assert counts == list(range(counts[0], counts[0] + len(counts)))
    assert len(counts) >= 30


FRAMES = st.tuples(
    st.integers(0, 11),
    st.integers(0, 255),
    st.integers(0, 7),
    st.one_of(st.binary(max_size=40), st.just(b"VALID"), st.just(b"MESSAGE")),
)


@given(said=st.lists(FRAMES, max_size=12), step=st.sampled_from([0, 1, 13]))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_frames_end_in_answers_resets_or_a_farewell(
    app: App, said: list[tuple[int, int, int, bytes]], step: int
) -> None:
    """Nothing is raised, nothing is held, nothing goes on; and no failure is the server's."""

    async def talk(client: Client) -> tuple[int, int]:
        client.greet()
        for kind, flags, stream, payload in said:
            if payload == b"VALID":
                payload = client.head()
            elif payload == b"MESSAGE":
                payload = framed(inference())
            client.send(frame(kind, payload, flags=flags, stream=stream), step)
        for _ in range(20):
            await asyncio.sleep(0)
        client.look()
        assert all(answer.reset != Code.INTERNAL_ERROR for answer in client.answers.values())
        client.connection.connection_lost(None)
        for _ in range(20):
            await asyncio.sleep(0)
        return app.active, client.connections.held

    assert run(app, talk) == (0, 0)
    assert not any(status >= 500 for status in app.served.counters.requests if status != 504)


# -- ends ------------------------------------------------------------------------------------------


def test_at_the_end_no_request_is_lost(app: App) -> None:
    async def talk(client: Client) -> tuple[list[tuple[int, Code, str]], list[Answer], bool]:
        client.greet()
        app.draining = True
        client.connection.check(client.connection._born + 2)
        client.send(client.call(1))  # on its way when it was told
        await client.answered(1)
        client.send(head(client, stream=3))
        client.connection.end()
        client.send(client.call(5))  # after the end: not looked at
        client.send(frame(Kind.DATA, framed(inference()), flags=frames.END_STREAM, stream=3))
        answers = await client.answered(1, 3)
        await asyncio.sleep(0.01)
        client.look()
        assert 5 not in client.answers
        return client.goaway, answers, client.wire.is_closing()

    goaway, answers, closed = run(app, talk)
    assert [(last, code) for last, code, _ in goaway] == [
        (frames.MOST_WINDOW, Code.NO_ERROR),
        (3, Code.NO_ERROR),
    ]
    assert all(map(whole, answers))
    assert closed


def test_a_client_that_says_nothing_for_long_is_told_and_left(app: App) -> None:
    async def talk(client: Client) -> tuple[list[tuple[int, Code, str]], bool]:
        client.greet()
        client.send(client.call(1))
        await client.answered(1)
        client.connection.check(client.connection._since + 119)
        client.look()
        assert not client.goaway
        client.connection.check(client.connection._since + 121)
        client.look()
        return client.goaway, client.wire.is_closing()

    assert run(app, talk) == ([(1, Code.NO_ERROR, "")], True)


def test_a_client_that_says_goodbye_gets_its_answers(app: App) -> None:
    async def talk(client: Client) -> tuple[Answer, bool]:
        client.greet()
        client.send(client.call(1) + frames.goaway(0, Code.NO_ERROR))
        (answer,) = await client.answered(1)
        return answer, client.wire.is_closing()

    answer, closed = run(app, talk)
    assert whole(answer)
    assert closed


# -- REST in HTTP/2 --------------------------------------------------------------------------------


def test_rest_is_answered_in_http_2_as_in_http_1(app: App) -> None:
    body = b'{"inputs":[{"name":"hour","shape":[1,1],"datatype":"FP32","data":[17.0]}]}'
    requests = [
        ("GET", "/v2/health/live", b""),
        ("HEAD", "/v2", b""),
        ("POST", "/v2/models/flight-delay/infer", body),
        ("POST", "/v2/models/flight-delay/infer", b"{"),
        ("GET", "/nothing", b""),
        ("PUT", "/v2", b""),
        ("POST", "/v2/repository/index", bytes(70_000)),
    ]
    named = {"x-request-id": "same"}

    async def talk(client: Client) -> list[Answer]:
        client.greet()
        for number, (method, path, content) in enumerate(requests):
            pairs = [(":method", method), (":scheme", "http"), (":path", path), *named.items()]
            stream = 2 * number + 1
            block = client.encoder.encode(pairs)
            client.send(frames.headers(stream, block, end=not content))
            for start in range(0, len(content), 2**14):
                last = start + 2**14 >= len(content)
                piece = content[start : start + 2**14]
                client.send(frame(Kind.DATA, piece, flags=int(last), stream=stream))
        return await client.answered(*range(1, 2 * len(requests), 2))

    for (method, path, content), answer in zip(requests, run(app, talk), strict=True):
        reply = call(app, method, path, content, named)
        assert (int(answer.headers[":status"]), answer.body) == (reply.status, reply.body)
        known = {name: text for name, text in answer.headers.items() if name[0] != ":"}
        reply.headers.pop("connection", None)
        for headers in (known, reply.headers):
            headers.pop("date")
        assert known == reply.headers


@pytest.mark.parametrize("kind", ["application/json", "application/grpc+json", "text/plain"])
def test_another_content_type_is_no_call(app: App, kind: str) -> None:
    (answer,) = asked(app, lambda c: c.call(1, content_type=kind), 1)
    assert answer.headers[":status"] == "415"
    assert b"application/grpc" in answer.body


# -- messages --------------------------------------------------------------------------------------

MESSAGES: dict[str, tuple[int, str, bytes]] = {
    "no message": (3, "no message has come", b""),
    "half a prefix": (3, "not whole", b"\0\0"),
    "half a message": (3, "not whole", framed(inference())[:-1]),
    "two messages": (3, "takes one message", framed(inference()) * 2),
    "a message and a byte": (3, "takes one message", framed(inference()) + b"x"),
    "no prefix": (3, "neither 0 nor 1", b"\x07\0\0\0\x01x"),
    "no protobuf": (3, "no inference.ModelInferRequest", framed(b"\xff\xff\xff")),
    "packed in no way": (3, "no grpc-encoding", framed(inference(), packed=1)),
    "too large a message": (8, "at most 100000", b"\0\x7f\xff\xff\xff"),
}


@pytest.mark.parametrize(("status", "sentence", "body"), MESSAGES.values(), ids=MESSAGES.keys())
def test_bad_messages(app: App, status: int, sentence: str, body: bytes) -> None:
    def data(client: Client) -> bytes:
        sent = head(client)
        if body:
            sent += frame(Kind.DATA, body, stream=1)
        return sent + frame(Kind.DATA, flags=frames.END_STREAM, stream=1)

    (answer,) = asked(app, data, 1)
    assert (answer.headers[":status"], answer.status) == ("200", status)
    assert sentence in answer.sentence
    assert sum(app.served.counters.requests.values()) == 1


def test_too_large_a_message_is_refused_before_it_comes(app: App) -> None:
    start = b"\0\x7f\xff\xff\xff"
    (answer,) = asked(app, lambda c: head(c) + frame(Kind.DATA, start, stream=1), 1)
    assert answer.status == 8
    assert answer.reset == Code.NO_ERROR or answer.ended


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_packed_messages(app: App, coding: str) -> None:
    pack: Callable[[bytes], bytes] = gzip.compress if coding == "gzip" else zlib.compress

    def data(client: Client) -> bytes:
        more = {"grpc_encoding": coding, "grpc_accept_encoding": "identity,deflate,gzip"}
        made = message(INFERENCE, "ModelInferRequest")(model_name="flight-delay")
        tensor = made.inputs.add(name="hour", datatype="FP32", shape=[500, 1])
        tensor.contents.fp32_contents.extend([17.0] * 500)
        body = framed(pack(made.SerializeToString()), packed=1)
        sent = frames.headers(1, client.head(**more), end=False)
        return sent + frame(Kind.DATA, body, flags=frames.END_STREAM, stream=1)

    (answer,) = asked(app, data, 1)
    assert answer.headers["grpc-encoding"] == coding
    assert answer.body[0] == 1
    unpacked = zlib.decompress(answer.body[5:], 47)
    given = message(INFERENCE, "ModelInferResponse").FromString(unpacked)
    assert given.outputs[0].shape == [500]


def test_a_message_that_is_large_when_it_is_unpacked(app: App) -> None:
    body = framed(gzip.compress(bytes(200_000)), packed=1)
    (answer,) = asked(
        app,
        lambda c: (
            head(c, grpc_encoding="gzip")
            + frame(Kind.DATA, body, flags=frames.END_STREAM, stream=1)
        ),
        1,
    )
    assert answer.status == 8
    assert "when it is unpacked" in answer.sentence


def test_an_unknown_packing(app: App) -> None:
    (answer,) = asked(app, lambda c: c.call(1, grpc_encoding="snappy"), 1)
    assert answer.status == 12
    assert "gzip" in answer.headers["grpc-accept-encoding"]


@pytest.mark.parametrize("path", ["/", "/x", f"{SERVICE}/ModelInfe", f"{SERVICE}/", f"{INFER}/"])
def test_an_unknown_method(app: App, path: str) -> None:
    (answer,) = asked(app, lambda c: c.call(1, path), 1)
    assert answer.status == 12
    assert path in answer.sentence
    assert app.served.counters.requests.total() == 0


# -- deadlines and cancelled calls -----------------------------------------------------------------


def counted_calls(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each call of the model has."""
    sizes: list[int] = []
    answers = model.answers

    def counted(asked: Sequence[Prepared]) -> list[ModelAnswer | Refusal]:
        sizes.append(len(asked))
        return answers(asked)

    monkeypatch.setattr(model, "answers", counted)
    return sizes


@pytest.mark.parametrize("timeout", ["", "1", "S", "123456789S", "-1S", "1x", "1.5S"])
def test_a_timeout_that_is_none(app: App, timeout: str) -> None:
    (answer,) = asked(app, lambda c: c.call(1, grpc_timeout=timeout), 1)
    assert answer.status == 3
    assert "grpc-timeout" in answer.sentence


def test_a_deadline_that_is_over_costs_no_call_of_the_model(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted_calls(app.served.model, monkeypatch)
    (answer,) = asked(app, lambda c: c.call(1, grpc_timeout="1n"), 1)
    assert answer.status == 4
    assert not calls
    assert app.served.counters.requests[504] == 1


def test_a_deadline_ends_a_call_whose_message_does_not_come(app: App) -> None:
    (answer,) = asked(app, lambda c: head(c, grpc_timeout="20m"), 1)
    assert answer.status == 4
    assert "deadline" in answer.sentence


def test_what_is_cancelled_is_not_computed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = counted_calls(app.served.model, monkeypatch)

    async def talk(client: Client) -> tuple[Answer, int]:
        client.greet()
        client.send(client.call(1) + client.call(3) + frames.reset(1, Code.CANCEL))
        (answer,) = await client.answered(3)
        return answer, app.active

    answer, active = run(app, talk)
    assert whole(answer)
    assert active == 0
    assert computed == [1]
    assert app.served.counters.requests.total() == 1


def test_too_many_at_once_are_refused(model: Model) -> None:
    app = _with(model, Limits(active=2))
    answers = asked(app, lambda c: b"".join(c.call(n) for n in (1, 3, 5)), 1, 3, 5)
    assert [answer.status for answer in answers] == [0, 0, 14]
    assert "try again in 1 s" in answers[2].sentence
    assert app.served.counters.requests == {200: 2, 503: 1}


def _with(model: Model, limits: Limits) -> App:
    return App(Served(model, predictor="v7"), limits=limits)


def test_calls_of_one_connection_share_a_turn(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(Served(model, predictor="v7", shared=True))
    sizes = counted_calls(model, monkeypatch)
    streams = range(1, 20, 2)
    given = asked(app, lambda c: b"".join(c.call(n) for n in streams), *streams)
    assert all(map(whole, given))
    assert max(sizes) > 1


def test_a_fault_of_ours_is_one_calls(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(Served, "read_message", fault)
    bad, good = asked(
        app,
        lambda c: c.call(1) + c.call(3, f"{SERVICE}/ServerLive", b""),
        1,
        3,
    )
    assert bad.status == 13
    assert "see its log" in bad.sentence
    assert good.status == 0
    assert app.served.counters.requests[500] == 1


def test_a_failing_model_is_the_servers_failure(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Refusal(500, "the model failed: ünd 100 %")
    monkeypatch.setattr(app.served.model, "answers", lambda asked: [failure for _ in asked])
    (answer,) = asked(app, lambda c: c.call(1), 1)
    assert (answer.status, answer.sentence) == (13, "the model failed: ünd 100 %")
    assert app.served.counters.requests[500] == 1


def test_an_opening_belongs_to_all_connections(app: App) -> None:
    async def talk(client: Client) -> tuple[int, bool]:
        wire = Switching()
        first: Opening = opening(client.connections, client.services)
        first.connection_made(wire)
        count = len(client.connections.open)
        client.connections.end()
        return count, wire.is_closing()

    assert run(app, talk) == (2, True)
