"""Bringing back what was served, after every process has gone: a reboot, a machine that was lost.

What stood is on disk: the documents that were applied, Envoy's own files with the weights, and each
rollout's status. From these alone it is started again, so that no version comes back with more than
it had, and none that was not there. Loops of rollouts start last, when their servers answer: one
that began earlier would see a candidate without servers, and take its weight away.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import MillwrightError
from contracts.model import find_model
from laptop.host import RolloutHost
from laptop.overview import LaptopRollouts
from laptop.rollout import names
from serving.rollout.overview import ServedPredictor

SETTLED_WITHIN = 120.0
"""Seconds in which servers that were well before are so again."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What became of an environment's serving.

    Args:
        restarted: whether anything had to be started.
        served: what is served now.
        problems: what could not be brought back as it was, each a sentence.
    """

    restarted: bool
    served: tuple[ServedPredictor, ...] = ()
    problems: tuple[str, ...] = ()


def bring_back(host: RolloutHost) -> Recovery:
    """Serve what was served, with the weights it had, and go on with the rollouts under way.

    Idempotent; what cannot be brought back does not keep the others away.
    """
    if not (host.root / "rollouts").is_dir():
        return Recovery(restarted=False)
    rollouts, serving, problems = LaptopRollouts(host), host.serving(), list[str]()
    known = {status.name for status in host.supervisor.status() if status.state != "dead"}
    waiting = []
    for name in names(host.root):
        try:
            rollout = rollouts.rollout(find_model(host.models, name))
            rollout.restore()
            if not rollout.over(rollout.status()):
                waiting.append(rollout)
        except MillwrightError as error:
            problems.append(str(error))
    for name in serving.names():
        try:
            serving.settle(name, within=SETTLED_WITHIN)
        except MillwrightError as error:
            problems.append(str(error))
    for rollout in waiting:
        rollout.ensure_runner()
    if serving.names():
        host.start_keeper()
    now = {status.name for status in host.supervisor.status() if status.state != "dead"}
    return Recovery(
        restarted=bool(now - known), served=tuple(rollouts.served()), problems=tuple(problems)
    )
