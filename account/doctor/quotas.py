"""The limits of an account that an environment counts against."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from account.doctor.asking import client, reason
from account.doctor.check import Check
from contracts.environment import Environment

if TYPE_CHECKING:
    import boto3


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A limit of the account that the environment counts against.

    Args:
        about: what is counted.
        service: the service, as Service Quotas knows it.
        code: the quota's code there.
        uses: how many the environment adds.
        used: how many there are, by a client of EC2 or EKS; 0 where AWS does not say.
    """

    about: str
    service: str
    code: str
    uses: Callable[[Environment], int]
    used: Callable[[Callable[[str], Any]], int] = lambda clients: 0


def gateways(environment: Environment) -> int:
    """NAT gateways, each with an address."""
    if environment.network.existing:
        return 0
    zones = len(environment.network.zones)
    return {"none": 0, "single": 1, "per_zone": zones}[environment.network.nat]


GPU_FAMILIES: Final = ("g", "vt", "p", "trn", "inf", "dl")
"""How the names of accelerated instance types begin; each kind has a quota of its own."""


def vcpus(instance_type: str) -> int:
    """The vCPUs of an instance type, by its size: two up to large, four for each xlarge."""
    size = instance_type.rsplit(".", 1)[1]
    found = re.fullmatch(r"(\d*)xlarge", size)
    return 4 * int(found[1] or 1) if found else 2


def is_of(instance_type: str, families: tuple[str, ...]) -> bool:
    """Whether the type's family begins so, with the generation's number after it."""
    return re.split(r"\d", instance_type)[0] in families


def running(environment: Environment) -> int:
    """vCPUs of the standard nodes that run from the beginning."""
    groups = environment.cluster.node_groups.values()
    return sum(
        one.min * vcpus(one.instance_types[0])
        for one in groups
        if not one.spot and not is_of(one.instance_types[0], GPU_FAMILIES)
    )


def one_more(*families: str, spot: bool = False) -> Callable[[Environment], int]:
    """vCPUs for one node of each group of these families, or for what runs of it: a new account
    may have none at all, and the group then waits for ever.
    """

    def uses(environment: Environment) -> int:
        return sum(
            max(one.min, 1) * vcpus(one.instance_types[0])
            for one in environment.cluster.node_groups.values()
            if one.max
            and one.spot == spot
            and is_of(one.instance_types[0], GPU_FAMILIES) == bool(families)
            and (not families or is_of(one.instance_types[0], families))
        )

    return uses


QUOTAS: Final = (
    Quota(
        about="VPCs",
        service="vpc",
        code="L-F678F1CE",
        uses=lambda environment: 0 if environment.network.existing else 1,
        used=lambda clients: len(clients("ec2").describe_vpcs()["Vpcs"]),
    ),
    Quota(
        about="Elastic addresses",
        service="ec2",
        code="L-0263D0A3",
        uses=gateways,
        used=lambda clients: len(clients("ec2").describe_addresses()["Addresses"]),
    ),
    Quota(
        about="EKS clusters",
        service="eks",
        code="L-1194D53C",
        uses=lambda environment: 1,
        used=lambda clients: len(clients("eks").list_clusters()["clusters"]),
    ),
    Quota(
        about="vCPUs of standard instances",
        service="ec2",
        code="L-1216C47A",
        uses=running,
    ),
    Quota(
        about="vCPUs of G and VT instances",
        service="ec2",
        code="L-DB2E81BA",
        uses=one_more("g", "vt"),
    ),
    Quota(
        about="vCPUs of P instances",
        service="ec2",
        code="L-417A185B",
        uses=one_more("p"),
    ),
    Quota(
        about="vCPUs of standard spot instances",
        service="ec2",
        code="L-34B43A08",
        uses=one_more(spot=True),
    ),
)


def room(session: boto3.Session, environment: Environment, quota: Quota) -> Check:
    """Whether a quota has room for what the environment would add.

    What the environment has already is among what there is, so a brought-up environment is told
    a little too much, never too little.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    def clients(service: str) -> Any:
        return client(session, service, environment)

    try:
        used = quota.used(clients)
        limit = quota_of(clients("service-quotas"), quota)
    except (BotoCoreError, ClientError) as error:
        return Check(
            about=quota.about,
            state="warning",
            found=f"cannot be asked: {reason(error)}",
            fix="Allow servicequotas:GetServiceQuota and the lists of EC2 and EKS to see this.",
        )
    wanted = quota.uses(environment)
    good = used + wanted <= limit
    return Check(
        about=quota.about,
        state="ok" if good else "missing",
        found=f"{used} of {limit:g} in use, {wanted} wanted",
        fix=""
        if good
        else f"Ask for more: `aws service-quotas request-service-quota-increase --service-code "
        f"{quota.service} --quota-code {quota.code} --desired-value {used + wanted}`.",
    )


def quota_of(quotas: Any, quota: Quota) -> float:
    """The account's own quota, or AWS's default where it has none of its own."""
    from botocore.exceptions import ClientError

    asked = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    try:
        return float(quotas.get_service_quota(**asked)["Quota"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
        return float(quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"])
