"""What there is of an environment in its account, whoever made it, and its removal."""

from __future__ import annotations

from dataclasses import dataclass

from account.teardown import Finding, Footprint, clear, examine, runs
from contracts.errors import UsageError
from project.handle import Project


@dataclass(frozen=True)
class Leftovers:
    """Asks an environment's account, and takes apart what nobody needs any more.

    Args:
        project: the environment.
    """

    project: Project

    @property
    def footprint(self) -> Footprint:
        """By what its leftovers are known."""
        return Footprint.of(self.project.environment)

    def left(self) -> list[Finding]:
        """Everything of it that exists, whoever made it; changes nothing."""
        return examine(self.project.aws(), self.footprint)

    def clear(self) -> list[Finding]:
        """Remove what its cluster and the services made; returns what that was."""
        return clear(self.project.aws(), self.footprint)

    def sweep(self) -> list[Finding]:
        """As `clear`, of an environment that is no longer in use.

        Raises:
            UsageError: it still runs: what would be removed is in use, and would come back.
        """
        if runs(self.project.aws(), self.footprint):
            raise UsageError(
                "its cluster has nodes: the load balancers and disks there are in use",
                where=self.project.name,
                fix=f"Destroy it first: `pulumi destroy -s {self.project.name}`. Where that stops "
                "at the network, the nodes are gone by then: sweep, and destroy again.",
            )
        return self.clear()
