"""How the address of an artifact is spelled, for everybody who reads or writes one.

The registry writes it, the model server and the command line read it, by libraries that do not
agree on escapes: one takes ``%20`` for a blank, another for three letters of a key. So what an
address means is said here: behind ``s3://`` or ``file://`` escapes are taken out (RFC 3986, 2.1),
and everything else, a blank, a ``?`` or a ``#`` too, stands for itself; an address without a scheme
is a folder's path, and nothing is taken out of it.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote


class Address(NamedTuple):
    """The parts of an address, without escapes."""

    scheme: str
    """Empty for a path."""
    place: str
    """The bucket; empty for a file."""
    path: str

    @classmethod
    def of(cls, text: str) -> Address:
        """The parts of what is written."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls("", "", text)
        place, slash, path = rest.partition("/")
        return cls(scheme.lower(), unquote(place), unquote(slash + path))

    def spelled(self) -> str:
        """As RFC 3986 has it, for libraries that keep to it."""
        place, path = (quote(part, errors="replace") for part in (self.place, self.path))
        return f"{self.scheme}://{place}{path}" if self.scheme else self.path
