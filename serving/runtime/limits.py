"""What bounds the work that a server takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds the work that a server takes on.

    Args:
        body: bytes of an inference's body.
        feedback: bytes of a feedback's body.
        other: bytes of any other body.
        inline: bytes of a body up to which it is answered on the event loop.
        active: requests being answered at once.
        each: of these, those to one of several models.
        large: requests that wait for the thread or are in it, to be unpacked or answered.
    """

    body: int = 16 * 2**20
    feedback: int = 2**20
    other: int = 64 * 2**10
    inline: int = 64 * 2**10
    active: int = 512
    each: int = 512
    large: int = 8


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Requests that wait for company.

    Args:
        rows: in one call of the model, at most; a request with more has a call of its own.
        wait: seconds that a request waits for others, at most; whole milliseconds, because the
            loop's timers know no others.
    """

    rows: int = 64
    wait: float = 0.002
