"""What an environment leaves that no deployment engine knows of: found, removed, proven gone.

Controllers in the cluster make load balancers, security groups, disks and network interfaces;
services make log groups. None of it is in a stack's state. Some of it blocks the deletion of the
network, the rest is billed for as long as nobody notices. So it is found by the tags that its
makers put on it (and log groups, which get none, by the names of their makers' resources), and
taken apart in the order in which it lets go of each other. Every call is AWS's own: the same code
serves the laptop and an account.

What holds data is never removed where the environment protects data; it is listed instead.

Sources: the tags of the AWS Load Balancer Controller, the EBS CSI driver, the VPC CNI and
Karpenter, from each one's documentation.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from botocore.exceptions import ClientError  # type: ignore[import-untyped,unused-ignore]

from account.inventory import CLUSTER_TAGS, ENVIRONMENT_TAG, Leftover, Seen, survey
from contracts.environment import Environment
from contracts.errors import InfrastructureError
from infra.naming import Names

Maker = Literal["the program", "the cluster", "a service"]
Kind = tuple[str, str]
"""Service and kind, as the inventory names them."""
Clients = Callable[[str], Any]
"""``clients("ec2")``: a boto3 client."""

DECLARED: Final = "millwright:concern"
"""The tag that only what the program declares has."""
LOG_MAKERS: Final = ("cluster", "warehouse", "metadata", "cache", "events", "flow-logs")
"""Resources, by the last part of their name, in whose name services make log groups."""
SNAPSHOTS: Final[frozenset[Kind]] = frozenset(
    {
        *(("rds", "snapshot"), ("redshift", "snapshot"), ("redshift-serverless", "snapshot")),
        *(("elasticache", "snapshot"), ("backup", "recovery-point")),
    }
)
DISKS: Final[frozenset[Kind]] = frozenset({("ec2", "volume"), ("ec2", "snapshot")})
FINAL: Final = "-final"
"""How the names of last snapshots end; not every service copies tags to them."""

_BUSY = re.compile(r"DependencyViolation|InUse|IncorrectState|Throttl|RequestLimitExceeded")
_GONE = re.compile(r"NotFound|NoSuch|DoesNotExist")


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """By what an environment's leftovers are known, and which of them are wanted.

    Args:
        environment: its name.
        cluster: the EKS cluster's name.
        owners: names of resources in whose name services make log groups.
        keeps_snapshots: whether last snapshots are there on purpose.
        keeps_disks: whether the disks of the cluster's volumes are not to be deleted.
    """

    environment: str
    cluster: str
    owners: frozenset[str]
    keeps_snapshots: bool
    keeps_disks: bool

    @classmethod
    def of(cls, environment: Environment) -> Footprint:
        """That of an environment's document."""
        names = Names.of(environment)
        return cls(
            environment=environment.name,
            cluster=names.name("cluster"),
            owners=frozenset(names.name(one) for one in LOG_MAKERS),
            keeps_snapshots=environment.retention.final_snapshots,
            keeps_disks=environment.retention.protect,
        )


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something of an environment that exists.

    Args:
        kept: why it is there on purpose; empty where it is not.
    """

    leftover: Leftover
    maker: Maker
    kept: str = ""
    seen: Seen

    def __str__(self) -> str:
        return str(self.leftover)


# -- whose it is (pure) ----------------------------------------------------------------------------


def sort_out(everything: Iterable[Seen], footprint: Footprint) -> list[Finding]:
    """The findings among everything in the account that belong to the environment."""
    found = []
    for seen in everything:
        maker = maker_of(seen, footprint)
        if maker is not None:
            why = kept(seen, footprint)
            found.append(Finding(leftover=seen.leftover, maker=maker, kept=why, seen=seen))
    return sorted(found, key=lambda one: one.leftover)


def maker_of(seen: Seen, footprint: Footprint) -> Maker | None:
    """Who made it for the environment; None where it is not the environment's."""
    ours = seen.tags.get(ENVIRONMENT_TAG)
    if ours not in (None, footprint.environment) or seen.tags.get(DECLARED):
        return "the program" if ours == footprint.environment else None
    if clusters_of(seen) == {footprint.cluster}:
        return "the cluster"
    if ours is not None:
        return "the program"
    return "a service" if _by_name(seen.leftover, footprint) else None


def clusters_of(seen: Seen) -> set[str]:
    """The clusters that a resource belongs to, by what its makers wrote on it.

    A subnet that clusters only share is none's: its tag says ``shared``.
    """
    prefix = "kubernetes.io/cluster/"
    owners = {
        key.removeprefix(prefix)
        for key, value in seen.tags.items()
        if key.startswith(prefix) and value == "owned"
    }
    return owners | {seen.tags[key] for key in CLUSTER_TAGS if key in seen.tags}


def _by_name(one: Leftover, footprint: Footprint) -> bool:
    kind = (one.service, one.kind)
    if kind == ("logs", "log-group"):
        return one.id.startswith("/aws/") and any(
            part == owner or part.startswith(f"{owner}-")
            for part in one.id.split("/")
            for owner in footprint.owners
        )
    return kind in SNAPSHOTS and one.id.removesuffix(FINAL) in footprint.owners


def kept(seen: Seen, footprint: Footprint) -> str:
    """Why something is there on purpose; empty where it is not."""
    kind = (seen.leftover.service, seen.leftover.kind)
    if kind in SNAPSHOTS and footprint.keeps_snapshots:
        return "retention.final_snapshots"
    if kind in DISKS and footprint.keeps_disks:
        return "retention.protect"
    return ""


# -- taking apart ----------------------------------------------------------------------------------


def _delete(service: str, operation: str, parameter: str, value: str = "id") -> Remove:
    """A removal that is one call; ``value`` is the id or the ARN."""

    def remove(clients: Clients, seen: Seen) -> None:
        argument = getattr(seen.leftover, value)
        getattr(clients(service), operation)(
            **{parameter.removesuffix("[]"): [argument] if parameter.endswith("[]") else argument}
        )

    return remove


def _remove_interface(clients: Clients, seen: Seen) -> None:
    """An interface of the network plugin, let go by its machine first."""
    ec2, attachment = clients("ec2"), seen.item.get("Attachment") or {}
    if attachment.get("Status") in ("attaching", "attached"):
        with _tolerated(_GONE):
            ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"], Force=True)
    ec2.delete_network_interface(NetworkInterfaceId=seen.leftover.id)


def _remove_group(clients: Clients, seen: Seen) -> None:
    """A security group, after the rules of others that name it."""
    ec2, group = clients("ec2"), seen.leftover.id
    for direction, prefix in (("ingress", ""), ("egress", "egress.")):
        naming = [{"Name": f"{prefix}ip-permission.group-id", "Values": [group]}]
        for other in ec2.describe_security_groups(Filters=naming)["SecurityGroups"]:
            field = "IpPermissionsEgress" if prefix else "IpPermissions"
            rules = list(_rules_naming(other[field], group))
            if rules:
                revoke = getattr(ec2, f"revoke_security_group_{direction}")
                revoke(GroupId=other["GroupId"], IpPermissions=rules)
    ec2.delete_security_group(GroupId=group)


def _rules_naming(rules: Iterable[dict[str, Any]], group: str) -> Iterator[dict[str, Any]]:
    """Of rules, the parts that name a group, as they are revoked."""
    for rule in rules:
        if any(pair["GroupId"] == group for pair in rule["UserIdGroupPairs"]):
            ends = ("IpProtocol", "FromPort", "ToPort")
            part: dict[str, Any] = {key: rule[key] for key in ends if key in rule}
            part["UserIdGroupPairs"] = [{"GroupId": group}]
            yield part


Remove = Callable[[Clients, Seen], None]
REMOVALS: Final[dict[Kind, Remove]] = {
    ("elbv2", "loadbalancer"): _delete("elbv2", "delete_load_balancer", "LoadBalancerArn", "arn"),
    ("elb", "classic-loadbalancer"): _delete("elb", "delete_load_balancer", "LoadBalancerName"),
    ("elbv2", "targetgroup"): _delete("elbv2", "delete_target_group", "TargetGroupArn", "arn"),
    ("ec2", "instance"): _delete("ec2", "terminate_instances", "InstanceIds[]"),
    ("ec2", "launch-template"): _delete("ec2", "delete_launch_template", "LaunchTemplateId"),
    ("ec2", "network-interface"): _remove_interface,
    ("ec2", "security-group"): _remove_group,
    ("ec2", "volume"): _delete("ec2", "delete_volume", "VolumeId"),
    ("ec2", "snapshot"): _delete("ec2", "delete_snapshot", "SnapshotId"),
    ("logs", "log-group"): _delete("logs", "delete_log_group", "logGroupName"),
}
"""How each kind is removed, in the order in which they let go of each other."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try again what something else still holds.

    Args:
        seconds: altogether, for each resource; a load balancer's interfaces take minutes to go.
        pause: seconds between the first two tries; each further one takes half as long again.
        longest: seconds between two tries at the most.
    """

    seconds: float = 300.0
    pause: float = 0.2
    longest: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def clear(session: Any, footprint: Footprint, patience: Patience | None = None) -> list[Finding]:
    """Remove what the cluster and the services made; what is kept on purpose stays.

    The load balancers of a cluster whose controllers still run would come back: see `runs`.

    Args:
        session: a boto3 session of the environment's account and region.

    Returns:
        what was removed.

    Raises:
        InfrastructureError: something could not be, with AWS's reason.
    """
    clients = functools.cache(session.client)
    order, stands = list(REMOVALS), _stands(clients("eks"), footprint)
    found = [
        one
        for one in sort_out(survey(session, only=frozenset(REMOVALS)), footprint)
        if one.maker != "the program" and not one.kept and not _goes_by_itself(one.seen, stands)
    ]
    found.sort(key=lambda one: order.index((one.leftover.service, one.leftover.kind)))
    for one in found:
        _remove(clients, one, patience or Patience())
    return found


def _goes_by_itself(seen: Seen, stands: bool) -> bool:
    """Whether a service made it for something else, with which it goes.

    Args:
        stands: whether the cluster is still there.
    """
    if "aws:autoscaling:groupName" in seen.tags or (seen.item or {}).get("RequesterManaged"):
        return True
    return stands and "aws:eks:cluster-name" in seen.tags


def _remove(clients: Clients, one: Finding, patience: Patience) -> None:
    until, pause = patience.clock() + patience.seconds, patience.pause
    while True:
        try:
            REMOVALS[one.leftover.service, one.leftover.kind](clients, one.seen)
            return
        except ClientError as failure:
            code = failure.response["Error"]["Code"]
            if _GONE.search(code):
                return
            if not _BUSY.search(code) or patience.clock() > until:
                raise InfrastructureError(
                    f"it cannot be removed: {failure.response['Error']['Message']} ({code})",
                    where=str(one),
                    fix="Remove what still uses it, or allow the call, and sweep again.",
                ) from failure
        patience.sleep(pause)
        pause = min(1.5 * pause, patience.longest)


@contextlib.contextmanager
def _tolerated(codes: re.Pattern[str]) -> Iterator[None]:
    """A block in which AWS may answer with these codes."""
    try:
        yield
    except ClientError as failure:
        if not codes.search(failure.response["Error"]["Code"]):
            raise


# -- the proof -------------------------------------------------------------------------------------


def examine(session: Any, footprint: Footprint) -> list[Finding]:
    """Everything of the environment that exists, by each service and by the Tagging API.

    Raises:
        InfrastructureError: a service could not be asked, so nothing is proven.
    """
    asked = {
        ENVIRONMENT_TAG: footprint.environment,
        f"kubernetes.io/cluster/{footprint.cluster}": "owned",
        "elbv2.k8s.aws/cluster": footprint.cluster,
    }
    return sort_out(survey(session, asked), footprint)


def runs(session: Any, footprint: Footprint) -> bool:
    """Whether the cluster has nodes, on which its controllers would make things again."""
    eks = session.client("eks")
    if not _stands(eks, footprint):
        return False
    return bool(eks.list_nodegroups(clusterName=footprint.cluster)["nodegroups"])


def _stands(eks: Any, footprint: Footprint) -> bool:
    with _tolerated(_GONE):
        eks.describe_cluster(name=footprint.cluster)
        return True
    return False
