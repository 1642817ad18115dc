"""Which subnet gets which addresses: a pure function of the VPC's network and the zones' letters.

A subnet cannot change its addresses without being replaced, and everything in it with it. So a
subnet's place depends on its own zone alone: adding, removing or reordering zones moves no other.

The plan, for eight zones, in halves of the VPC: private subnets (where pods live and take an
address each) share the first half; the third quarter's first two eighths are public and database
subnets; the rest stays free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final, Literal

Kind = Literal["public", "private", "database"]

ZONES: Final = "abcdefgh"


@dataclass(frozen=True, kw_only=True)
class Share:
    """A kind's part of the VPC: subnets ``bits`` smaller, from the ``first`` of that size on."""

    bits: int
    first: int


PLAN: Final[dict[Kind, Share]] = {
    "private": Share(bits=4, first=0),
    "public": Share(bits=8, first=128),
    "database": Share(bits=8, first=136),
}
"""In a /16: private /20 from .0, public /24 from .128, database /24 from .136."""


def subnet(vpc: IPv4Network, kind: Kind, zone: str) -> IPv4Network:
    """The addresses of one subnet.

    Args:
        vpc: the VPC's network, /16 to /20.
        kind: what the subnet is for.
        zone: its zone's letter, a to h.
    """
    share = PLAN[kind]
    size = 1 << (vpc.max_prefixlen - vpc.prefixlen - share.bits)
    start = int(vpc.network_address) + (share.first + ZONES.index(zone)) * size
    return IPv4Network((start, vpc.prefixlen + share.bits))


def plan(vpc: IPv4Network, zones: Sequence[str]) -> dict[Kind, dict[str, IPv4Network]]:
    """Every subnet's addresses, by kind and zone."""
    return {kind: {zone: subnet(vpc, kind, zone) for zone in zones} for kind in PLAN}
