"""What AWS makes beside a network goes with it, and what is in use stays.

moto keeps the access list of a deleted VPC and the interface of a deleted NAT gateway, and the
address stays joined to it, so that an account looks lived in that is empty. It also deletes subnets
and security groups under the interfaces that use them, which AWS refuses: what a cluster left
behind would go unnoticed here and be billed there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import DependencyViolationError, InvalidNetworkInterfaceIdError
from moto.ec2.models import EC2Backend

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace


def install(context: Context) -> None:
    """Let deletions take along what was made for them."""

    @replace(EC2Backend, "delete_vpc")
    def delete_vpc(original: Callable[..., Any], backend: EC2Backend, vpc_id: str) -> Any:
        vpc = original(backend, vpc_id)
        for name in [n for n, acl in backend.network_acls.items() if acl.vpc_id == vpc_id]:
            del backend.network_acls[name]
        return vpc

    @replace(EC2Backend, "delete_nat_gateway")
    def delete_nat_gateway(
        original: Callable[..., Any], backend: EC2Backend, nat_gateway_id: str
    ) -> Any:
        gateway = original(backend, nat_gateway_id)
        for place in gateway.address_set if gateway else ():
            _let_go(backend, place)
        return gateway

    @replace(EC2Backend, "delete_subnet")
    def delete_subnet(original: Callable[..., Any], backend: EC2Backend, subnet_id: str) -> Any:
        users = [each.id for each in backend.enis.values() if each.subnet.id == subnet_id]
        _refuse_if_used(f"The subnet '{subnet_id}'", users)
        return original(backend, subnet_id)

    @replace(EC2Backend, "delete_security_group")
    def delete_security_group(
        original: Callable[..., Any],
        backend: EC2Backend,
        name: str | None = None,
        group_id: str | None = None,
    ) -> Any:
        users = [
            each.id
            for each in backend.enis.values()
            if group_id in [group.id for group in each.group_set]
        ]
        _refuse_if_used(f"resource {group_id}", [*users, *_naming(backend, group_id)])
        return original(backend, name=name, group_id=group_id)


def _refuse_if_used(what: str, users: list[str]) -> None:
    if users:
        raise DependencyViolationError(f"{what} has dependencies and cannot be deleted.")


def _naming(backend: EC2Backend, group_id: str | None) -> list[str]:
    """Other security groups whose rules name the group."""
    return [
        other.id
        for groups in backend.groups.values()
        for other in groups.values()
        if other.id != group_id
        for rule in (*other.ingress_rules, *other.egress_rules)
        if rule.source_group.get("GroupId") == group_id
    ]


def _let_go(backend: EC2Backend, place: dict[str, Any]) -> None:
    for address in backend.addresses:
        if address.allocation_id == place.get("allocationId"):
            address.eni = address.association_id = None
    with contextlib.suppress(InvalidNetworkInterfaceIdError):
        backend.delete_network_interface(place["networkInterfaceId"])
