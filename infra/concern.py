"""What the concerns share: their place in the stack, their names, and which of their children
hold data.

Every concern is a ComponentResource, so that a plan reads like the architecture: the type of a
resource's parent says what it is for.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from contracts.environment import Environment
from infra.naming import Names, own_tags


class Concern(pulumi.ComponentResource):
    """One part of an environment.

    Args:
        name: the concern's name: of the component, and in the tag ``millwright:concern``.
        environment: the document.
        opts: the provider, and what must exist before.
    """

    def __init__(
        self, name: str, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"millwright:aws:{type(self).__name__}", name, {}, opts)
        self.concern = name
        self.environment = environment
        self.names = Names.of(environment)

    def tags(self, name: str) -> dict[str, str]:
        """A resource's own tags."""
        return own_tags(self.concern, name)

    def child(
        self, *, holds_data: bool = False, after: Sequence[pulumi.Resource] = ()
    ) -> pulumi.ResourceOptions:
        """Options of a resource here; what holds data is protected where the tier says so."""
        return pulumi.ResourceOptions(
            parent=self,
            protect=True if holds_data and self.environment.retention.protect else None,
            depends_on=list(after) or None,
        )


def days(seconds: float) -> int:
    """Durations of the document are seconds; AWS counts in days."""
    return round(seconds / 86400)
