"""What stands already, where a setting has to fit a value that AWS moves by itself.

Such a value must not be set back by a deployment. Pulumi's ``ignore_changes`` alone keeps the value
of the last deployment beside whatever changes now: a node group whose least size grows past it can
then never be changed, and one whose greatest size changes is set back to it. So the program asks
what stands. A moved value is left out of a deployment only where nothing beside it changes, and
else it is sent with what it has to fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import pulumi
from pulumi_aws import dynamodb, eks

from contracts.errors import InfrastructureError

SCALING: Final = tuple(f"scalingConfig.{key}" for key in ("minSize", "maxSize", "desiredSize"))
THROUGHPUT: Final = ("readCapacity", "writeCapacity")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Scaling:
    """How many nodes a group has: at least, at most, and now."""

    least: int
    most: int
    desired: int

    def within(self, least: int, most: int) -> Scaling:
        """The same number of nodes, or the nearest that other bounds allow."""
        return Scaling(least, most, min(max(self.desired, least), most))


def scaling_of(concern: pulumi.Resource, cluster: str, group: str) -> Scaling | None:
    """The size of a node group that stands; None where there is none.

    Raises:
        InfrastructureError: AWS cannot be asked.
    """

    def ask(options: pulumi.InvokeOptions) -> Scaling | None:
        if cluster not in eks.get_clusters(opts=options).names:
            return None
        if group not in eks.get_node_groups(cluster_name=cluster, opts=options).names:
            return None
        found = eks.get_node_group(cluster_name=cluster, node_group_name=group, opts=options)
        (sizes,) = found.scaling_configs
        return Scaling(sizes.min_size, sizes.max_size, sizes.desired_size)

    return _asked(concern, f"the node group {group}", ask)


def is_provisioned(concern: pulumi.Resource, table: str) -> bool:
    """Whether a table stands that has capacity, and is not billed by request.

    Raises:
        InfrastructureError: AWS cannot be asked.
    """

    def ask(options: pulumi.InvokeOptions) -> bool:
        if table not in dynamodb.get_tables(opts=options).names:
            return False
        return dynamodb.get_table(name=table, opts=options).billing_mode == "PROVISIONED"

    return bool(_asked(concern, f"the table {table}", ask))


def _asked(
    concern: pulumi.Resource, what: str, ask: Callable[[pulumi.InvokeOptions], Answer | None]
) -> Answer | None:
    """AWS's answer. A preview needs no credentials: where nobody can be asked, nothing stands."""
    try:
        return ask(pulumi.InvokeOptions(parent=concern))
    except Exception as failure:  # Pulumi raises nothing narrower where a function fails
        if not pulumi.runtime.is_dry_run():
            raise InfrastructureError(
                f"AWS does not say how {what} stands: {failure}",
                fix="Use credentials that may list and describe it, then run this again.",
            ) from failure
        return None
