"""Memory that a parent and its workers share, and that outlives a worker.

Each place has one writer: a worker, or whoever has taken its place after its end. A number is
written at once, so a reader needs no lock; and what a worker had counted when it was killed is
still counted.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

_LINE = 64
"""Bytes in which places begin, so that writers do not take each other's cache lines."""
_WORD = 8
_RING = 4 * 2**20
_LENGTH = 4


class Facts:
    """What a worker and its parent say to each other by numbers."""

    SERVES, BEAT, OPEN, RECEIVED, WRITTEN, READ = range(6)
    """The process that serves; its last sign of life (`time.monotonic_ns`); its open connections,
    and how many it was handed so far; bytes written into its ring, and read from it."""
    COUNT = 6


class Ring:
    """Records on their way from a worker to the parent.

    Args:
        content: where they stand.
        facts: the worker's.
    """

    def __init__(self, content: memoryview, facts: memoryview) -> None:
        self._content = content
        self._facts = facts

    def put(self, record: bytes) -> bool:
        """Write one; False where there is no room for it. It is there when all of it is."""
        facts, room = self._facts, len(self._content)
        framed = len(record).to_bytes(_LENGTH, "little") + record
        written = facts[Facts.WRITTEN]
        if written - facts[Facts.READ] + len(framed) > room:
            return False
        at = written % room
        end = at + len(framed)
        if end <= room:
            self._content[at:end] = framed
        else:
            self._content[at:] = framed[: room - at]
            self._content[: end - room] = framed[room - at :]
        facts[Facts.WRITTEN] = written + len(framed)
        return True

    def take(self) -> Iterator[bytes]:
        """What was written since."""
        facts, room = self._facts, len(self._content)
        read, written = facts[Facts.READ], facts[Facts.WRITTEN]
        if read == written:
            return
        at, end = read % room, read % room + written - read
        content = bytes(self._content[at:end])
        if end > room:
            content += bytes(self._content[: end - room])
        facts[Facts.READ] = written
        start = 0
        while start < len(content):
            length = int.from_bytes(content[start : start + _LENGTH], "little")
            start += _LENGTH + length
            yield content[start - length : start]


class Memory:
    """Made by the parent before its workers.

    Args:
        workers: how many.
        integers: that each counts, the parent too, after the last worker.
        floats: likewise.
        ring: bytes of each worker's ring.
    """

    def __init__(self, workers: int, *, integers: int, floats: int, ring: int = _RING) -> None:
        sizes = (_rounded(integers), _rounded(floats), _rounded(Facts.COUNT))
        places = workers + 1
        self._map = mmap.mmap(-1, places * sum(sizes) + workers * ring)
        whole, at = memoryview(self._map), 0

        def cut(size: int, count: int) -> list[memoryview]:
            nonlocal at
            start, at = at, at + size * count
            return [whole[begin : begin + size] for begin in range(start, at, size)]

        self.integers = [own.cast("q") for own in cut(sizes[0], places)]
        self.floats: list[memoryview[float]] = [own.cast("d") for own in cut(sizes[1], places)]
        self.facts = [own.cast("q") for own in cut(sizes[2], places)]
        rings = cut(ring, workers)
        self.rings = [Ring(own, facts) for own, facts in zip(rings, self.facts, strict=False)]


def _rounded(words: int) -> int:
    return -(-words * _WORD // _LINE) * _LINE
