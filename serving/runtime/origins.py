"""Pages of other origins that may ask: what a browser has to be told before it lets them.

A browser reads no answer to a page whose origin is not named, but sends some requests (a POST of
plain text) without asking first, and what they do is done. So a POST that says it comes from such a
page is refused. No page is served here; who is no browser sends no origin.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from serving import protocol
from serving.runtime.refusal import Refusal, shown

_READABLE = (
    protocol.REQUEST_ID_HEADER,
    protocol.VERSION_HEADER,
    protocol.PREDICTOR_HEADER,
    protocol.BINARY_HEADER,
)
_SECONDS = 600
"""For which a browser may remember an answer."""


class Origins:
    """The origins whose pages may ask.

    Args:
        names: such as ``https://app.example.com``; ``*`` for all.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.encode() for name in names)

    def __bool__(self) -> bool:
        return bool(self._names)

    def check(self, origin: bytes | None) -> None:
        """Refuse what a page of an origin that is not named would do.

        Args:
            origin: the request's header; None where it has none.

        Raises:
            Refusal: its origin is not named here.
        """
        if origin is not None and not self._names & {origin, b"*"}:
            raise Refusal(
                403,
                f"pages of {shown(origin.decode('latin-1'))} may not ask here",
                fix="name the origin in the model server's --origin, or its environment's "
                "on_cluster.origins",
            )

    def lines(self, method: str, headers: Mapping[bytes, bytes]) -> bytes:
        """Header lines of an answer that say whether the page that asks may read it."""
        lines = [(b"vary", b"origin")]
        if (origin := headers.get(b"origin")) and self._names & {origin, b"*"}:
            lines += self._granted(origin, headers, method)
        return b"".join(b"%b: %b\r\n" % line for line in lines)

    @staticmethod
    def _granted(
        origin: bytes, headers: Mapping[bytes, bytes], method: str
    ) -> list[tuple[bytes, bytes]]:
        lines = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", ", ".join(_READABLE).encode()),
        ]
        wanted = headers.get(b"access-control-request-method")
        if method == "OPTIONS" and wanted is not None:
            lines += [
                (b"access-control-allow-methods", b"GET, HEAD, POST"),
                (b"access-control-max-age", b"%d" % _SECONDS),
            ]
            if asked := headers.get(b"access-control-request-headers"):
                lines.append((b"access-control-allow-headers", asked))
        return lines
