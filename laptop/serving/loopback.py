"""Reads from processes on this machine.

The standard library's client, because a full HTTP client loads certificates each time that it is
made, and the rollout's loop asks several processes every second.
"""

from __future__ import annotations

import http.client
import urllib.request

from contracts.errors import LocalError

# Proxies in the environment are for the world, never for a process on this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(port: int, path: str, *, timeout: float = 5.0) -> bytes:
    """The body at ``http://127.0.0.1:<port><path>``.

    Raises:
        LocalError: nothing answers there, or not with 200.
    """
    url = f"http://127.0.0.1:{port}{path}"
    try:
        with _DIRECT.open(url, timeout=timeout) as answer:
            body: bytes = answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise LocalError(f"no answer: {error}", where=url) from None
    return body
