"""`pocket`'s supervisor with Millwright's errors."""

from __future__ import annotations

from laptop.pocket_errors import mapped
from pocket import supervisor
from pocket.supervisor import CallReady, HttpReady, Running, Spec, Status, TcpReady

__all__ = ["CallReady", "HttpReady", "Running", "Spec", "Status", "Supervisor", "TcpReady"]


class Supervisor(supervisor.Supervisor):
    """The processes of one environment; see `pocket.supervisor.Supervisor`."""

    start = mapped()(supervisor.Supervisor.start)
    stop = mapped()(supervisor.Supervisor.stop)
    stop_all = mapped()(supervisor.Supervisor.stop_all)
