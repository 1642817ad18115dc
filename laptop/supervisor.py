"""`pocket`'s supervisor with Millwright's errors."""

from __future__ import annotations

from pocket import supervisor
from pocket.supervisor import CallReady, HttpReady, Port, Running, Spec, Status, TcpReady
from project.pocket_errors import mapped

__all__ = ["CallReady", "HttpReady", "Port", "Running", "Spec", "Status", "Supervisor", "TcpReady"]


class Supervisor(supervisor.Supervisor):
    """The processes of one environment; see `pocket.supervisor.Supervisor`."""

    start = mapped()(supervisor.Supervisor.start)
    stop = mapped()(supervisor.Supervisor.stop)
    stop_all = mapped()(supervisor.Supervisor.stop_all)
