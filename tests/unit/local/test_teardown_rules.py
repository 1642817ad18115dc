"""Whose a leftover is, by its tags and its name, and whether it is there on purpose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from local.cloud.inventory import Leftover, Seen
from local.teardown import Footprint, kept, maker_of, sort_out

OURS = Footprint(
    environment="dev",
    cluster="millwright-dev-cluster",
    owners=frozenset({"millwright-dev-cluster", "millwright-dev-warehouse"}),
    keeps_snapshots=False,
    keeps_disks=False,
)


def tagged(tags: dict[str, str], kind: str = "elbv2 loadbalancer") -> Seen:
    service, _, rest = kind.partition(" ")
    return Seen(Leftover(service, rest, "x"), tags)


@pytest.mark.parametrize(
    ("tags", "maker"),
    [
        ({"kubernetes.io/cluster/millwright-dev-cluster": "owned"}, "the cluster"),
        ({"elbv2.k8s.aws/cluster": "millwright-dev-cluster"}, "the cluster"),
        (
            {"KubernetesCluster": "millwright-dev-cluster", "ebs.csi.aws.com/cluster": "true"},
            "the cluster",
        ),
        ({"cluster.k8s.amazonaws.com/name": "millwright-dev-cluster"}, "the cluster"),
        ({"millwright:environment": "dev"}, "the program"),
        # What clusters share, or every cluster writes, is not ours to remove.
        ({"kubernetes.io/cluster/millwright-dev-cluster": "shared"}, None),
        ({"ebs.csi.aws.com/cluster": "true"}, None),
        ({"elbv2.k8s.aws/cluster": "millwright-dev-2-cluster"}, None),
        ({"millwright:environment": "dev-2", "millwright:concern": "cluster"}, None),
        (
            {
                "kubernetes.io/cluster/millwright-dev-cluster": "owned",
                "kubernetes.io/cluster/another": "owned",
            },
            None,
        ),
        # The program declares its subnets and node groups: the engine removes them.
        (
            {
                "millwright:environment": "dev",
                "millwright:concern": "cluster",
                "kubernetes.io/cluster/millwright-dev-cluster": "owned",
            },
            "the program",
        ),
        ({}, None),
    ],
)
def test_who_made_it(tags: dict[str, str], maker: str | None) -> None:
    assert maker_of(tagged(tags), OURS) == maker


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("/aws/eks/millwright-dev-cluster/cluster", True),
        ("/aws/containerinsights/millwright-dev-cluster/performance", True),
        ("/aws/lambda/millwright-dev-cluster-drain", True),
        ("/aws/redshift/cluster/millwright-dev-warehouse/userlog", True),
        ("/aws/eks/millwright-dev-2-cluster/cluster", False),
        ("/aws/lambda/someone-elses", False),
        ("/own/millwright-dev-cluster", False),
    ],
)
def test_log_groups_are_known_by_their_maker(name: str, ours: bool) -> None:
    group = Seen(Leftover("logs", "log-group", name), {})
    assert maker_of(group, OURS) == ("a service" if ours else None)
    others = Seen(group.leftover, {"millwright:environment": "other"})
    assert maker_of(others, OURS) is None


def test_what_is_kept_says_which_setting_keeps_it() -> None:
    snapshot = Seen(Leftover("redshift", "snapshot", "millwright-dev-warehouse-final"), {})
    disk = tagged({"KubernetesCluster": OURS.cluster}, "ec2 volume")
    assert maker_of(snapshot, OURS) == "a service"
    assert [kept(one, OURS) for one in (snapshot, disk)] == ["", ""]
    careful = replace(OURS, keeps_snapshots=True, keeps_disks=True)
    assert [one.kept for one in sort_out([snapshot, disk], careful)] == [
        "retention.protect",
        "retention.final_snapshots",
    ]
