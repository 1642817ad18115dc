"""Load balancers have network interfaces, as AWS's have.

moto's have none, so that the subnets and security groups under a load balancer could be deleted
and nobody would learn here what stops every teardown on AWS: a load balancer that a cluster made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moto.ec2.models import ec2_backends
from moto.elbv2.models import ELBv2Backend

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace


def install(context: Context) -> None:
    """Put interfaces into the subnets of each load balancer, and take them out with it."""

    @replace(ELBv2Backend, "create_load_balancer")
    def create(
        original: Callable[..., Any], backend: ELBv2Backend, *given: Any, **asked: Any
    ) -> Any:
        balancer = original(backend, *given, **asked)
        subnets = [subnet.id for subnet in balancer.subnets]
        kind = {"network": "net", "gateway": "gwy"}.get(balancer.type, "app")
        label = f"ELB {kind}/{balancer.name}/{balancer.arn.rsplit('/', 1)[-1]}"
        put_interfaces(backend, label, subnets, balancer.security_groups)
        return balancer

    @replace(ELBv2Backend, "delete_load_balancer")
    def delete(original: Callable[..., Any], backend: ELBv2Backend, arn: str) -> Any:
        take_interfaces(backend, f"/{arn.rsplit('/', 1)[-1]}")
        return original(backend, arn)


def put_interfaces(
    backend: Any, label: str, subnets: Iterable[str], groups: Iterable[str] | None
) -> None:
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    for subnet in subnets or ():
        interface = ec2.create_network_interface(
            subnet, [], group_ids=list(groups or ()), description=label
        )
        interface.requester_managed, interface.status = True, "in-use"


def take_interfaces(backend: Any, ending: str) -> None:
    """The interfaces of a load balancer, by the end of what describes them."""
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    for interface in list(ec2.enis.values()):
        if interface.requester_managed and interface.description.endswith(ending):
            del ec2.enis[interface.id]
