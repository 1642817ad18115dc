"""How a request is refused: with a status and a sentence that says what was expected.

A client's mistake must never look like the server's failure: failures are what a canary is judged
by, so a malformed request that were answered with 500 would roll back a healthy version.
"""

from __future__ import annotations

from contracts.errors import ServingError

CANNOT_SERVE = "cannot serve: "
"""How a server's last line begins that ends because there is nothing it could serve."""
SERVES = "serving.runtime.serves"
"""The event in a server's log from which on it serves."""


class Refusal(ServingError):  # noqa: N818  what it is to the client
    """The request cannot be answered.

    Args:
        status: the HTTP status; 4xx is the client's mistake, 5xx the server's.
        what: what was wrong and what was expected.
        fix: what to do.
        lines: headers that the answer has for it, as lines.
    """

    def __init__(self, status: int, what: str, *, fix: str = "", lines: bytes = b"") -> None:
        super().__init__(what, fix=fix)
        self.status = status
        self.lines = lines

    def sentence(self) -> str:
        """What the client reads in ``error``."""
        return f"{self.what}; {self.fix}" if self.fix else self.what


def shown(value: object) -> str:
    """What the client sent, short enough to be repeated in a sentence."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
