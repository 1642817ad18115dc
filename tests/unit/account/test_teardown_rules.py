"""Whose a leftover is, by its tags and its name, and whether it is there on purpose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from account.inventory import Leftover, Seen
from account.teardown import Footprint, Patience, _remove, kept, maker_of, sort_out
from contracts.errors import InfrastructureError

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


class Ec2:
    """A volume that is in use for a while, for ever, or gone."""

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.asked = 0

    def delete_volume(self, VolumeId: str) -> None:  # noqa: N803 - boto3's name
        self.asked += 1
        if self.codes:
            error = {"Error": {"Code": self.codes.pop(0), "Message": "no"}}
            raise ClientError(error, "DeleteVolume")


def removed(ec2: Ec2) -> list[float]:
    """Removes the volume; the pauses between the tries."""
    volume = tagged({"KubernetesCluster": OURS.cluster}, "ec2 volume")
    (found,) = sort_out([volume], OURS)
    pauses: list[float] = []
    patience = Patience(seconds=1.0, clock=lambda: sum(pauses), sleep=pauses.append)
    _remove(lambda service: ec2, found, patience)
    return pauses


def test_what_is_in_use_is_tried_again_oftener_at_first() -> None:
    ec2 = Ec2("VolumeInUse", "DependencyViolation")
    assert removed(ec2) == pytest.approx([0.2, 0.3])
    assert ec2.asked == 3


def test_what_is_gone_by_then_is_removed() -> None:
    assert removed(Ec2("InvalidVolume.NotFound")) == []


@pytest.mark.parametrize(
    ("codes", "asked"), [(["VolumeInUse"] * 9, 5), (["UnauthorizedOperation"], 1)]
)
def test_what_cannot_be_removed_is_named_with_the_reason(codes: list[str], asked: int) -> None:
    ec2 = Ec2(*codes)
    with pytest.raises(InfrastructureError, match=f"cannot be removed: no .{codes[0]}") as caught:
        removed(ec2)
    assert caught.value.where == "ec2 volume x"
    assert ec2.asked == asked
