"""The write-ahead journal: what makes a killed run resumable.

Each operation is recorded before it starts, with one fsync, and its result after. The result needs
no fsync of its own: a killed process loses nothing that was written, and after a power failure an
operation without a result is looked up like any that was interrupted. The next operation's fsync
carries it along.

A journal belongs to one checkpoint, named in its first line by digest; beside any other checkpoint
it is already part of it, and is ignored.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pocket import files
from pocket.engine.secrets import Crypter
from pocket.engine.state import (
    Deployment,
    Operation,
    OperationKind,
    ResourceState,
    dump_resource,
    load_resource,
)
from pocket.errors import DeploymentError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes one of a stack's files.

    Raises:
        DeploymentError: it could not: a full disk, say. What was on the disk before is whole.
    """
    fix = (
        "and run the same command again: the state as it was is whole, and what was begun since "
        "is looked up."
    )
    with files.writing(path, DeploymentError, fix):
        yield


class JournalFile:
    """Appends records to a file.

    Args:
        path: the journal; anything there already is replaced at the first record.
        base: the digest of the checkpoint it continues.
    """

    def __init__(self, path: Path, base: str) -> None:
        self._path = path
        self._base = base
        self._stream: IO[str] | None = None

    def write(self, record: Mapping[str, Any], *, sync: bool = False, flush: bool = True) -> None:
        """Append one record.

        Args:
            record: what to append.
            sync: it, and all before it, is on the disk when this returns.
            flush: it outlives this process; without, it may be lost with it.
        """
        with writing(self._path):
            if self._stream is None:
                self._stream = self._path.open("w", encoding="utf-8")
                self._path.chmod(0o600)
                self._stream.write(json.dumps({"base": self._base}) + "\n")
            self._stream.write(json.dumps(record, separators=(",", ":")) + "\n")
            if flush or sync:
                self._stream.flush()
            if sync:
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with writing(self._path):
                stream.close()


def read_journal(path: Path, base: str) -> list[dict[str, Any]]:
    """The records that continue a checkpoint; a last line that was cut off never happened."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    records = []
    for line in lines[:-1]:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    if not records or records[0].get("base") != base:
        return []
    return records[1:]


@dataclass
class Snapshot:
    """A stack's resources while a run changes them, each change journalled as it happens.

    Every state has a number: those of the checkpoint come first, in its order. What the run
    registers stands in front of what it has not come to yet, so that at any moment each resource
    comes after what it needs.

    Args:
        base: the state the run starts from.
        journal: where changes are recorded; None in a preview.
        crypter: encrypts the secrets in the records.
    """

    base: Deployment
    journal: JournalFile | None
    crypter: Crypter
    states: dict[int, ResourceState] = field(init=False)
    pending: dict[int, Operation] = field(init=False)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._salt = self.crypter.salt
        self.states = dict(enumerate(self.base.resources))
        self.pending = dict(enumerate(self.base.pending))
        self._first_new = len(self.states)
        self._numbers = itertools.count(self._first_new)
        self._operations = itertools.count(len(self.pending))

    def begin(self, kind: OperationKind, state: ResourceState) -> int:
        """Record that an operation starts. On the disk when this returns."""
        with self._lock:
            number = next(self._operations)
            self.pending[number] = Operation(kind, state)
            self._write({"begin": number, "kind": kind, "resource": self._dump(state)}, sync=True)
            return number

    def commit(
        self,
        operation: int | None = None,
        *,
        add: ResourceState | None = None,
        put: Mapping[int, ResourceState] | None = None,
        drop: Iterable[int] = (),
    ) -> int:
        """Record a result in one step: the operation is over, states are added, replaced, dropped.

        A result of no operation has no effect outside and need not outlive a killed process.

        Returns:
            the number of the added state, or -1.
        """
        changed = dict(put or {})
        number = -1
        if add is not None:
            with self._lock:
                number = next(self._numbers)
            changed[number] = add
        gone = list(drop)
        record = {
            "end": operation,
            "put": [[at, self._dump(state)] for at, state in changed.items()],
            "drop": gone,
        }
        with self._lock:
            self._apply(operation, changed, gone)
            self._write(record, sync=False, flush=operation is not None)
        return number

    def replay(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Bring in what a journal has recorded."""
        for record in records:
            if "begin" in record:
                state = load_resource(record["resource"], self.crypter)
                self.pending[record["begin"]] = Operation(record["kind"], state)
            else:
                put = {at: load_resource(one, self.crypter) for at, one in record["put"]}
                self._apply(record["end"], put, record["drop"])

    def deployment(self) -> Deployment:
        """The state as of now, in an order in which each resource comes after what it needs."""
        with self._lock:
            new = [state for at, state in self.states.items() if at >= self._first_new]
            old = [state for at, state in self.states.items() if at < self._first_new]
            names = {former: state.urn for state in new for former in state.aliases}
            for urn in {state.urn for state in new}:
                names.pop(urn, None)
            settled = [state.settled(names) for state in new + old]
            # A refresh that was killed has found some gone to which others still refer.
            present = {state.urn for state in settled}
            resources = tuple(state.without_missing(present) for state in settled)
            return Deployment(
                tuple(state for state in in_order(resources)),
                tuple(self.pending.values()),
                self.base.metadata,
            )

    def _apply(
        self, operation: int | None, put: Mapping[int, ResourceState], drop: Iterable[int]
    ) -> None:
        if operation is not None:
            self.pending.pop(operation, None)
        for number in drop:
            self.states.pop(number, None)
        self.states.update(put)

    def _dump(self, state: ResourceState) -> dict[str, Any]:
        return dump_resource(state, self.crypter) if self.journal else {}

    def _write(self, record: Mapping[str, Any], *, sync: bool, flush: bool = True) -> None:
        if self.journal is None:
            return
        if self.crypter.salt != self._salt:
            # Made by the first secret of this run: without it the record could not be read again.
            self._salt = self.crypter.salt
            self.journal.write({"salt": self._salt}, flush=False)
        self.journal.write(record, sync=sync, flush=flush)


def in_order(resources: tuple[ResourceState, ...]) -> list[ResourceState]:
    """The resources with each after those it needs; otherwise in the order they are in.

    Two things break the order of a half-done run: a resource that was moved under another, and one
    whose old version still stands where the new one has gone. Among resources of one URN the live
    one counts.
    """
    live = {state.urn: at for at, state in enumerate(resources) if not state.delete}
    ordered: list[ResourceState] = []
    done: set[int] = set()

    def place(at: int) -> None:
        stack = [(at, iter(sorted(needs(at))))]
        done.add(at)
        while stack:
            current, remaining = stack[-1]
            step = next((one for one in remaining if one not in done), None)
            if step is None:
                ordered.append(resources[current])
                stack.pop()
            else:
                done.add(step)
                stack.append((step, iter(sorted(needs(step)))))

    def needs(at: int) -> set[int]:
        return {live[urn] for urn in resources[at].all_dependencies() if urn in live} - {at}

    for at in range(len(resources)):
        if at not in done:
            place(at)
    return ordered
