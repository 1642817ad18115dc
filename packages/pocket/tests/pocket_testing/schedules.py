"""Every order in which threads can go on, tried one after another.

Threads run one at a time and stop at points that they name; at each the explorer chooses who goes
on. It begins with the schedule in which everybody runs until he must wait, and from there tries
every other choice within a number of preemptions: the errors of concurrent programs that are known
show with two (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 20.0
"""Seconds until a thread that neither ends nor comes to a point counts as stuck."""


@dataclass(frozen=True)
class Choice:
    """What was chosen at one moment: which of how many, and whether the first had its turn."""

    taken: int
    of: int
    first_could_go_on: bool

    @property
    def preempts(self) -> bool:
        return self.taken > 0 and self.first_could_go_on


class DeadlockError(AssertionError):
    """Everybody waits."""


@dataclass
class Schedule:
    """One run of some threads, by choices made before; after the last, whoever runs goes on.

    Args:
        prefix: the choices.
    """

    prefix: Sequence[int]
    choices: list[Choice] = field(default_factory=list)
    failures: dict[str, BaseException] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: dict[str, Callable[[], bool]] = {}
        self._running: set[str] = set()
        self._granted = ""

    def point(self) -> None:
        """Let another thread go on here; does nothing in a thread that is not of the schedule."""
        self.until(lambda: True)

    def until(self, condition: Callable[[], bool]) -> None:
        """Go on when a condition holds, and when it is this thread's turn."""
        name = threading.current_thread().name
        with self._condition:
            if name not in self._running:
                return
            self._running.discard(name)
            self._waiting[name] = condition
            self._condition.notify_all()
            assert self._condition.wait_for(lambda: self._granted == name, PATIENCE)
            self._granted = ""
            del self._waiting[name]
            self._running.add(name)

    def run(self, actions: dict[str, Callable[[], Any]]) -> None:
        """Do all actions, each in a thread of its own, one step at a time.

        Raises:
            DeadlockError: some wait, and nothing that they wait for can come.
        """
        threads = [
            threading.Thread(target=self._act, args=(name, action), name=name, daemon=True)
            for name, action in actions.items()
        ]
        self._running = set(actions)
        for thread in threads:
            thread.start()
        current = ""
        while True:
            with self._condition:
                assert self._condition.wait_for(lambda: not self._running, PATIENCE), self._running
                ready = [name for name in sorted(self._waiting) if self._waiting[name]()]
                if not ready:
                    break
                ready.sort(key=lambda name: name != current)
                at = len(self.choices)
                taken = self.prefix[at] if at < len(self.prefix) else 0
                self.choices.append(Choice(taken, len(ready), ready[0] == current))
                current = ready[taken]
                self._granted = current
                self._running.add(current)
                self._condition.notify_all()
                self._running.discard(current)
                assert self._condition.wait_for(lambda: self._granted == "", PATIENCE)
        if self._waiting:
            raise DeadlockError(f"they wait for each other: {sorted(self._waiting)}")
        for thread in threads:
            thread.join(PATIENCE)

    def _act(self, name: str, action: Callable[[], Any]) -> None:
        self.point()
        try:
            action()
        except Exception as failure:  # noqa: BLE001 - whatever it is, the test is told
            self.failures[name] = failure
        finally:
            with self._condition:
                self._running.discard(name)
                self._condition.notify_all()


def event_of(schedule: Schedule) -> type:
    """A ``threading.Event`` whose waiting the schedule knows of."""

    class Event:
        def __init__(self) -> None:
            self._set = False

        def set(self) -> None:
            self._set = True

        def wait(self) -> bool:
            schedule.until(lambda: self._set)
            return True

    return Event


def every_schedule(
    attempt: Callable[[Schedule], None], *, preemptions: int, most: int
) -> Iterator[Schedule]:
    """Run an attempt by every schedule with so few preemptions, ``most`` of them at most.

    Yields:
        each schedule after its run.
    """
    pending: deque[tuple[int, ...]] = deque([()])
    tried = 0
    while pending and tried < most:
        prefix = pending.popleft()
        schedule = Schedule(prefix)
        attempt(schedule)
        tried += 1
        yield schedule
        taken = tuple(one.taken for one in schedule.choices)
        for at in range(len(prefix), len(taken)):
            spent = sum(one.preempts for one in schedule.choices[:at])
            choice = schedule.choices[at]
            if spent + choice.first_could_go_on <= preemptions:
                pending += [(*taken[:at], other) for other in range(1, choice.of)]
