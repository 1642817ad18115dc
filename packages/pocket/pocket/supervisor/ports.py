"""Ports on this machine that nothing listens on."""

from __future__ import annotations

import errno
import socket

from pocket.patience import until

POLL = 0.05
"""Seconds between two tries."""
_PORT_WITHIN = 5.0


def free_port() -> int:
    """A port on 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Whether 127.0.0.1:port could be bound now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as failure:
            if failure.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def becomes_free(port: int) -> bool:
    """Whether the port is free within moments: a killed process's sockets outlive it a little."""
    return until(lambda: port_is_free(port), within=_PORT_WITHIN, pause=POLL)
