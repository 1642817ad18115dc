"""The environment document: one AWS environment, as a person writes it in ``Pulumi.<name>.yaml``.

``tier`` settles the defaults that differ between a laptop and production (what may be deleted, how
many of each thing, how long things are kept), so that a development environment is ten lines and a
production one states only what is particular to it. Whatever a tier settles can be written out, and
then it holds.

Everything that AWS would refuse an hour into a deployment and that can be known beforehand is
refused here, before anything starts: a network without room for its subnets, node types that do not
exist, days that CloudWatch does not offer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from contracts.document import Document, Duration, suggest
from contracts.errors import DocumentError
from contracts.version import VERSION

CONFIG_KEY: Final = "config.millwright:environment"
"""Where the document stands in a ``Pulumi.<name>.yaml``."""

DAY: Final = 86400.0

Tier = Literal["local", "dev", "staging", "prod"]


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """A check that a string has a form, refusing others with what was expected."""
    form = re.compile(pattern)

    def check(value: str) -> str:
        if not form.fullmatch(value):
            raise ValueError(f"{value!r} is not {expected}")
        return value

    return check


def one_of(names: tuple[str, ...], what: str) -> Callable[[str], str]:
    """A check that a name is known, refusing others with the one that was probably meant."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is not a {what}; {suggest(value, names)}")
        return value

    return check


def whole_days(seconds: float) -> float:
    """AWS counts retention in days."""
    if seconds % DAY:
        raise ValueError("AWS counts this in whole days; write it such as 7d")
    return seconds


def days_between(low: int, high: int, why: str) -> Callable[[float], float]:
    """A check that a retention lies in what the service takes."""

    def check(seconds: float) -> float:
        if not low * DAY <= whole_days(seconds) <= high * DAY:
            raise ValueError(f"{why}: {low}d to {high}d, not {seconds / DAY:g}d")
        return seconds

    return check


LOG_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The retentions that CloudWatch Logs offers (PutRetentionPolicy)."""


def log_days(seconds: float) -> float:
    """CloudWatch keeps logs for some numbers of days only."""
    days = whole_days(seconds) / DAY
    if days not in LOG_DAYS:
        nearest = min(LOG_DAYS, key=lambda offered: abs(offered - days))
        raise ValueError(f"CloudWatch does not keep logs for {days:g}d; the nearest is {nearest}d")
    return seconds


def quoted(value: object) -> object:
    """An account number written without quotes has lost its leading zeros."""
    if isinstance(value, int):
        raise ValueError(f"put {value} in quotes: a number loses its leading zeros")
    return value


NAME = matching(
    r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "a name of lower-case letters, digits and single hyphens"
)
ARN = matching(r"arn:aws[a-z-]*:iam::\d{12}:(role|user|policy)/.+", "an IAM ARN")

Days = Annotated[Duration, AfterValidator(whole_days)]
LogDays = Annotated[Duration, AfterValidator(log_days)]
Name = Annotated[str, AfterValidator(NAME)]
Identifier = Annotated[
    str,
    AfterValidator(matching(r"[a-z][a-z0-9_]{0,62}", "a name of lower-case letters, digits and _")),
]
Arn = Annotated[str, AfterValidator(ARN)]
Email = Annotated[str, AfterValidator(matching(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address"))]
AccountId = Annotated[
    str,
    BeforeValidator(quoted),
    AfterValidator(matching(r"\d{12}", "an AWS account: twelve digits, in quotes")),
]
Region = Annotated[
    str, AfterValidator(matching(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as eu-central-1"))
]
InstanceType = Annotated[
    str,
    AfterValidator(
        matching(
            r"[a-z][a-z0-9-]*\.(nano|micro|small|medium|large|metal|(\d+)?xlarge|metal-\d+xl)",
            "an EC2 instance type such as m7i.xlarge",
        )
    ),
]


def cidr(value: str) -> str:
    """A network with no host bits set."""
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a network such as 10.0.0.0/16: {error}") from None


Cidr = Annotated[str, AfterValidator(cidr)]

REDSHIFT_NODES: Final = ("ra3.large", "ra3.xlplus", "ra3.4xlarge", "ra3.16xlarge")
SINGLE_NODE: Final = ("ra3.large", "ra3.xlplus")
"""Redshift node types that may stand alone."""

CACHE_SIZES: Final = {
    "cache.t4g": ("micro", "small", "medium"),
    "cache.t3": ("micro", "small", "medium"),
    "cache.m7g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
    "cache.r7g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
    "cache.m6g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
    "cache.r6g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
}
CACHE_NODES: Final = tuple(
    f"{family}.{size}" for family, sizes in CACHE_SIZES.items() for size in sizes
)

RESERVED_DATABASES: Final = ("template0", "template1", "padb_harvest", "sys", "information_schema")


ENDPOINT_SERVICES: Final = (
    *("ecr.api", "ecr.dkr", "sts", "secretsmanager", "logs", "kms", "eks", "eks-auth"),
    *("redshift-data", "monitoring", "kinesis-streams", "elasticfilesystem"),
)
"""Services that private subnets may be given an interface endpoint to."""


class Retention(Document):
    """What may be deleted, and how long what is deleted can be brought back."""

    protect: bool = True
    """Whether what holds data refuses to be deleted."""
    empty_buckets: bool = False
    """Whether destroying the environment may delete what is in the buckets and repositories."""
    final_snapshots: bool = True
    """Whether a store leaves a last snapshot when it is deleted."""
    backups: Annotated[Duration, AfterValidator(days_between(1, 35, "backups are kept"))] = 35 * DAY
    """How long automatic backups and snapshots are kept."""
    keys: Annotated[Duration, AfterValidator(days_between(7, 30, "KMS keeps deleted keys"))] = (
        30 * DAY
    )
    """How long KMS waits before it deletes a key."""
    logs: LogDays = 365 * DAY
    """How long CloudWatch keeps logs."""


VpcId = Annotated[
    str, AfterValidator(matching(r"vpc-[0-9a-f]{8,17}", "a VPC such as vpc-0123456789abcdef0"))
]
SubnetId = Annotated[
    str,
    AfterValidator(matching(r"subnet-[0-9a-f]{8,17}", "a subnet such as subnet-0123456789abcdef0")),
]
BucketName = Annotated[
    str,
    AfterValidator(
        matching(
            r"(?!xn--|sthree-)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            "a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens",
        )
    ),
]
KeyArn = Annotated[
    str,
    AfterValidator(
        matching(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[0-9a-f-]+", "the ARN of a KMS key")
    ),
]


class ExistingNetwork(Document):
    """A VPC that is there already; its routes, gateways and free endpoints stay its owner's."""

    vpc: VpcId
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


class Network(Document):
    """The VPC. Each zone's subnets depend on its letter alone, so adding a zone moves nothing."""

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


class Keys(Document):
    """Customer-managed KMS keys, one for each class of data."""

    rotation: Annotated[
        Duration, AfterValidator(days_between(90, 2560, "KMS rotates keys every"))
    ] = 365 * DAY
    """How often the key material changes."""


class Lifecycle(Document):
    """When objects move to cheaper storage, and when they go."""

    infrequent_after: Annotated[
        Duration, AfterValidator(days_between(30, 3650, "S3 moves to infrequent access after"))
    ] = 90 * DAY
    """When raw objects move to infrequent access."""
    archive_after: Annotated[
        Duration, AfterValidator(days_between(60, 3650, "S3 archives after"))
    ] = 365 * DAY
    """When raw objects move to instant-retrieval archive."""
    versions: Days = 30 * DAY
    """How long replaced and deleted versions can be brought back."""
    uploads: Days = 7 * DAY
    """When abandoned multipart uploads are removed."""

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """S3 wants thirty days in infrequent access before the archive."""
        if self.archive_after < self.infrequent_after + 30 * DAY:
            raise ValueError(
                "archive_after must be at least 30d after infrequent_after: "
                "S3 bills that long for infrequent access anyway"
            )
        return self


class Column(Document):
    """A column of a table of the lake."""

    name: Identifier
    type: Literal[
        "string", "boolean", "int", "bigint", "float", "double", "timestamp", "date", "binary"
    ]


class LakeTable(Document):
    """A dataset of the lake as queries see it: Parquet files under one prefix."""

    bucket: Literal["raw", "curated"]
    """The bucket that holds it."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """What each file holds."""
    partitions: tuple[Column, ...] = ()
    """What the folders' names hold, from the outermost inwards."""

    @model_validator(mode="after")
    def named_once(self) -> Self:
        """Glue takes a column that is also a partition, and every query of it then fails."""
        names = [column.name for column in (*self.columns, *self.partitions)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}")
        return self


class Catalog(Document):
    """Glue and Athena: the lake's files as tables that SQL reads."""

    enabled: bool = True
    tables: dict[Identifier, LakeTable] = Field(default_factory=dict)
    """Tables by name; a table's files lie under the prefix of its name."""
    scan_limit: int = Field(default=100, ge=1, le=100_000)
    """The most that one query may read, in GiB."""


class Lake(Document):
    """Object storage: raw, curated and artifacts buckets, and the logs of who read them."""

    existing: dict[Literal["raw", "curated", "artifacts"], BucketName] = Field(default_factory=dict)
    """Buckets that are there already, by purpose: used as they are, never changed or deleted."""
    existing_keys: tuple[KeyArn, ...] = ()
    """KMS keys that the existing buckets are encrypted with."""
    lifecycle: Lifecycle = Lifecycle()
    access_logs: bool = True
    """Whether a fourth bucket keeps who read and wrote what."""
    intelligent_tiering: bool = False
    """Whether curated data and artifacts move to the storage that their use deserves."""
    catalog: Catalog = Catalog()

    @model_validator(mode="after")
    def one_purpose_each(self) -> Self:
        """What ages and expires differs by purpose, so each has a bucket of its own."""
        if len(set(self.existing.values())) < len(self.existing):
            raise ValueError("existing: a bucket is named for two purposes")
        if self.existing_keys and not self.existing:
            raise ValueError("existing_keys belong to existing buckets, and there are none")
        return self


class Warehouse(Document):
    """Redshift, reached through its Data API; its administrator's password is managed by AWS."""

    kind: Literal["provisioned", "serverless"] = "provisioned"
    """Nodes that always run, or capacity billed by the second of use."""
    node_type: Annotated[str, AfterValidator(one_of(REDSHIFT_NODES, "Redshift node type"))] = (
        "ra3.large"
    )
    nodes: int = Field(default=2, ge=1, le=128)
    """How many nodes."""
    capacity: int = Field(default=8, ge=4, le=512)
    """Serverless: the Redshift processing units to start from."""
    max_capacity: int = Field(default=64, ge=4, le=1024)
    """Serverless: the most of them."""
    audit_logs: bool = True
    """Whether connections, users and statements are logged to CloudWatch."""
    database: Identifier = "millwright"
    """The first database's name."""
    user: Identifier = "millwright"
    """The administrator's name."""

    @field_validator("database")
    @classmethod
    def not_reserved(cls, value: str) -> str:
        """Redshift keeps some names for itself."""
        if value in RESERVED_DATABASES:
            raise ValueError(f"{value!r} is a name that Redshift keeps for itself")
        return value

    @model_validator(mode="after")
    def may_stand_alone(self) -> Self:
        """Only the small node types run as a single node; capacity comes in steps."""
        if self.nodes == 1 and self.node_type not in SINGLE_NODE:
            raise ValueError(
                f"one {self.node_type} node cannot stand alone; "
                f"take two, or one of {', '.join(SINGLE_NODE)}"
            )
        if self.capacity != 4 and self.capacity % 8:
            raise ValueError(f"capacity comes as 4 or in steps of 8, not {self.capacity}")
        if self.capacity > self.max_capacity:
            raise ValueError(f"capacity {self.capacity} is more than max_capacity")
        return self


class Capacity(Document):
    """Provisioned throughput that follows the load, in units a second."""

    min: int = Field(default=5, ge=1, le=40_000)
    max: int = Field(default=100, ge=1, le=40_000)
    target: int = Field(default=70, ge=20, le=90)
    """The share of the capacity to be in use, in percent."""

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """A range has two ends."""
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class Table(Document):
    """A DynamoDB table, billed by request unless it has capacity."""

    key: Identifier
    """The partition key, a string."""
    sort: Identifier | None = None
    """The sort key, a string, where rows of one partition are ordered."""
    ttl: Identifier | None = None
    """The attribute holding the second in which a row may go."""
    capacity: Capacity | None = None
    """Provisioned throughput, cheaper than requests where the load is steady."""

    @model_validator(mode="after")
    def keys_differ(self) -> Self:
        """DynamoDB refuses one attribute twice in a key, and a key that expires the row."""
        if self.sort == self.key:
            raise ValueError(f"{self.key!r} is both the key and the sort key")
        if self.ttl in (self.key, self.sort) and self.ttl is not None:
            raise ValueError(f"{self.ttl!r} is part of the key and cannot be the ttl")
        return self


class OnlineStore(Document):
    """DynamoDB: features and predictions looked up by key."""

    tables: dict[Name, Table] = Field(
        default_factory=lambda: {
            "features": Table(key="entity_id"),
            "predictions": Table(key="request_id", ttl="expires_at"),
        }
    )
    """The tables by purpose."""
    recovery: bool = True
    """Whether any second of the last 35 days can be restored."""


class Cache(Document):
    """ElastiCache: the in-memory store."""

    engine: Literal["valkey", "redis"] = "valkey"
    version: Annotated[str, AfterValidator(matching(r"\d\.\d", "a version such as 8.0"))] = "8.0"
    node_type: Annotated[str, AfterValidator(one_of(CACHE_NODES, "cache node type"))] = (
        "cache.t4g.small"
    )
    replicas: int = Field(default=1, ge=0, le=5)
    """Read replicas beside the primary; with one or more, a lost zone is survived."""
    tls: bool = True
    """Whether clients speak TLS; off only where the server is on the same machine."""
    users: tuple[Annotated[str, AfterValidator(NAME)], ...] = ()
    """Users who sign in with their IAM role; none: whoever reaches the port is let in."""

    @model_validator(mode="after")
    def version_of_engine(self) -> Self:
        """The two engines count their versions differently."""
        known = {"valkey": ("7.2", "8.0", "8.1"), "redis": ("6.2", "7.0", "7.1")}[self.engine]
        if self.version not in known:
            raise ValueError(
                f"{self.engine} {self.version} is not offered; one of {', '.join(known)} is"
            )
        if self.users and not self.tls:
            raise ValueError("users sign in over TLS only; set tls, or name no users")
        return self


class Taint(Document):
    """What keeps pods off a node unless they tolerate it."""

    key: str
    value: str = "true"
    effect: Literal["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"] = "NO_SCHEDULE"


GPU_FAMILIES: Final = ("g4", "g5", "g6", "p3", "p4", "p5", "p6")


class NodeGroup(Document):
    """Machines of one kind in the cluster."""

    instance_types: tuple[InstanceType, ...]
    """Types of the same size, in order of preference."""
    min: int = Field(default=0, ge=0, le=450)
    """Fewest nodes."""
    max: int = Field(default=3, ge=1, le=450)
    """Most nodes."""
    spot: bool = False
    """Whether to take spare capacity that AWS may take back at two minutes' notice."""
    disk: int = Field(default=50, ge=20, le=16384)
    """The nodes' disks, in GiB."""
    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Sizes in order, and one kind of machine in a group."""
        if not 1 <= len(self.instance_types) <= 20:
            raise ValueError("a group needs 1 to 20 instance types")
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        if len({self.is_gpu(kind) for kind in self.instance_types}) > 1:
            raise ValueError("a group mixes GPU types and others; make two groups")
        return self

    @property
    def gpu(self) -> bool:
        """Whether the nodes need the image with NVIDIA's drivers."""
        return self.is_gpu(self.instance_types[0])

    @staticmethod
    def is_gpu(instance_type: str) -> bool:
        """Whether an instance type has NVIDIA GPUs."""
        return instance_type.startswith(GPU_FAMILIES)


def system_nodes() -> dict[str, NodeGroup]:
    """One small group, on which everything runs until the table says otherwise."""
    return {"system": NodeGroup(instance_types=("m7i.large",), min=2, max=4)}


class Cluster(Document):
    """EKS."""

    version: Annotated[
        str, AfterValidator(matching(r"1\.(2[89]|[34]\d)", "a Kubernetes version such as 1.35"))
    ] = "1.35"
    """The Kubernetes version. `millwright doctor` says until when EKS supports it."""
    public_access: tuple[Cidr, ...] = ()
    """Networks from which the Kubernetes API is reached; none: from inside the VPC only."""
    node_groups: dict[Name, NodeGroup] = Field(default_factory=system_nodes, min_length=1)
    """Machines by group."""
    admins: tuple[Arn, ...] = ()
    """IAM roles and users that administer the cluster."""
    viewers: tuple[Arn, ...] = ()
    """IAM roles and users that may look."""
    addons: bool = True
    """Whether EKS keeps the cluster's network, DNS, storage and identity agents current."""
    pod_identity: bool = True
    """Whether workloads' service accounts are given their roles."""
    hardened_nodes: bool = True
    """Whether nodes refuse pods the instance's metadata, on disks encrypted with our key."""

    @field_validator("public_access")
    @classmethod
    def not_everyone(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """An API open to the world is one stolen token away from being everyone's."""
        if any(ipaddress.IPv4Network(network).prefixlen < 8 for network in value):
            raise ValueError("open to the whole internet; name the networks that need it")
        return value

    @field_validator("node_groups")
    @classmethod
    def somewhere_to_run(cls, value: dict[str, NodeGroup]) -> dict[str, NodeGroup]:
        """CoreDNS and the controllers tolerate no taints."""
        if not any(group.min and not group.taints for group in value.values()):
            raise ValueError(
                "no group without taints has a min of 1 or more: the system pods could not run"
            )
        return value


class Registry(Document):
    """ECR: container images."""

    repositories: tuple[Name, ...] = ("runtime", "components", "operator", "gateway")
    """The images' names."""
    keep: int = Field(default=50, ge=1, le=1000)
    """How many versions of an image are kept."""
    tag: Annotated[
        str, AfterValidator(matching(r"(?!latest$)[\w][\w.-]{0,127}", "a version such as 1.4.2"))
    ] = VERSION
    """Of Millwright's own images, the version that runs. Not `latest`: a tag never changes."""

    @field_validator("repositories")
    @classmethod
    def distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A repository is made once."""
        if len(set(value)) != len(value):
            raise ValueError("a repository is named twice")
        return value


class Identity(Document):
    """A role for each workload."""

    boundary: Arn | None = None
    """A policy that no role of this environment can exceed, where the organisation has one."""


class FileSystem(Document):
    """EFS: files that several pods share."""

    enabled: bool = True
    backups: bool = True
    """Whether AWS Backup copies it every day."""
    infrequent_after: Literal["7d", "14d", "30d", "60d", "90d"] = "30d"
    """When files that nobody reads move to cheaper storage."""
    access_points: dict[Name, int] = Field(
        default_factory=lambda: {"pipelines": 1000, "training": 1001, "notebooks": 1002}
    )
    """A folder for each workload, and the user id that all in it belongs to."""

    @field_validator("access_points")
    @classmethod
    def distinct(cls, value: dict[str, int]) -> dict[str, int]:
        """Two workloads with one user id could read each other's files."""
        if len(set(value.values())) != len(value):
            raise ValueError("two access points have the same user id")
        if any(not 1000 <= user <= 60_000 for user in value.values()):
            raise ValueError("user ids lie between 1000 and 60000")
        return value


class Stream(Document):
    """Kinesis: events as they happen, also delivered to the lake."""

    enabled: bool = True
    retention: Annotated[Duration, AfterValidator(days_between(1, 365, "Kinesis keeps events"))] = (
        DAY
    )
    """How long events can be read again."""
    buffer: int = Field(default=64, ge=64, le=128)
    """How much is gathered before it is written to the lake, in MiB."""


RDS_CLASSES: Final = tuple(
    f"db.{family}.{size}"
    for family, sizes in {
        "t4g": ("micro", "small", "medium", "large"),
        "m7g": ("large", "xlarge", "2xlarge", "4xlarge"),
        "r7g": ("large", "xlarge", "2xlarge", "4xlarge"),
    }.items()
    for size in sizes
)


class Database(Document):
    """RDS Postgres, for the metadata of MLflow and Kubeflow Pipelines."""

    enabled: bool = True
    instance: Annotated[str, AfterValidator(one_of(RDS_CLASSES, "database instance class"))] = (
        "db.t4g.medium"
    )
    version: Annotated[str, AfterValidator(matching(r"1[4-8]", "a Postgres version, 14 to 18"))] = (
        "17"
    )
    storage: int = Field(default=50, ge=20, le=16_384)
    """Disk to start with, in GiB."""
    max_storage: int = Field(default=500, ge=22, le=65_536)
    """What the disk may grow to, in GiB."""
    multi_az: bool = True
    """Whether a standby in another zone takes over."""

    @model_validator(mode="after")
    def may_grow(self) -> Self:
        """RDS wants room for at least a tenth."""
        if self.max_storage < self.storage * 1.1:
            raise ValueError(
                f"max_storage {self.max_storage} leaves {self.storage} GiB no tenth to grow"
            )
        return self


class Observability(Document):
    """Alarms, a dashboard and whom they wake."""

    enabled: bool = True
    emails: tuple[Email, ...] = ()
    """Who is told of alarms."""


class Budget(Document):
    """What the environment may cost."""

    enabled: bool = True
    monthly_usd: int = Field(default=1000, ge=1)
    """US dollars a month."""
    alerts: tuple[int, ...] = (50, 80, 100)
    """At which shares of it to tell someone, in percent."""
    emails: tuple[Email, ...] = ()
    """Who is told; nobody: the alarms' topic alone."""

    @field_validator("alerts")
    @classmethod
    def few(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        """AWS takes ten notifications a budget; ours are two a threshold."""
        if not 1 <= len(set(value)) == len(value) <= 5 or min(value) < 1:
            raise ValueError("one to five different percentages")
        return value


COMPONENTS: Final = (
    *("pipelines", "seldon", "operator", "monitoring"),
    *("keda", "spark", "mlflow", "feature_server", "autoscaler"),
)
"""What can be installed in the cluster, beside what everything there needs: namespaces, Istio,
cert-manager and External Secrets."""
WORKING_NAMESPACES: Final = ("kubeflow", "training", "serving", "features", "mlflow", "spark")
"""Namespaces where people's work runs, and so may be given a quota."""


class Quota(Document):
    """The most that a namespace's pods may ask for together."""

    cpu: int = Field(ge=1, le=10_000)
    """Cores."""
    memory: int = Field(ge=1, le=100_000)
    """Memory, in GiB."""
    pods: int = Field(default=100, ge=1, le=10_000)
    gpus: int = Field(default=0, ge=0, le=1000)
    """NVIDIA GPUs."""


class OnCluster(Document):
    """What is installed in the cluster."""

    enabled: bool = True
    """Whether anything is; off where there is no Kubernetes API to reach."""
    components: tuple[Annotated[str, AfterValidator(one_of(COMPONENTS, "component"))], ...] = (
        COMPONENTS
    )
    """What of it is wanted."""
    replicas: int = Field(default=1, ge=1, le=5)
    """How many of each controller run."""
    host: Annotated[
        str, AfterValidator(matching(r"(\*\.)?[a-z0-9.-]+", "a host name such as ml.example.com"))
    ] = "*.millwright.internal"
    """The name that clients call the models by; the gateway's certificate is made out to it."""
    load_balancer: Literal["internal", "internet"] = "internal"
    """From where the gateway's load balancer is reached."""
    load_balancer_networks: tuple[Cidr, ...] = ()
    """Networks that reach the load balancer; none: only the VPC's."""
    metrics_kept: Days = 15 * DAY
    """How long Prometheus keeps metrics."""
    metrics_disk: int = Field(default=50, ge=10, le=16_384)
    """Prometheus's disk, in GiB."""
    quotas: dict[
        Annotated[str, AfterValidator(one_of(WORKING_NAMESPACES, "namespace with a quota"))], Quota
    ] = Field(
        default_factory=lambda: {
            "kubeflow": Quota(cpu=64, memory=256, pods=300),
            "training": Quota(cpu=128, memory=512, gpus=8),
            "serving": Quota(cpu=64, memory=256, gpus=8),
            "spark": Quota(cpu=128, memory=512, pods=300),
        }
    )
    """The most that each namespace's pods may ask for."""

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """The operator steers Seldon's deployments; the internet is many networks."""
        if len(set(self.components)) != len(self.components):
            raise ValueError("a component is named twice")
        if "operator" in self.components and "seldon" not in self.components:
            raise ValueError("the operator moves the weights of Seldon's deployments: add seldon")
        if self.load_balancer == "internet" and not self.load_balancer_networks:
            raise ValueError("name in load_balancer_networks who may reach it from the internet")
        return self


class Environment(Document):
    """One AWS environment: everything ``millwright up`` and ``pulumi up`` make."""

    name: Name = Field(max_length=16)
    """The environment's name: the stack's, and part of every resource's name."""
    tier: Tier
    """What it is for; it settles the defaults of protection, retention and redundancy."""
    account: AccountId
    """The AWS account it belongs to; anything else is refused before the first call."""
    region: Region
    """The AWS region it lives in."""
    tags: dict[str, str] = Field(default_factory=dict, max_length=40)
    """Tags put on everything, such as the team and the cost centre."""
    retention: Retention = Retention()
    network: Network = Network()
    keys: Keys = Keys()
    lake: Lake = Lake()
    warehouse: Warehouse = Warehouse()
    online_store: OnlineStore = OnlineStore()
    cache: Cache = Cache()
    cluster: Cluster = Cluster()
    on_cluster: OnCluster = OnCluster()
    registry: Registry = Registry()
    identity: Identity = Identity()
    file_system: FileSystem = FileSystem()
    stream: Stream = Stream()
    database: Database = Database()
    observability: Observability = Observability()
    budget: Budget = Budget()

    @field_validator("tags")
    @classmethod
    def taggable(cls, value: dict[str, str]) -> dict[str, str]:
        """AWS keeps ``aws:`` and we keep ``millwright:`` for ourselves."""
        for key, text in value.items():
            if key.lower().startswith(("aws:", "millwright:")) or key == "Name":
                raise ValueError(f"{key!r} is kept for AWS or Millwright; choose another key")
            if not 1 <= len(key) <= 128 or len(text) > 256:
                raise ValueError(f"{key!r}: a tag has a key of 1 to 128 characters, a value to 256")
        return value

    @model_validator(mode="after")
    def has_what_the_cluster_needs(self) -> Self:
        """MLflow and Pipelines keep what they know in Postgres; the operator is an image."""
        if not self.on_cluster.enabled:
            return self
        components = self.on_cluster.components
        keepers = [one for one in ("mlflow", "pipelines") if one in components]
        if keepers and not self.database.enabled:
            raise ValueError(
                f"on_cluster.components: {' and '.join(keepers)} need database.enabled"
            )
        missing = {"operator", "runtime"} - set(self.registry.repositories)
        if "operator" in components and missing:
            raise ValueError(
                "on_cluster.components: the operator needs a repository named "
                f"{' and one named '.join(sorted(missing))} in registry.repositories"
            )
        return self

    @model_validator(mode="after")
    def faces_the_internet_somewhere(self) -> Self:
        """A load balancer that the internet reaches stands in public subnets."""
        existing, wanted = self.network.existing, self.on_cluster
        outside = wanted.enabled and wanted.load_balancer == "internet"
        if existing and outside and not existing.public_subnets:
            raise ValueError(
                "network.existing.public_subnets: on_cluster.load_balancer faces the internet "
                "and needs some"
            )
        return self

    @classmethod
    def parse(cls, value: object, *, where: str = "") -> Self:
        """As every document, with the tier's defaults under what is written."""
        return super().parse(settle(value), where=where)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The document in a ``Pulumi.<name>.yaml``.

        Raises:
            DocumentError: the file is missing or wrong, or its name is not the environment's.
        """
        environment = cls.load(path, key=CONFIG_KEY)
        if path.name != f"Pulumi.{environment.name}.yaml":
            raise DocumentError(
                f"the environment is named {environment.name!r}",
                where=f"{path}: {CONFIG_KEY}.name",
                fix=f"Name it as the file does, or the file Pulumi.{environment.name}.yaml",
            )
        return environment


def settle(given: object) -> object:
    """A document with its tier's defaults filled in; what is wrong in it stays for pydantic."""
    if not isinstance(given, Mapping) or not isinstance(given.get("tier"), str):
        return given
    settled = dict(given)
    for section, defaults in TIERS.get(given["tier"], {}).items():
        written = given.get(section, {})
        if isinstance(written, Mapping):
            settled[section] = {**defaults, **written}
    return settled


TIERS: Final[dict[str, dict[str, dict[str, object]]]] = {
    "local": {
        "retention": {
            "protect": False,
            "empty_buckets": True,
            "final_snapshots": False,
            "backups": "1d",
            "keys": "7d",
            "logs": "1d",
        },
        "network": {"zones": ("a", "b"), "nat": "single"},
        "cache": {"replicas": 0, "tls": False, "node_type": "cache.t4g.micro"},
        "warehouse": {"nodes": 1},
        "on_cluster": {"enabled": False},
        "database": {"multi_az": False, "instance": "db.t4g.micro"},
    },
    "dev": {
        "retention": {
            "protect": False,
            "empty_buckets": True,
            "final_snapshots": False,
            "backups": "1d",
            "keys": "7d",
            "logs": "14d",
        },
        "network": {"zones": ("a", "b"), "nat": "single"},
        "cache": {"replicas": 0},
        "warehouse": {"nodes": 1},
        "database": {"multi_az": False, "instance": "db.t4g.small"},
        "file_system": {"backups": False},
    },
    "staging": {
        "retention": {
            "protect": False,
            "empty_buckets": False,
            "final_snapshots": True,
            "backups": "7d",
            "keys": "14d",
            "logs": "30d",
        },
        "network": {"nat": "single"},
    },
    "prod": {
        "retention": {
            "protect": True,
            "empty_buckets": False,
            "final_snapshots": True,
            "backups": "35d",
            "keys": "30d",
            "logs": "365d",
        },
        "network": {"nat": "per_zone"},
        "cache": {"replicas": 2, "node_type": "cache.r7g.large"},
        "warehouse": {"node_type": "ra3.xlplus"},
        "database": {"instance": "db.m7g.large"},
        "on_cluster": {"replicas": 2, "metrics_kept": "30d", "metrics_disk": 200},
        "budget": {"monthly_usd": 10_000},
    },
}
"""What each tier settles, by section; a section that is written holds key by key."""
