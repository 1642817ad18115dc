"""The VPC: one of the environment's own, or one that is there already."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, ValidationInfo, field_validator

from contracts.document import Document
from contracts.environment.fields import Cidr, Section, TierDefaults, matching, one_of
from contracts.environment.limits import distinct

ENDPOINT_SERVICES: Final = (
    *("ecr.api", "ecr.dkr", "sts", "secretsmanager", "logs", "kms", "eks", "eks-auth"),
    *("redshift-data", "monitoring", "kinesis-streams", "elasticfilesystem"),
)
"""Services that private subnets may be given an interface endpoint to."""

VpcId = Annotated[
    str, AfterValidator(matching(r"vpc-[0-9a-f]{8,17}", "a VPC such as vpc-0123456789abcdef0"))
]
SubnetId = Annotated[
    str,
    AfterValidator(matching(r"subnet-[0-9a-f]{8,17}", "a subnet such as subnet-0123456789abcdef0")),
]


class ExistingNetwork(Document):
    """A VPC that is there already; its routes, gateways and free endpoints stay its owner's."""

    vpc: VpcId
    """The VPC."""
    private_subnets: tuple[SubnetId, ...]
    """Where nodes and pods live, in two zones at the least, with a way out."""
    database_subnets: tuple[SubnetId, ...]
    """Where databases live, in two zones at the least."""
    public_subnets: tuple[SubnetId, ...] = ()
    """Where load balancers that face the internet live."""
    private_cidrs: tuple[Cidr, ...] = ()
    """The private subnets' addresses, which alone reach the databases; none: the whole VPC's."""

    @field_validator("private_subnets", "database_subnets", "public_subnets")
    @classmethod
    def in_two_zones(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """EKS, Redshift, RDS and ElastiCache need two zones, so two subnets."""
        if len(set(value)) != len(value):
            raise ValueError(f"{', '.join(value)}: a subnet is named twice")
        if len(value) < 2 and info.field_name != "public_subnets":
            raise ValueError(f"{len(value)} subnets; two or more are needed, in different zones")
        return value


class NetworkSettings(Section):
    """The VPC. Each zone's subnets depend on its letter alone, so adding a zone moves nothing."""

    tiers: ClassVar[TierDefaults] = {
        "local": {"zones": ("a", "b"), "nat": "single"},
        "dev": {"zones": ("a", "b"), "nat": "single"},
        "staging": {"nat": "single"},
        "prod": {"nat": "per_zone"},
    }

    existing: ExistingNetwork | None = None
    """A VPC that is there already, instead of one of the environment's own."""
    cidr: Cidr = "10.0.0.0/16"
    """The VPC's addresses: a private network of /16 to /20, or those of the existing one."""
    zones: tuple[str, ...] = ("a", "b", "c")
    """The letters of the availability zones, two or three of them."""
    nat: Literal["none", "single", "per_zone"] = "single"
    """How private subnets reach the internet: one NAT gateway, one in each zone, or not at all."""
    endpoints: tuple[
        Annotated[str, AfterValidator(one_of(ENDPOINT_SERVICES, "service with an endpoint"))], ...
    ] = ()
    """AWS services reached without leaving the VPC, each at a price by the hour and zone."""
    flow_logs: bool = True
    """Whether CloudWatch keeps who talked to whom."""

    @field_validator("cidr")
    @classmethod
    def has_room(cls, value: str, info: ValidationInfo) -> str:
        """The subnet plan needs room for eight zones of three subnets."""
        network = ipaddress.IPv4Network(value)
        if info.data.get("existing") is None and not 16 <= network.prefixlen <= 20:
            raise ValueError(
                f"{value} is a /{network.prefixlen}; the subnets of eight zones need a /16 to /20"
            )
        if not network.is_private and network not in ipaddress.IPv4Network("100.64.0.0/10"):
            raise ValueError(f"{value} is not private; take it from 10.0.0.0/8, say")
        return value

    @field_validator("endpoints")
    @classmethod
    def once_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A VPC has one endpoint of a service."""
        distinct(value, "the service")
        return value

    @field_validator("zones")
    @classmethod
    def two_or_three(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """EKS, Redshift and ElastiCache need two zones; the plan knows eight letters."""
        for zone in value:
            if not re.fullmatch("[a-h]", zone):
                raise ValueError(f"{zone!r} is not a zone's letter: a to h")
        if len(set(value)) != len(value):
            raise ValueError(f"{', '.join(value)}: a zone is named twice")
        if not 2 <= len(value) <= 3:
            raise ValueError(f"{len(value)} zones; two or three are needed")
        return value


class NetworkOutputs(Document):
    """The VPC."""

    vpc_id: str
    public_subnet_ids: tuple[str, ...]
    private_subnet_ids: tuple[str, ...]
    database_subnet_ids: tuple[str, ...]
