"""Classic load balancers have network interfaces, as those of `elbv2` have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.elb.models import ELBBackend

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace
from pocket.emulator.elbv2 import put_interfaces, take_interfaces


def install(context: Context) -> None:
    """Put interfaces into the subnets of each load balancer, and take them out with it."""

    @replace(ELBBackend, "create_load_balancer")
    def create_classic(
        original: Callable[..., Any], backend: ELBBackend, *given: Any, **asked: Any
    ) -> Any:
        balancer = original(backend, *given, **asked)
        put_interfaces(backend, f"ELB {balancer.name}", balancer.subnets, balancer.security_groups)
        return balancer

    @replace(ELBBackend, "delete_load_balancer")
    def delete_classic(
        original: Callable[..., Any], backend: ELBBackend, load_balancer_name: str
    ) -> Any:
        take_interfaces(backend, f"ELB {load_balancer_name}")
        return original(backend, load_balancer_name)
