"""What is done at once, in which order, and when to begin nothing more.

A run keeps its first failure; after it nothing is begun, and what has begun ends. The program's
own registrations come in an order of their own; deletions and reads, which have no program to order
them, are put in order here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from pocket.engine.calls import ProviderError
from pocket.errors import DeploymentError


class StoppedError(Exception):
    """The run has failed elsewhere; this is not begun."""


class Scheduler:
    """Begins actions until one fails.

    Args:
        stack: whose run it is; an interrupt names it.
        parallel: how many actions go on at once.
    """

    def __init__(self, stack: str, parallel: int) -> None:
        self.failure: DeploymentError | None = None
        self._stack = stack
        self._parallel = parallel
        self._lock = threading.Lock()

    def check_running(self) -> None:
        """
        Raises:
            StoppedError: something has failed.
        """
        if self.failure is not None:
            raise StoppedError("the run has failed")

    def interrupt(self) -> None:
        """Begin nothing more; what has begun ends, and is saved."""
        self.fail(
            DeploymentError(
                "interrupted",
                where=f"stack {self._stack}",
                fix="What was done is saved; run the same command again to go on.",
            )
        )

    def fail(self, error: DeploymentError) -> DeploymentError:
        """Keep the run's first failure; nothing is begun after it."""
        with self._lock:
            if self.failure is None:
                self.failure = error
        return error

    def in_order(self, before: Sequence[set[int]], act: Callable[[int], None]) -> None:
        """Do an action for every index, each after those it waits for; stop beginning at the first
        failure.

        Raises:
            DeploymentError: the run's first failure, or what is waited for forms a circle.
        """
        remaining = {index: set(several) for index, several in enumerate(before)}
        running: dict[Future[None], int] = {}
        with ThreadPoolExecutor(self._parallel) as pool:
            while remaining or running:
                if self.failure is None:
                    # From the end, so that the order is the state's reversed where nothing else
                    # decides.
                    ready = [at for at in sorted(remaining, reverse=True) if not remaining[at]]
                    for index in ready:
                        del remaining[index]
                        running[pool.submit(act, index)] = index
                if not running:
                    break
                done = self._wait(running)
                for future in done:
                    index = running.pop(future)
                    self._note(future)
                    for several in remaining.values():
                        several.discard(index)
        if self.failure is not None:
            raise self.failure
        if remaining:
            raise DeploymentError("the state's dependencies form a circle")

    def _wait(self, running: Iterable[Future[None]]) -> set[Future[None]]:
        """The next that end; an interrupt stops the run, and what is under way still ends."""
        try:
            return wait(running, return_when=FIRST_COMPLETED).done
        except KeyboardInterrupt:
            self.interrupt()
            return wait(running).done

    def _note(self, future: Future[None]) -> None:
        try:
            future.result()
        except StoppedError:
            return
        except (DeploymentError, ProviderError) as failure:
            error = failure if isinstance(failure, DeploymentError) else None
            self.fail(error or DeploymentError(str(failure)))
