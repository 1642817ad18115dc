"""Waiting for something that takes its time, within a bound."""

from __future__ import annotations

import operator
from collections.abc import Callable


def until(
    check: Callable[[], bool],
    *,
    within: float,
    pause: float,
    growth: float = 1.0,
    longest: float = 5.0,
) -> bool:
    """Whether a check becomes true in time. It is asked at once, and last when time is up.

    Args:
        check: what is asked; what it raises ends the waiting.
        within: seconds.
        pause: seconds between the first two questions.
        growth: each pause is so many times the one before it.
        longest: no pause is longer, in seconds.
    """
    if check():
        return True
    # Imported when something has to be waited for: most things are there at once.
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_exponential

    answers = [False]  # what was just answered is not asked again before the first pause
    retrying = Retrying(
        retry=retry_if_result(operator.not_),
        stop=stop_after_delay(within),
        wait=wait_exponential(multiplier=pause, exp_base=growth, max=longest),
        retry_error_callback=lambda state: False,
    )
    return retrying(lambda: answers.pop() if answers else check())
