"""The plan of addresses: disjoint, inside, and moved by nothing."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from infra.subnets import PLAN, ZONES, plan, subnet

vpcs = st.builds(
    lambda second, third, prefix: IPv4Network((f"10.{second}.{third}.0", prefix), strict=False),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(16, 20),
)
zone_lists = st.lists(st.sampled_from(ZONES), min_size=1, max_size=8, unique=True)


@given(vpcs, zone_lists)
def test_subnets_are_inside_and_disjoint(vpc: IPv4Network, zones: list[str]) -> None:
    blocks = [block for by_zone in plan(vpc, zones).values() for block in by_zone.values()]
    assert len(blocks) == 3 * len(zones)
    assert all(block.subnet_of(vpc) for block in blocks)
    assert not any(one.overlaps(other) for one, other in combinations(blocks, 2))


@given(vpcs, zone_lists, zone_lists)
def test_a_zone_moves_no_other(vpc: IPv4Network, before: list[str], after: list[str]) -> None:
    old, new = plan(vpc, before), plan(vpc, after)
    for kind in PLAN:
        for zone in set(before) & set(after):
            assert old[kind][zone] == new[kind][zone]


@given(vpcs)
def test_aws_takes_the_sizes(vpc: IPv4Network) -> None:
    assert all(subnet(vpc, kind, "a").prefixlen <= 28 for kind in PLAN)


def test_the_plan_of_a_slash_16() -> None:
    blocks = plan(IPv4Network("10.0.0.0/16"), "abc")
    assert [str(block) for block in blocks["private"].values()] == [
        "10.0.0.0/20",
        "10.0.16.0/20",
        "10.0.32.0/20",
    ]
    assert str(blocks["public"]["a"]) == "10.0.128.0/24"
    assert str(blocks["database"]["c"]) == "10.0.138.0/24"
