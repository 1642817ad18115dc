"""How to tell that a process answers."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from collections.abc import Mapping

from pocket.errors import ProcessError
from pocket.supervisor.spec import CallReady, HttpReady, Readiness, TcpReady


def kept(ready: Readiness | None) -> dict[str, str] | None:
    """The form of a readiness check on disk; a callable cannot be kept."""
    match ready:
        case HttpReady(path=path, port=port):
            return {"kind": "http", "path": path, "port": port}
        case TcpReady(port=port):
            return {"kind": "tcp", "port": port}
        case _:
            return None


def restored(kept: Mapping[str, str] | None) -> Readiness | None:
    if not kept:
        return None
    if kept["kind"] == "http":
        return HttpReady(path=kept["path"], port=kept["port"])
    return TcpReady(port=kept["port"])


# Proxies in the environment are for the world, never for a process on this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_ready(ready: Readiness, ports: Mapping[str, int]) -> bool:
    match ready:
        case HttpReady(path=path, port=port):
            try:
                with _DIRECT.open(f"http://127.0.0.1:{ports[port]}{path}", timeout=2) as answer:
                    return bool(answer.status == 200)
            except (OSError, ValueError, http.client.HTTPException):
                return False
        case TcpReady(port=port):
            try:
                socket.create_connection(("127.0.0.1", ports[port]), timeout=2).close()
            except OSError:
                return False
            return True
        case CallReady(check=check):
            try:
                return check(ports)
            except (OSError, ProcessError):
                return False
