"""HTTP/1.1 as hostile, slow and odd clients speak it, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from serving.runtime.app import App
from serving.runtime.connections import Connections, Patience
from serving.runtime.http import Connection
from serving.runtime.messages import Request
from serving.runtime.model import Model
from serving.runtime.served import Served
from tests.unit.runtime.conftest import Wire

CONTENT = json.dumps(
    {"inputs": [{"name": "hour", "shape": [1], "datatype": "FP32", "data": [17.0]}]}
).replace("[1]", "[1, 1]").encode()  # fmt: skip
PATH = "/v2/models/flight-delay/infer"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
Given = TypeVar("Given")


def post(content: bytes = CONTENT, *lines: str, path: str = PATH, version: str = "1.1") -> bytes:
    """An inference request."""
    head = [f"POST {path} HTTP/{version}", "host: x", f"content-length: {len(content)}", *lines]
    return "\r\n".join((*head, "", "")).encode() + content


def chunked(*lines: str, sizes: tuple[int, ...] = (5, 20), trailer: str = "") -> bytes:
    """The same in chunks."""
    pieces, rest = [], CONTENT
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    head = [f"POST {PATH} HTTP/1.1", "host: x", "transfer-encoding: chunked", *lines, "", ""]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, rest))
    return "\r\n".join(head).encode() + chunks + f"0\r\n{trailer}\r\n".encode()


class Client:
    """A client and its connection."""

    def __init__(self, connections: Connections) -> None:
        self.wire = Wire()
        self.connection = Connection(connections)
        self.connection.connection_made(self.wire)

    def send(self, data: bytes, step: int = 0) -> None:
        """Bytes, in pieces of a size."""
        for start in range(0, len(data), step or len(data)):
            if not self.wire.is_closing():
                self.connection.data_received(data[start : start + (step or len(data))])

    def statuses(self) -> list[int]:
        """Of the answers that came."""
        lines = self.wire.written.split(b"HTTP/1.1 ")[1:]
        return [int(line[:3]) for line in lines if not line.startswith(b"100 ")]

    def closed_after(self, *seconds: float) -> list[bool]:
        """Whether it is given up when the client has stalled for so long, one after another."""
        closed = []
        for waited in seconds:
            self.connection.check(self.connection._since + waited)
            closed.append(self.wire.is_closing())
        return closed

    async def answered(self, count: int) -> list[int]:
        """The statuses of so many answers."""
        for _ in range(2000):
            if len(self.statuses()) >= count:
                break
            await asyncio.sleep(0.001)
        return self.statuses()


def run(
    app: App, talk: Callable[[Client], Awaitable[Given]], patience: Patience | None = None
) -> Given:
    """A client's talk with the application."""

    async def go() -> Given:
        return await talk(Client(Connections(app, patience=patience)))

    return asyncio.run(go())


def said(app: App, data: bytes, count: int, step: int = 0) -> tuple[list[int], bool]:
    """The statuses that bytes are answered with, and whether the connection is closed."""

    async def talk(client: Client) -> tuple[list[int], bool]:
        client.send(data, step)
        statuses = await client.answered(count)
        await asyncio.sleep(0.01)
        return client.statuses() or statuses, client.wire.is_closing()

    return run(app, talk)


GOOD = {
    "plain": post(),
    "chunked": chunked(),
    "chunks of a byte": chunked(sizes=(1,) * 60),
    "with a query": post(path=f"{PATH}?a=b"),
    "an absolute target": post(path=f"http://x:80{PATH}"),
    "capital letters": post(CONTENT, "X-REQUEST-ID: Abc"),
    "a header twice": post(CONTENT, "x-a: 1", "x-a: 2"),
    "folded by nobody": post(CONTENT, "x-a:   1   "),
    "a trailer": chunked(trailer="x-request-id: from-the-trailer\r\n"),
    "a chunk's extension": chunked().replace(b"\r\n5\r\n", b"\r\n5;name=value\r\n"),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_whatever_pieces_a_request_comes_in_it_is_answered(app: App, data: bytes) -> None:
    for step in (0, 1, 7, 64):
        assert said(app, data, 1, step) == ([200], False)
        assert said(app, data + data + LIVE, 3, step) == ([200, 200, 200], False)


BAD = {
    "no HTTP": b"hello\r\n\r\n",
    "another version": b"GET / HTTP/3.7\r\nhost: x\r\n\r\n",
    "both lengths": post(CONTENT, "transfer-encoding: chunked"),
    "two lengths": post(CONTENT, "content-length: 3"),
    "the same length twice": post(CONTENT, f"content-length: {len(CONTENT)}"),
    "a negative length": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\n{",
    "a length of letters": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0x10\r\n\r\n",
    "an endless length": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: "
    + b"9" * 30
    + b"\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "a chunk without a size": chunked().replace(b"\r\n5\r\n", b"\r\n\r\n"),
    "a chunk's size of letters": chunked().replace(b"\r\n5\r\n", b"\r\nxyz\r\n"),
    "an endless chunk": chunked().replace(b"\r\n5\r\n", b"\r\n" + b"f" * 20 + b"\r\n"),
    "another coding": b"GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
    "no coding": b"HEAD / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: identity\r\n\r\n",
    "chunked within": chunked("transfer-encoding: identity"),
    "NUL in a header": b"GET / HTTP/1.1\r\nhost: \0\r\n\r\n",
    "a bare line feed in a header": b"GET / HTTP/1.1\r\nhost: x\rfoo: bar\r\n\r\n",
    "a target with blanks": b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
    "a target of another kind": b"GET nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_request_is_refused_and_the_connection_closed(app: App, data: bytes) -> None:
    for step in (0, 1, 7):
        assert said(app, data, 1, step) == ([400], True)
        # Answers to what came before are given first, and what follows is no request.
        assert said(app, post() + LIVE + data + LIVE, 3, step) == ([200, 200, 400], True)
    assert app.served.counters.requests.keys() == {200}


def test_answers_come_in_the_order_of_their_requests(app: App) -> None:
    ids = [f"r{number}" for number in range(300)]

    async def talk(client: Client) -> list[str]:
        data = b"".join(post(CONTENT, f"x-request-id: {name}") for name in ids)
        client.send(data, 50_000)
        await client.answered(len(ids))
        lines = client.wire.written.decode().splitlines()
        return [line[14:] for line in lines if line.startswith("x-request-id: ")]

    assert run(app, talk) == ids


def test_who_says_that_it_sends_no_more_is_answered_before_the_end(app: App) -> None:
    assert said(app, post(CONTENT, "connection: close") + LIVE, 2) == ([200], True)
    assert said(app, post(version="1.0") + LIVE, 2) == ([200], True)
    assert said(app, LIVE.replace(b"1.1", b"1.0"), 1) == ([200], True)
    kept = post(CONTENT, "connection: keep-alive", version="1.0")
    assert said(app, kept + kept, 2) == ([200, 200], False)

    async def half_closed(client: Client) -> tuple[bool, list[int], bool]:
        client.send(post())
        stays = client.connection.eof_received()
        return stays, await client.answered(1), client.wire.is_closing()

    assert run(app, half_closed) == (True, [200], True)


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "DELETE", "PUT", "PATCH"])
def test_other_methods_are_refused(app: App, method: str) -> None:
    target = "x:80" if method == "CONNECT" else PATH
    statuses, _ = said(app, f"{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode(), 1)
    assert statuses == [404 if method == "CONNECT" else 405]


def test_a_body_is_asked_for_once(app: App) -> None:
    head, _, content = post(CONTENT, "expect: 100-continue").partition(b"\r\n\r\n")

    async def talk(client: Client) -> bytes:
        client.send(head + b"\r\n\r\n")
        told = client.wire.written
        client.send(content)
        assert await client.answered(1) == [200]
        return told

    assert run(app, talk) == b"HTTP/1.1 100 Continue\r\n\r\n"
    # Who does not wait is not told; nor is who is refused.
    assert said(app, head + b"\r\n\r\n" + content, 1)[0] == [200]
    refused = head.replace(PATH.encode(), b"/nowhere")

    async def refusal(client: Client) -> bytes:
        client.send(refused + b"\r\n\r\n")
        await client.answered(1)
        return client.wire.written

    assert run(app, refusal).startswith(b"HTTP/1.1 404 ")


def test_the_rest_of_a_refused_request_is_passed_over(app: App) -> None:
    refused = post(b"x" * 5000, path="/nowhere")
    for step in (0, 100, 4000):
        assert said(app, refused + post(), 2, step) == ([404, 200], False)
    # But not without end.
    assert said(app, post(b"x" * 500_000, path="/nowhere"), 1, 10_000) == ([404], True)
    large = post(b" " * 150_000)  # more than a body may have, less than is read on for
    assert said(app, large, 1, 10_000) == ([413], True)


SLOW = {
    "a head": (b"POST ", 31, [408]),
    "a body": (post()[:-10], 31, [408]),
    "nothing": (b"", 121, []),
    "nothing more": (LIVE, 121, [200]),
    "nothing more than a refusal": (b"x" * 70_000, 6, [431]),
}


@pytest.mark.parametrize(("data", "seconds", "statuses"), SLOW.values(), ids=SLOW.keys())
def test_who_stalls_is_given_up(app: App, data: bytes, seconds: float, statuses: list[int]) -> None:
    async def talk(client: Client) -> tuple[bool, list[int], bool]:
        if data:
            client.send(data)
        await asyncio.sleep(0)
        began = client.connection._since
        client.connection.check(began + seconds - 2)
        early = client.wire.is_closing()
        client.connection.check(began + seconds)
        return early, client.statuses(), client.wire.is_closing()

    early, answered, late = run(app, talk)
    assert (answered, late) == (statuses, True)
    assert not early or statuses == [431]
    assert app.served.counters.requests == {200: 0}


def test_a_body_has_the_time_that_its_size_needs(app: App) -> None:
    async def talk(client: Client) -> list[bool]:
        client.send(post(b" " * 90_000)[:80_000])
        return client.closed_after(33, 37)

    assert run(app, talk) == [False, True]


def test_bodies_that_are_still_arriving_are_bounded_together(app: App) -> None:
    async def talk() -> tuple[list[list[int]], int]:
        connections = Connections(app, held=200_000)
        clients = [Client(connections) for _ in range(5)]
        for client in clients:
            client.send(post(b" " * 90_000)[:-100], 10_000)
        statuses = [client.statuses() for client in clients]
        for client in clients:
            client.connection.connection_lost(None)
        return statuses, connections.held

    statuses, held = asyncio.run(talk())
    assert statuses == [[], [], [503], [503], [503]]
    assert held == 0


def test_what_comes_behind_a_request_that_takes_long_is_not_read(app: App) -> None:
    large = json.dumps(
        {"inputs": [{"name": "hour", "shape": [9000, 1], "datatype": "FP32", "data": [1] * 9000}]}
    ).encode()

    async def talk(client: Client) -> tuple[list[bool], list[int]]:
        client.send(post(large))  # answered in a thread
        client.send(post(b" " * 90_000)[:50_000])
        paused = [client.wire.paused]
        statuses = await client.answered(1)
        for _ in range(100):
            if client.wire.paused:
                await asyncio.sleep(0.01)
        return [*paused, client.wire.paused], statuses

    assert run(app, talk) == ([True, False], [200])


def test_who_does_not_read_gets_no_more(app: App) -> None:
    async def talk(client: Client) -> tuple[list[int], list[int], bool]:
        client.connection.pause_writing()
        client.send(post() + LIVE + LIVE)
        await asyncio.sleep(0.01)
        before = client.statuses()
        client.connection.resume_writing()
        after = await client.answered(3)
        client.connection.pause_writing()
        client.connection.check(client.connection._since + 61)
        return before, after, client.wire.is_closing()

    assert run(app, talk) == ([], [200, 200, 200], True)


def test_a_fault_of_the_server_is_no_mistake_of_the_client(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app.served.model, "prepared", broken)
    monkeypatch.setattr(app.served.counters.seconds, "lines", broken)
    monkeypatch.setattr(app.served.record, "judge", broken)
    assert said(app, post(), 1) == ([500], False)
    assert said(app, b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" + LIVE, 2) == ([500, 200], False)
    feedback = b'{"id": "r", "outcome": [1]}'
    data = post(feedback, path="/v2/models/flight-delay/feedback")
    assert said(app, data + LIVE, 2) == ([500, 200], False)
    assert app.served.counters.requests == {200: 0, 500: 1}
    assert app.active == 0


def test_refusals_under_too_much_work_are_logged_once_a_second(
    model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App(Served(model))
    for _ in range(50):
        request = Request("POST", PATH.encode(), {}, True)
        assert app.admit(request) is None
        app.crowded(request, "too much work")
    assert 1 <= capsys.readouterr().out.count("too much work") <= 2
    assert app.served.counters.requests == {200: 0, 503: 50}


def test_what_has_arrived_is_answered_though_the_server_ends(app: App) -> None:
    app.draining = True
    for data in (post() * 3, LIVE + post() + LIVE):
        assert said(app, data, 3)[0] == [200, 200, 200]
    assert said(app, post(), 1) == ([200], True)


def test_what_follows_connect_is_not_waited_for(app: App) -> None:
    assert said(app, b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n" + LIVE, 1) == ([404], True)


def test_a_request_has_one_answer(app: App) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    for step in (0, 1):
        assert said(app, head + b"xyz\r\n" + LIVE, 1, step) == ([404], True)

    async def stalls(client: Client) -> tuple[list[int], bool]:
        client.send(head + b"5\r\n")
        client.connection.check(client.connection._since + 31)
        return client.statuses(), client.wire.is_closing()

    assert run(app, stalls) == ([404], True)


@pytest.mark.parametrize(("target", "status"), [("/v2", 200), ("/x", 404)])
def test_many_requests_at_once_leave_others_their_turn(app: App, target: str, status: int) -> None:
    async def talk(client: Client) -> tuple[int, list[int]]:
        client.send(f"GET {target} HTTP/1.1\r\n\r\n".encode() * 4_000)
        early = len(client.statuses())
        return early, await client.answered(4_000)

    early, statuses = run(app, talk)
    assert 0 < early < 3_900
    assert statuses == [status] * 4_000


def test_the_older_version_is_told_nothing_before_its_answer(app: App) -> None:
    async def talk(client: Client) -> bytes:
        client.send(post(CONTENT, "expect: 100-continue", version="1.0").partition(b"{")[0])
        return client.wire.written

    assert run(app, talk) == b""


def test_an_answer_has_the_time_that_its_size_needs(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wire, "get_write_buffer_size", lambda _: 160 * 2**10)

    async def talk(client: Client) -> list[bool]:
        client.send(LIVE)
        client.connection.pause_writing()
        return client.closed_after(69, 71)

    assert run(app, talk) == [False, True]
