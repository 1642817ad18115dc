"""What AWS makes beside a network goes with it.

moto keeps the access list of a deleted VPC and the interface of a deleted NAT gateway, and the
address stays joined to it, so that an account looks lived in that is empty.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import InvalidNetworkInterfaceIdError
from moto.ec2.models import EC2Backend

from local.cloud.context import Context
from local.cloud.patching import replace


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


def _let_go(backend: EC2Backend, place: dict[str, Any]) -> None:
    for address in backend.addresses:
        if address.allocation_id == place.get("allocationId"):
            address.eni = address.association_id = None
    with contextlib.suppress(InvalidNetworkInterfaceIdError):
        backend.delete_network_interface(place["networkInterfaceId"])
