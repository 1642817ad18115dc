"""A loop for each ModelRollout: steps it when something happens, and from time to time."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from contracts.errors import MillwrightError
from serving.rollout.kubernetes import ConflictError
from serving.rollout.operator.metrics import Metrics
from serving.rollout.operator.stepper import Stepper

log = structlog.get_logger(__name__)

WORKERS = 16
STUCK = 180.0
"""Seconds after which a step that has not ended is a sign of death."""

Key = tuple[str, str]


class Loops:
    """A loop for each ModelRollout that is known of.

    Args:
        stepper: makes the steps.
        metrics: the operator's own.
    """

    def __init__(self, stepper: Stepper, metrics: Metrics) -> None:
        self._stepper = stepper
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="step")
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._wake: dict[Key, asyncio.Event] = {}
        self._began: dict[Key, float] = {}
        self._seen: dict[Key, object] = {}

    def see(self, namespace: str, name: str, what: object) -> None:
        """Something happened to a resource: step now, unless it was only its status.

        Args:
            namespace: where it is.
            name: its name.
            what: all of it that a person changes.
        """
        key = (namespace, name)
        if self._seen.get(key) == what and key in self._tasks:
            return
        self._seen[key] = what
        if key not in self._tasks or self._tasks[key].done():
            self._wake[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"{namespace}/{name}")
        self._wake[key].set()

    def wake(self, namespace: str, name: str) -> None:
        """Something happened to what a resource owns: step now, if it is known."""
        if (namespace, name) in self._wake:
            self._wake[namespace, name].set()

    def healthy(self) -> bool:
        """Whether no step hangs."""
        now = time.monotonic()
        return all(now - began < STUCK for began in list(self._began.values()))

    async def stop(self) -> None:
        """End all loops; a step under way ends first."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, key: Key) -> None:
        """Step until the resource is gone."""
        failures = 0
        while True:
            self._wake[key].clear()
            wait, failures = await self._step(key, failures)
            if wait is None:
                if self._wake[key].is_set():  # One of the same name came meanwhile.
                    continue
                break
            try:
                await asyncio.wait_for(self._wake[key].wait(), wait)
            except TimeoutError:
                continue
        self._wake.pop(key, None)
        self._tasks.pop(key, None)
        self._seen.pop(key, None)

    async def _step(self, key: Key, failures: int) -> tuple[float | None, int]:
        """One step; the wait after it, and how many failed in a row."""
        loop = asyncio.get_running_loop()
        self._began[key] = time.monotonic()
        try:
            with self._metrics.seconds.time():
                wait = await loop.run_in_executor(self._pool, self._stepper.step, *key)
            self._metrics.steps.labels("done").inc()
            return wait, 0
        except ConflictError as error:
            self._metrics.steps.labels("conflict").inc()
            log.info("written by somebody else meanwhile", rollout=key, error=error.what)
            return random.uniform(0.05, 0.5), 0
        except MillwrightError as error:
            self._metrics.steps.labels("failed").inc()
            log.warning("step failed", rollout=key, error=str(error))
        except Exception:  # One broken resource must not stop the others.
            self._metrics.steps.labels("broken").inc()
            log.exception("step broke", rollout=key)
        finally:
            self._began.pop(key, None)
        return min(10.0, 0.5 * 2 ** min(failures, 5)) * random.uniform(0.8, 1.2), failures + 1
