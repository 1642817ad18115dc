"""What is installed in the cluster, as the environment knows it: one concern."""

from __future__ import annotations

from contracts.environment import Environment
from infra.concern import Concern, Outputs, Platform


class OnCluster(Concern):
    """The parts, and where users find what runs there."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        # Kubernetes' types take a second to import, and the laptop needs none.
        from infra.on_cluster.install import install

        self.site = install(platform)

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """By setting."""
        return environment.on_cluster.enabled

    def outputs(self) -> Outputs:
        """What the parts tell."""
        return self.site.outputs()
