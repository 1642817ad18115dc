"""Tags go when their resource goes, and change when they are changed.

moto keeps the tags of deleted EC2 resources, so that `DescribeTags` shows what no longer exists;
the proof that `destroy` left nothing behind needs the truth. Of launch templates it shows the tags
of their creation for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.launch_templates import LaunchTemplate

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace

# Deletions that take the id, or a list of ids, of what they delete.
_DELETIONS = (
    "delete_carrier_gateway",
    "delete_customer_gateway",
    "delete_dhcp_options_set",
    "delete_egress_only_internet_gateway",
    "delete_flow_logs",
    "delete_internet_gateway",
    "delete_launch_template",
    "delete_managed_prefix_list",
    "delete_nat_gateway",
    "delete_network_acl",
    "delete_network_interface",
    "delete_route_table",
    "delete_security_group",
    "delete_snapshot",
    "delete_subnet",
    "delete_transit_gateway",
    "delete_volume",
    "delete_vpc",
    "delete_vpc_endpoints",
    "delete_vpc_peering_connection",
    "delete_vpn_connection",
    "delete_vpn_gateway",
    "release_address",
)


def install(context: Context) -> None:
    """Forget an EC2 resource's tags with the resource."""
    for name in _DELETIONS:
        _forget_tags_after(name)
    _read_tags_of_launch_templates()


def _read_tags_of_launch_templates() -> None:
    template: Any = LaunchTemplate
    # moto assigns the tags once; what it assigns is the same as what is read here.
    template.tags = property(lambda self: self.get_tags(), lambda self, value: None)


def _forget_tags_after(name: str) -> None:
    @replace(EC2Backend, name)
    def delete(original: Callable[..., Any], backend: EC2Backend, *given: Any, **asked: Any) -> Any:
        result = original(backend, *given, **asked)
        for identifier in _strings([*given, *asked.values()]):
            backend.tags.pop(identifier, None)
        return result


def _strings(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, str))
