"""Explanations beside the event loop and the thread of large requests: inference does not wait."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from serving.runtime.refusal import Refusal
from serving.runtime.served import Served


class ExplainingThread:
    """One thread for the explanations of a server.

    Args:
        most: explanations that are worked on or wait, at most.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._active = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explanations")

    async def answer(self, served: Served, body: bytes, identity: str) -> bytes:
        """An explanation, counted apart from inferences.

        Args:
            served: the model.
            body: of the request.
            identity: its id where the body has none.

        Raises:
            Refusal: there is none, or no room for it.
        """
        try:
            if self._active >= self._most:
                what = f"{self._active} explanations are being made"
                raise Refusal(503, what, fix="try again in 1 s")
            self._active += 1
            try:
                work = partial(served.explaining.answer, body, identity)
                answer = await asyncio.get_running_loop().run_in_executor(self._thread, work)
            finally:
                self._active -= 1
        except Refusal as refusal:
            served.counters.explained(refusal.status)
            raise
        served.counters.explained(200)
        return answer
