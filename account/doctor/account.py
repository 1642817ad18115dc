"""What an environment needs of its AWS account: rights, a region, free names, what it is to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from account.doctor.asking import InRegion, client, reason
from account.doctor.check import Check, some
from account.doctor.quotas import QUOTAS, room
from contracts.environment import Environment
from contracts.errors import UsageError
from project.aws import caller

if TYPE_CHECKING:
    import boto3

BUCKETS: Final = ("raw", "curated", "artifacts", "logs")


def checks(environment: Environment, session: boto3.Session) -> Iterator[Check]:
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
    about = "Credentials"
    try:
        arn = caller(session, environment)
    except UsageError as refused:
        return Check(about=about, state="missing", found=refused.what, fix=refused.fix)
    return Check(about=about, state="ok", found=arn)


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

    from account.inventory import ENVIRONMENT_TAG, survey
    from contracts.errors import InfrastructureError
    from infra.naming import Names

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
