"""Bytes that this process has in use, so that what a model costs can be measured.

What the system counts (the resident set) hardly falls when a model goes, because the allocator
keeps what it was given, and hardly rises when the next one takes its place. What the allocator
itself says is in use is exact in both directions.

Source: https://man7.org/linux/man-pages/man3/mallinfo.3.html.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    ]


def _found() -> Callable[[], Any] | None:
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):  # another C library
        return None
    function.restype = _Mallinfo
    return function


_mallinfo = _found()


def in_use() -> int:
    """Bytes that were allocated and not freed; where the allocator does not say, the resident set.

    What Python's own small objects take is not in it.
    """
    if _mallinfo is None:
        return int(psutil.Process().memory_info().rss)
    info = _mallinfo()
    return int(info.uordblks + info.hblkhd)
