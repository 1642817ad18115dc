"""A version in a repository: loaded, or not, and why not."""

from __future__ import annotations

import asyncio
import time

from serving.runtime.model import Model
from serving.runtime.refusal import Refusal
from serving.runtime.served import Served

READY = "READY"
LOADING = "LOADING"
UNAVAILABLE = "UNAVAILABLE"
NOT_ASKED = "it is loaded when it is asked for"
UNLOADED = "it was unloaded"


class Slot(Served):
    """A version in a repository.

    Args:
        name: the model's.
        version: its version.
        uri: its artifact's folder.
        predictor: the name under which traffic is sent to this server.
        slow_over: seconds; a response that takes longer is slow.
    """

    def __init__(
        self, name: str, version: str, uri: str, *, predictor: str = "", slow_over: float = 0.05
    ) -> None:
        self.describe(name, version, predictor, slow_over)
        self.uri = uri
        self.state = UNAVAILABLE
        self.reason = NOT_ASKED
        self.closed = False
        """Whether it was unloaded, and so is not loaded because somebody asks for it."""
        self.cost = 0
        """Bytes that it took when it was loaded; 0 where that is not known."""
        self.digest = ""
        """Of the model that was loaded: a version never changes."""
        self.loading: asyncio.Task[None] | None = None
        self.waiting = 0
        """Requests that wait for it."""
        self.failure: Refusal | None = None
        """Why it cannot be loaded, as far as that is known."""
        self.again = 0.0
        """When it may be tried again, by `time.monotonic`."""
        self._since = 0.0

    def fill(self, model: Model, *, shared: bool) -> None:
        """It is loaded."""
        self.put(model, shared=shared)
        self.digest = model.artifact.digest
        self.failure = None
        self._since = time.time()
        self.state, self.reason = READY, ""

    def failed(self, refusal: Refusal, *, again: float) -> None:
        """It cannot be loaded; it may be tried again after so many seconds."""
        self.failure, self.again = refusal, time.monotonic() + again
        self.state, self.reason = UNAVAILABLE, refusal.what

    def drop(self, reason: str) -> None:
        """Let its model go."""
        if self.loaded:
            self.take()
        self.state, self.reason = UNAVAILABLE, reason

    @property
    def used(self) -> float:
        """When it was last of use, in seconds since 1970."""
        return max(self._since, self.counters.last)
