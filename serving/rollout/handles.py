"""A model's rollout as whoever steers it has it, wherever it runs.

The command line, a notebook and the demo say the same things to a rollout on a laptop and to one in
a cluster. `RolloutHandle` is all that they may know of either, so that no command asks where it is;
`laptop.rollout.LocalRollout` and `serving.rollout.cluster.ClusterRollout` are the two there are.
Nothing here waits: what is wanted is written down, and who runs the rollout (the laptop's loop, the
operator) does it at its next step.
"""

from __future__ import annotations

from typing import Protocol

from contracts.model import ServingSpec
from contracts.rollout import Decision, RolloutSpec, RolloutStatus, Target
from serving.rollout.core.observations import Command


class RolloutHandle(Protocol):
    """One model's rollout in one environment."""

    @property
    def name(self) -> str:
        """The model's name."""

    # -- what a person says ----------------------------------------------------------------------

    def start(
        self,
        target: Target,
        *,
        plan: RolloutSpec | None = None,
        serving: ServingSpec | None = None,
        retry: bool = False,
        judge: bool = False,
    ) -> None:
        """Want a version; one that is under way is rolled back first. One that was judged before,
        and not gone back from since, takes all traffic as soon as it is ready.

        Args:
            target: the version and its artifact.
            plan: another plan than the one in force.
            serving: how each version is served, where that is part of the rollout (a cluster); on
                a laptop the model's document says it.
            retry: also if it was rolled back before.
            judge: judge it again, also if it was judged before.

        Raises:
            RolloutError: it was rolled back before, or it is the stable version already.
        """

    def say(self, command: Command) -> None:
        """Pause, resume, abort or promote the rollout under way.

        Raises:
            RolloutError: none is under way.
        """

    def change(self, plan: RolloutSpec) -> None:
        """Another plan from the next look on."""

    # -- what a person sees ----------------------------------------------------------------------

    def status(self) -> RolloutStatus:
        """What was decided last.

        Raises:
            RolloutError: the place where it is kept does not answer.
        """

    def plan(self) -> RolloutSpec:
        """The plan in force."""

    def history(self) -> list[Decision]:
        """The decisions that are still known, oldest first."""

    def over(self, status: RolloutStatus) -> bool:
        """Whether nothing is left to do: a verdict, confirmed, and no other version wanted."""

    # -- who runs it -----------------------------------------------------------------------------

    def ensure_runner(self) -> None:
        """Make sure that somebody runs it; in a cluster that is the operator's Deployment."""

    def has_runner(self) -> bool:
        """Whether somebody runs it, as far as can be seen from here."""

    @property
    def advice(self) -> str:
        """What to do when nobody runs it, as a sentence for an error's fix."""

    @property
    def pace(self) -> float:
        """Seconds between two readings that are worth making."""
