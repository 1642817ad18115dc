"""Waiting for something that takes its time, within a bound.

How long that is depends on the machine: `POCKET_PATIENCE=3` has everything waited for three times
as long. And what shows that it gets on is not given up because it is slow.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from pocket.errors import OptionError

if TYPE_CHECKING:
    from tenacity import RetryCallState

VARIABLE = "POCKET_PATIENCE"
AT_MOST = 10.0
"""What gets on is waited for so many times as long as what does not."""


def allowed(seconds: float) -> float:
    """A bound as the machine's owner wants it.

    Raises:
        OptionError: the variable is no positive number.
    """
    text = os.environ.get(VARIABLE) or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise OptionError(
            f"{text!r} is not a factor", where=VARIABLE, fix="Write a number such as 3."
        )
    return seconds * factor


def until(
    check: Callable[[], bool],
    *,
    within: float,
    pause: float,
    growth: float = 1.0,
    longest: float = 5.0,
    progress: Callable[[], Hashable] | None = None,
) -> bool:
    """Whether a check becomes true in time. It is asked at once, and last when time is up.

    Args:
        check: what is asked; what it raises ends the waiting.
        within: seconds; see `allowed`.
        pause: seconds between the first two questions.
        growth: each pause is so many times the one before it.
        longest: no pause is longer, in seconds.
        progress: a value that changes while what is waited for gets on: the time counts from its
            last change, and ends at `AT_MOST` times the bound.
    """
    if check():
        return True
    # Imported when something has to be waited for: most things are there at once.
    from tenacity import Retrying, retry_if_result, wait_exponential

    bound, seen, since = allowed(within), progress() if progress else None, 0.0

    def over(state: RetryCallState) -> bool:
        nonlocal seen, since
        passed = state.seconds_since_start or 0.0
        if progress and (now := progress()) != seen:
            seen, since = now, passed
        return passed - since >= bound or passed >= AT_MOST * bound

    answers = [False]  # what was just answered is not asked again before the first pause
    retrying = Retrying(
        retry=retry_if_result(operator.not_),
        stop=over,
        wait=wait_exponential(multiplier=pause, exp_base=growth, max=longest),
        retry_error_callback=lambda state: False,
    )
    return retrying(lambda: answers.pop() if answers else check())
