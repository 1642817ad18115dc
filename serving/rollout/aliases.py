"""A registry's aliases of one model, asked for once and then remembered: the rollout sets them.

For people and for jobs that ask the registry, not for the rollout: nothing waits for it, and a
registry that is down or knows no such version costs a note, never a verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from contracts.errors import MillwrightError

Answer = TypeVar("Answer")

ALIASES = ("stable", "candidate")
AGAIN_AFTER = 60.0
"""Seconds until a registry is asked again after it failed."""


class AliasStore(Protocol):
    """Where the aliases of one model really are."""

    def get(self) -> Mapping[str, str | None]:
        """The version that each of `ALIASES` points at.

        Raises:
            MillwrightError: it does not answer, or it refuses.
        """

    def put(self, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it; raises likewise."""


class RememberedAliases:
    """The `Registry` that a step is given.

    Args:
        store: where the aliases are.
        beside: ask for the first time beside the rollout, where that takes seconds in which nobody
            would look at a sick candidate.
        again_after: seconds for which a store that failed is left alone.
        clock: seconds.
    """

    def __init__(
        self,
        store: AliasStore,
        *,
        beside: bool = False,
        again_after: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._again_after = again_after
        self._clock = clock
        self._known: dict[str, str | None] | None = None
        self._again_at = 0.0
        self._asking: Future[Mapping[str, str | None]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry") if beside else None
        self.problem = ""
        """Why they could not be read or set the last time; empty when they could."""

    @property
    def awaited(self) -> bool:
        """Whether the answer is still to come."""
        return self._known is None and self._asking is not None

    def read(self) -> Mapping[str, str | None] | None:
        """The versions that they point at; None while nothing is known: nothing is set then.

        Raises:
            MillwrightError: the store was asked and failed.
        """
        if self._clock() < self._again_at:
            return None
        if self._known is None:
            answer = self._ask()
            if answer is None:
                return None
            self._known = {alias: answer.get(alias) for alias in ALIASES}
            self.problem = ""
        return self._known

    def set_alias(self, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it.

        Raises:
            MillwrightError: the store failed; what it has now is asked for anew.
        """
        known, self._known = self._known or {}, None
        self._try(lambda: self._store.put(alias, version))
        self._known = {**known, alias: version}
        self.problem = ""

    def _ask(self) -> Mapping[str, str | None] | None:
        """The store's answer; None while it is still to come."""
        if self._thread is None:
            return self._try(self._store.get)
        if self._asking is None:
            self._asking = self._thread.submit(self._store.get)
        if not self._asking.done():
            return None
        answered, self._asking = self._asking, None
        return self._try(answered.result)

    def _try(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except MillwrightError as error:
            self._again_at = self._clock() + self._again_after
            self.problem = error.what
            raise
