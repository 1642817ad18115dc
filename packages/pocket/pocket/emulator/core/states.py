"""Passing states: what AWS takes minutes to make is `creating` here too, for a settable moment.

moto makes everything at once, so that a deployment which does not wait passes on the laptop and
fails on AWS: a node group for a cluster that is still being made, a change of a warehouse that is
being changed. With a delay, what ``transitions`` lists goes through AWS's states, and what AWS
refuses meanwhile is refused. Without one, which is the default, there are no such states.

A thing's state is set at once and set back by the first request after its time: whoever describes
it, however moto shows it, sees the same. What passes is kept on the backend, so that a restart
in between ends it too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from moto.core.base_backend import BaseBackend

_KEPT = "pocket_passing"

Place = tuple[dict[str, Any], str]
"""The table that holds a thing, and its key there."""


@dataclass
class _Passing:
    thing: Any
    attribute: str
    passing: str
    settled: str
    began: float
    place: Place | None = None  # where it is taken away from in the end


class States:
    """What is in a passing state.

    Args:
        delay: seconds that a passing state lasts; 0: there are none. May be set at any time, and
            holds for what is passing by then, too.
        clock: seconds since the epoch.
    """

    def __init__(self, delay: float, clock: Callable[[], float]) -> None:
        self.delay = delay
        self._clock = clock
        self._lock = threading.Lock()
        self._backends: list[BaseBackend] = []

    def take_up(self, backends: Iterable[BaseBackend]) -> None:
        """Go on with what was passing when the server ended."""
        self._backends = [each for each in backends if each.__dict__.get(_KEPT)]

    def enter(
        self,
        backend: BaseBackend,
        thing: Any,
        attribute: str,
        states: tuple[str, str],
        leaves: Place | None = None,
    ) -> None:
        """Put a thing, an object or a dict, into a passing state.

        Args:
            backend: whose it is.
            states: the passing one, and the one in which it ends.
            leaves: where it is taken away from then.
        """
        if not self.delay:
            return
        passing, settled = states
        with self._lock:
            _write(thing, attribute, passing)
            kept: list[_Passing] = backend.__dict__.setdefault(_KEPT, [])
            kept[:] = [each for each in kept if each.thing is not thing]
            kept.append(_Passing(thing, attribute, passing, settled, self._clock(), leaves))
            if backend not in self._backends:
                self._backends.append(backend)

    def settle(self) -> None:
        """Let end what has passed for long enough."""
        if not self._backends:
            return
        with self._lock:
            before = self._clock() - self.delay
            for backend in list(self._backends):
                kept: list[_Passing] = backend.__dict__[_KEPT]
                for each in [each for each in kept if each.began <= before]:
                    kept.remove(each)
                    _end(each)
                if not kept:
                    self._backends.remove(backend)

    def forget(self) -> None:
        """Nothing passes any more: everything is gone."""
        with self._lock:
            self._backends = []

    def passes(self, backend: BaseBackend, thing: Any) -> str:
        """The passing state of a thing; empty when it is settled."""
        kept: list[_Passing] = backend.__dict__.get(_KEPT, [])
        return next((each.passing for each in kept if each.thing is thing), "")


def _end(each: _Passing) -> None:
    if read_state(each.thing, each.attribute) == each.passing:
        _write(each.thing, each.attribute, each.settled)
    if each.place and each.place[0].get(each.place[1]) is each.thing:
        del each.place[0][each.place[1]]


def read_state(thing: Any, attribute: str) -> Any:
    """The state of a thing, an object or a dict."""
    return thing.get(attribute) if isinstance(thing, dict) else thing.__dict__.get(attribute)


def _write(thing: Any, attribute: str, value: str) -> None:
    if isinstance(thing, dict):
        thing[attribute] = value
    else:
        thing.__dict__[attribute] = value
