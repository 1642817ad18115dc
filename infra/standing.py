"""What stands already, where a document has to fit it.

A value that AWS moves by itself must not be set back by a deployment. Pulumi's ``ignore_changes``
alone keeps the value of the last deployment beside whatever changes now: a node group whose least
size grows past it can then never be changed, and one whose greatest size changes is set back to it.
So the program asks what stands. A moved value is left out of a deployment only where nothing beside
it changes, and else it is sent with what it has to fit.

Versions and disks that AWS would refuse half-way, by what stands, are refused before anything is
declared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import pulumi
from pulumi_aws import dynamodb, eks, elasticache, rds

from contracts.environment import CONFIG_KEY, Environment
from contracts.environment.changes import Standing, impossible, without_effect
from contracts.errors import InfrastructureError
from infra.naming import Names

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


def refuse_impossible(environment: Environment, provider: pulumi.ProviderResource) -> None:
    """Let nothing begin that AWS would refuse in the middle, by what stands.

    Raises:
        InfrastructureError: a setting cannot follow what stands.
    """
    standing = standing_of(environment, provider)
    wrong = list(impossible(environment, standing))
    if wrong:
        keys = ", ".join(key for key, _ in wrong)
        raise InfrastructureError(
            "; ".join(why for _, why in wrong),
            where=f"Pulumi.{environment.name}.yaml: {CONFIG_KEY}: {keys}",
            fix="Write what stands, or a step that AWS takes from there.",
        )
    for sentence in without_effect(environment, standing):
        pulumi.log.warn(f"Pulumi.{environment.name}.yaml: {CONFIG_KEY}: {sentence}")


def standing_of(environment: Environment, provider: pulumi.ProviderResource) -> Standing:
    """What stands, as far as a change depends on it; what AWS does not tell is left to AWS."""
    names, options = Names.of(environment), pulumi.InvokeOptions(provider=provider)
    cluster = _told(lambda: eks.get_cluster(name=names.name("cluster"), opts=options))
    database = _told(
        lambda: rds.get_instance(db_instance_identifier=names.name("metadata"), opts=options)
    )
    node = f"{names.name('cache')}-001"
    cache = _told(lambda: elasticache.get_cluster(cluster_id=node, opts=options))
    return Standing(
        kubernetes=cluster.version if cluster else None,
        postgres=database.engine_version if database else None,
        disk=database.allocated_storage if database else None,
        most=database.max_allocated_storage if database else None,
        cache=(cache.engine, cache.engine_version) if cache else None,
    )


def _told(ask: Callable[[], Answer]) -> Answer | None:
    """AWS's answer, where there is one: nothing stands, or nobody may ask."""
    try:
        return ask()
    except Exception:  # noqa: BLE001 - Pulumi raises nothing narrower where a function fails
        return None
