"""The tar stream that Go's ``archive/tar`` writes, byte for byte.

Pulumi digests an archive as that stream, so the bytes decide whether two archives are equal; those
of Python's ``tarfile`` differ in the fields of the device numbers. The format is POSIX.1-1988
(ustar) and, for names that it cannot hold, POSIX.1-2001 (pax).
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13
"""

from __future__ import annotations

from collections.abc import Iterable

BLOCK = 512
NAME = 100
PREFIX = 155
MODE = 0o600
LARGEST = 8**11
"""From this size on, a file's size does not fit its field."""
CHECKSUM = slice(148, 156)
FILE, EXTENDED = b"0", b"x"


def pack(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Files as a tar stream: those of a name that was there before are left out.

    Args:
        members: names, with ``/`` between their parts, and contents.
    """
    stream = bytearray()
    seen: set[str] = set()
    for name, content in members:
        if name not in seen:
            seen.add(name)
            stream += header(name, len(content)) + padded(content)
    return bytes(stream) + bytes(2 * BLOCK)


def header(name: str, size: int) -> bytes:
    """The blocks before a file's content."""
    prefix, rest = split(name)
    encoded = name.encode()
    records = {}
    if not name.isascii() or (len(name) > NAME and not prefix):
        records["path"] = encoded
    if size >= LARGEST:
        records["size"] = str(size).encode()
    if not records:
        return block(rest, size, FILE, prefix=prefix)
    folder, _, file = name.rpartition("/")
    extended = b"".join(record(key, value) for key, value in sorted(records.items()))
    above = "/".join(filter(None, (folder, "PaxHeaders.0", file)))
    first = block(ascii_only(above).rstrip("/"), len(extended), EXTENDED)
    second = block(ascii_only(name), size if size < LARGEST else 0, FILE)
    return first + padded(extended) + second


def split(name: str) -> tuple[str, str]:
    """A long name as the prefix and the rest that ustar keeps apart; no prefix where it has to, or
    can, do without.
    """
    if len(name) <= NAME or not name.isascii():
        return "", name
    at = name.rfind("/", 0, PREFIX + 1)
    if at <= 0 or len(name) - at - 1 > NAME or at == len(name) - 1:
        return "", name
    return name[:at], name[at + 1 :]


def block(name: str, size: int, kind: bytes, *, prefix: str = "") -> bytes:
    """One header block; an extended header has neither a mode nor device numbers."""
    is_file = kind == FILE
    device = octal(0, 8) if is_file else bytes(8)
    fields = (
        text(name, NAME),
        octal(MODE if is_file else 0, 8),
        octal(0, 8),  # the user's id
        octal(0, 8),  # the group's id
        octal(size, 12),
        octal(0, 12),  # the time
        b" " * 8,  # the checksum
        kind,
        bytes(100),  # where a link leads
        b"ustar\x0000",
        bytes(64),  # the user's name, the group's
        device * 2,
        text(prefix, PREFIX),
    )
    made = bytearray(b"".join(fields).ljust(BLOCK, b"\0"))
    made[CHECKSUM] = octal(sum(made), 7) + b" "
    return bytes(made)


def text(value: str, width: int) -> bytes:
    """A field of text; what is too long is cut, and does not end like a folder's name."""
    encoded = value.encode()
    if len(encoded) > width and encoded[:width].endswith(b"/"):
        encoded = encoded[: width - 1].rstrip(b"/")
    return encoded[:width].ljust(width, b"\0")


def octal(number: int, width: int) -> bytes:
    """A field of digits, ended by a zero byte."""
    return f"{number:0{width - 1}o}".encode() + b"\0"


def record(key: str, value: bytes) -> bytes:
    """A pax record, which begins with its own length."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    size = len(rest)
    while len(str(size)) + len(rest) != size:
        size = len(str(size)) + len(rest)
    return str(size).encode() + rest


def ascii_only(name: str) -> str:
    return name.encode("ascii", "ignore").decode()


def padded(content: bytes) -> bytes:
    """Content filled up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)
