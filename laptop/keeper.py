"""Keeps running what should run: the nodes and controllers of a laptop that has neither.

In a cluster a dead model server is started again by its node, and a dead operator by its
Deployment, whoever is looking. Here everything that acts is a process that can be killed like any
other, and commands come and go. The keeper is the one that stays: it starts model servers and
their front door again, and the loops of rollouts that are not over. It ends when nothing is served
and no rollout is under way. Its own place is taken again by the next command that needs a loop;
until then a rollout's own loop still looks after the servers.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

import structlog

from contracts.errors import MillwrightError
from contracts.model import find_model
from laptop.host import RolloutHost
from laptop.rollout import LocalRollout, names
from pocket.supervisor import Spec

PACE = 0.5
"""Seconds between two rounds: the most that a death goes unnoticed."""

log = structlog.get_logger(__name__)


class Keeper:
    """Looks after one environment.

    Args:
        host: the environment's place on this machine.
        until: set from outside to end it, and by itself when nothing is left to keep.
    """

    def __init__(self, host: RolloutHost, until: threading.Event) -> None:
        self._host = host
        self._until = until
        self._said = ""

    def run(self) -> None:
        """Until there is nothing left to keep."""
        self._host.supervisor.watch(
            self.round,
            until=self._until,
            every=PACE,
            on_restart=lambda name: log.warning("started again", process=name),
        )

    def round(self) -> dict[str, Spec]:
        """Start the servers that died; gives the loops that should run."""
        host, problem = self._host, ""
        loops: dict[str, Spec] = {}
        try:
            serving = host.serving()
            serving.tick()
            for name in names(host.root):
                try:
                    rollout = LocalRollout(host.root, find_model(host.models, name), serving)
                    under_way = not rollout.over(rollout.status())
                except MillwrightError as error:  # of one model: the others are kept all the same
                    problem = str(error)
                    continue
                if under_way:
                    spec = host.loop(name)
                    loops[spec.name] = spec
            if not loops and not problem and not serving.names():
                self._until.set()
        except MillwrightError as error:
            problem = str(error)
        if problem and problem != self._said:
            log.warning("a round failed", error=problem)
        self._said = problem
        return loops


def main(argv: Sequence[str] | None = None) -> int:
    """Keep an environment's model servers and rollouts running until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m laptop.keeper", description=main.__doc__)
    host, _ = RolloutHost.from_arguments(parser, argv)
    until = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: until.set())
    try:
        Keeper(host, until).run()
    except MillwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
