"""Requests wait for company, within a bound, where a model's document asks for it.

Turns put together what is there at the same time. A model of which one call is dear and more rows
in it are nearly free gains from waiting a little for more. How long that pays is learned: the last
wait that was seen through to its end says how many requests one can expect, and as soon as so many
are there nobody waits any longer. So a client that is alone does not wait for nobody, and sixteen
that ask again as soon as they are answered do not wait for a seventeenth. Each wait in a while is
seen through, to notice when there are more.
"""

from __future__ import annotations

import asyncio

from serving.runtime.limits import Batch
from serving.runtime.model import Model, Prepared
from serving.runtime.turns import Done, Turns

_HURRIED = 32
"""Batches in a row, at most, of which no wait was seen through."""


class Batches(Turns):
    """The requests that are there or will be soon, until they are answered.

    Rows are put together also where the bits of an answer depend on how many there are: whoever
    asks for batches agrees to that.

    Args:
        model: what answers them.
        batch: how many rows share a call, and how long a request waits for others.
    """

    def __init__(self, model: Model, batch: Batch) -> None:
        super().__init__(model, shared=True)
        self._most = batch.rows
        self._wait = batch.wait
        self._timer: asyncio.TimerHandle | None = None
        self._soon = False
        """Whether a turn is on its way in which those that wait are answered."""
        self._rows = 0
        """Of those that wait."""
        self._owed = 0
        """How many of those that wait are left over from a turn before, in front."""
        self._expected = _HURRIED
        """How many requests a wait brings."""
        self._hurried = _HURRIED
        """Batches since a wait was seen through."""

    def ask(self, prepared: Prepared, done: Done) -> None:
        """Have a request answered within the bound, or as soon as it has the company it may get."""
        self._waiting.append((prepared, done))
        self._rows += prepared.rows
        if self._soon:
            return
        enough = self._hurried < _HURRIED and len(self._waiting) >= self._expected
        if enough or not self._wait or self._rows >= self._most:
            self._hasten()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._wait, self._over)

    def _hasten(self) -> None:
        """Those that wait are answered in this turn of the loop, with what else comes in it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _over(self) -> None:
        """A wait was seen through."""
        self._timer = None
        self._expected, self._hurried = len(self._waiting), 0
        self._answer()

    def _answer(self) -> None:
        """Answer those that wait, with the largest last: who shares a call is not held up by one
        that fills it alone. What is left over of a turn stays in front, so nobody starves."""
        waiting, self._waiting = self._waiting, []
        self._soon, self._rows = False, 0
        self._hurried += 1
        self._expected = max(self._expected, len(waiting))
        owed, fresh = waiting[: self._owed], waiting[self._owed :]
        fresh.sort(key=self._fills)
        rest = self._worked(owed + fresh)
        self._owed = len(rest)
        if rest:
            self._waiting[:0] = rest
            self._rows += sum(prepared.rows for prepared, _ in rest)
            self._hasten()

    def _fills(self, asked: tuple[Prepared, Done]) -> bool:
        return asked[0].rows >= self._most
