"""Fuzz: the same bytes for our model server and for uvicorn, and what each does with them.

`python -m benchmarks.fuzz --seconds 60 --seed 1` makes streams of requests, right ones and ones
whose framing is changed, cut into pieces and ended in every way, and compares the statuses that
come back and whether the connection is closed. A difference that no rule of `INTENDED` explains, an
answer of 5xx, a connection that hangs, memory that grows and file descriptors that stay end it with
1; the stream is then printed as a literal, as short as it still shows it. `--stream LITERAL` sends
one.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import os
import random
import re
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped,unused-ignore]

from benchmarks.fuzz_streams import Stream, made
from pocket.supervisor import HttpReady, Port, Running, Spec, Supervisor
from tests.serving_model import make_artifact

ROOT = Path(__file__).parents[1]
AT_ONCE = 48
"""Connections."""
QUIET, HANG = 0.3, 5.0
"""Seconds without a byte after which no answer is expected; and where the other has answered."""
GROWTH = 20 * 2**20
_RESET = socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Z]")


class Outcome(NamedTuple):
    """What a server did: the statuses of its answers, and whether it closed."""

    statuses: tuple[int, ...] = ()
    closed: bool = False


class Rule(NamedTuple):
    """A difference that is meant: why, and how it is known (the stream, ours, theirs)."""

    why: str
    holds: Callable[[Stream, Outcome, Outcome], bool]


def _has(pattern: bytes) -> Callable[[Stream, Outcome, Outcome], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda stream, *_: compiled.search(stream.data) is not None


def _dropped(stream: Stream, ours: Outcome, theirs: Outcome) -> bool:
    less = theirs.statuses[:-1] if theirs.statuses[-1:] == (400,) else theirs.statuses
    kept = ours.statuses[: len(less)] == less
    return kept and theirs.closed and (ours.closed or stream.end == "half")


_AT_ONCE = Rule(
    "requests that came before bytes that are none, or before the end, are answered; uvicorn drops "
    "those under way (ours are the same however the bytes are cut)",
    _dropped,
)
INTENDED: tuple[Rule, ...] = (
    _AT_ONCE,
    Rule(
        "a head of more than 64 KiB is refused; uvicorn takes any",
        lambda stream, ours, _: len(stream.data) > 2**16 and ours.statuses[-1:] in ((414,), (431,)),
    ),
    Rule(
        "who was refused by its head gets no second answer for a body that is none",
        lambda _, ours, theirs: (
            ours.closed
            and ours.statuses[-1:] in ((404,), (405,), (413,))
            and theirs in (Outcome((*ours.statuses[:cut], 400), True) for cut in (-1, None))
        ),
    ),
    Rule(
        "uvicorn resets a client that still sends, and its answer is lost",
        lambda stream, ours, theirs: (
            len(stream.data) > 2**16
            and theirs == Outcome(ours.statuses[:-1], True)
            and ours == Outcome((*theirs.statuses, 400), True)
        ),
    ),
    Rule(
        "what follows CONNECT is no request of ours: the connection ends; uvicorn's stays, deaf",
        lambda stream, ours, theirs: (
            b"CONNECT " in stream.data
            and ours.closed
            and theirs == Outcome(ours.statuses, closed=False)
        ),
    ),
    Rule(
        "a target without a path means / (RFC 9112, 3.2.2); uvicorn refuses it",
        _has(rb"(?m)^[a-z]+ ([a-z]+://[^/ ?]*(\?\S*)?|\*|\S+:\d+) "),
    ),
)


# --- Sending --------------------------------------------------------------------------------------


async def talk(port: int, stream: Stream, quiet: float = QUIET, least: int = 0) -> Outcome:
    """Send a stream; gives what came back.

    Args:
        port: of the server.
        stream: what to send.
        quiet: seconds without a byte after which no more is expected.
        least: answers that are waited for as long as `HANG`.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received, closed = bytearray(), False

    async def send() -> None:
        with suppress(ConnectionError):
            sent = b""
            for piece in (*stream.pieces, 0.0):
                if isinstance(piece, bytes):
                    sent += piece
                    continue
                writer.write(sent)
                sent = b""
                await asyncio.sleep(piece)
            if stream.end == "half":
                writer.write_eof()

    sending = asyncio.create_task(send())
    try:
        if stream.end in ("reset", "leave"):
            await sending
            if stream.end == "reset":
                with suppress(OSError):  # the server was first
                    writer.get_extra_info("socket").setsockopt(*_RESET)
            return Outcome()
        while not closed:
            waiting = not sending.done() or len(_STATUS.findall(received)) < least
            try:
                piece = await asyncio.wait_for(reader.read(2**16), HANG if waiting else quiet)
            except TimeoutError:
                break
            except ConnectionError:
                piece = b""
            received += piece
            closed = not piece
    finally:
        sending.cancel()
        writer.transport.abort()
    statuses = (int(status) for status in _STATUS.findall(received))
    return Outcome(tuple(status for status in statuses if status != 100), closed)


def _meant(stream: Stream, ours: Outcome, theirs: Outcome) -> str:
    holding = (rule.why for rule in INTENDED if rule.holds(stream, ours, theirs))
    return next(holding, "")


class Pair(NamedTuple):
    """Both servers' ports."""

    ours: int
    theirs: int

    async def asked(self, stream: Stream, quiet: float = QUIET) -> tuple[Outcome, Outcome]:
        """What both do; ours has the longer time where they have answered more."""
        theirs = await talk(self.theirs, stream, quiet)
        return await talk(self.ours, stream, quiet, len(theirs.statuses)), theirs

    async def verdict(self, stream: Stream) -> tuple[str, Outcome, Outcome]:
        """Why it differs: a rule's sentence, "" for not at all, or what is wrong ("!…")."""
        for again in range(1, 4):  # what is only late, on a machine with other work, is none
            ours, theirs = await self.asked(stream, QUIET * again)
            if any(status >= 500 for status in ours.statuses):
                return "!an answer of 5xx", ours, theirs
            if ours == theirs:
                return "", ours, theirs
            slow = await self.asked(stream.slowly(0.03 * again), QUIET * again)
            # Ours may depend on how bytes are cut only where it stops reading a long head.
            if ours == slow[0] or len(stream.data) > 2**16:
                for outcomes in (slow, (ours, theirs)):
                    if rule := _meant(stream, *outcomes):
                        return rule, *outcomes
        hangs = len(ours.statuses) < len(theirs.statuses) and not ours.closed
        return "!it hangs" if hangs else "!a difference that no rule explains", ours, theirs

    async def shrunk(self, stream: Stream, why: str) -> Stream:
        """The stream without the pieces that it does not need."""
        at = len(stream.pieces) - 1
        while at >= 0:
            less = stream._replace(pieces=stream.pieces[:at] + stream.pieces[at + 1 :])
            if (await self.verdict(less))[0] == why:
                stream = less
            at = min(at, len(stream.pieces)) - 1
        return stream


# --- The run --------------------------------------------------------------------------------------


async def fuzz(pair: Pair, seconds: float, seed: int) -> tuple[Counter[str], list[str]]:
    """Send streams for a time; gives how often each rule held, and what is wrong."""
    choose, seen, wrong = random.Random(seed), Counter[str](), list[str]()
    until = time.monotonic() + seconds

    async def work() -> None:
        while time.monotonic() < until and not wrong:
            stream = made(choose)
            why, ours, theirs = await pair.verdict(stream)
            seen[why] += 1
            if why.startswith("!") and not wrong:
                wrong.append(why[1:])
                stream = await pair.shrunk(stream, why)
                _, ours, theirs = await pair.verdict(stream)
                wrong.append(f"{tuple(stream)!r}\nours: {ours}, uvicorn: {theirs}")

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return seen, wrong


def _held(process: psutil.Process) -> tuple[int, int]:
    """Bytes of memory, and file descriptors."""
    return process.memory_info().rss, process.num_fds()


def _descriptors_left(process: psutil.Process, before: int) -> int:
    """How many more are open than before, once connections have had the time to end."""
    until = time.monotonic() + 10
    while process.num_fds() > before and time.monotonic() < until:
        time.sleep(0.1)
    return int(process.num_fds()) - before


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[Running, Running]]:
    supervisor = Supervisor(folder / "twin")
    ours = (
        *("-m", "serving.runtime", "--artifact", str(make_artifact(folder / "artifact"))),
        "--port",
        Port(),
    )
    theirs = (
        *(
            "-m",
            "uvicorn",
            "benchmarks.peers.plain_asgi:app",
            "--http",
            "httptools",
            "--ws",
            "none",
        ),
        *(
            "--lifespan",
            "off",
            "--log-level",
            "critical",
            "--timeout-keep-alive",
            "120",
            "--port",
            Port(),
        ),
    )
    ready = HttpReady(path="/v2/health/ready")
    try:
        names = (("ours", ours), ("uvicorn", theirs))
        first, second = (
            supervisor.start(Spec(name=name, argv=(sys.executable, *argv), cwd=ROOT, ready=ready))
            for name, argv in names
        )
        yield first, second
    finally:
        supervisor.stop_all()


def _section(seen: Counter[str], options: argparse.Namespace, growth: int) -> str:
    """The section of docs/benchmarks.md."""
    rows = "\n".join(f"| {rule.why} | {seen[rule.why]:,} |" for rule in INTENDED)
    return (
        f"`python -m benchmarks.fuzz --seconds {options.seconds:.0f} --seed {options.seed}`, "
        f"{date.today().isoformat()}, {os.cpu_count()} cores: {seen.total():,} streams, "
        f"{seen['']:,} answered alike; our memory grew by {growth / 2**20:.1f} MiB.\n\n"
        f"| difference that is meant | streams |\n|---|---:|\n{rows}\n"
    )


def main() -> int:
    """Fuzz, or send one stream; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stream", type=ast.literal_eval, help="one stream, as it is printed")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="millwright-fuzz-") as folder,
        _servers(Path(folder)) as both,
    ):
        pair = Pair(both[0].port, both[1].port)
        if options.stream:
            print(*asyncio.run(pair.verdict(Stream(*options.stream))), sep="\n")
            return 0
        process = psutil.Process(both[0].pid)
        _, open_before = _held(process)
        seen, wrong = asyncio.run(fuzz(pair, options.seconds / 5, options.seed))
        memory, _ = _held(process)
        if not wrong:
            more, wrong = asyncio.run(fuzz(pair, options.seconds * 4 / 5, options.seed + 1_000_000))
            seen += more
        growth = _held(process)[0] - memory
        if growth > GROWTH:
            wrong.append(f"memory grew by {growth / 2**20:.1f} MiB")
        if left := _descriptors_left(process, open_before):
            wrong.append(f"{left} file descriptors are left")
    print(_section(seen, options, growth))
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
