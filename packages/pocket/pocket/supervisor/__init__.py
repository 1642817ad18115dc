"""Starts, watches and stops processes that outlive the command which started them."""

from pocket.supervisor.marks import effort
from pocket.supervisor.ports import free_port, port_is_free
from pocket.supervisor.processes import MARK, Supervisor, tail
from pocket.supervisor.spec import (
    CallReady,
    HttpReady,
    Port,
    Readiness,
    Running,
    Spec,
    Status,
    TcpReady,
)

__all__ = [
    "MARK",
    "CallReady",
    "HttpReady",
    "Port",
    "Readiness",
    "Running",
    "Spec",
    "Status",
    "Supervisor",
    "TcpReady",
    "effort",
    "free_port",
    "port_is_free",
    "tail",
]
