"""A role for each workload, with exactly the actions and the resources it needs.

Pods take their role through EKS Pod Identity: the trust names this cluster of this account, so
that a pod of another cluster cannot take it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import eks

from contracts.environment import Environment
from infra.cache import Cache
from infra.catalog import Catalog
from infra.cluster import POD_ACTIONS, POD_IDENTITY, Cluster
from infra.concern import Concern
from infra.database import Database
from infra.lake import Lake
from infra.online_store import OnlineStore
from infra.policies import Statement, allow
from infra.registry import Registry
from infra.roles import Role, role
from infra.stream import Stream
from infra.warehouse import Warehouse


@dataclass(frozen=True, kw_only=True)
class Stores:
    """What workloads may be given rights to."""

    lake: Lake
    warehouse: Warehouse
    online_store: OnlineStore
    cache: Cache
    registry: Registry
    cluster: Cluster
    catalog: Catalog | None
    stream: Stream | None
    database: Database | None
    key_arns: Mapping[str, pulumi.Output[str]]


Grant = Callable[[Stores], list[Statement]]
"""Rights to a store, as statements."""


def read_lake(*buckets: str) -> Grant:
    """List and read buckets, and decrypt what is in them."""
    return lambda stores: [
        allow("ListLake", ["s3:ListBucket", "s3:GetBucketLocation"], bucket_arns(stores, buckets)),
        allow("ReadLake", ["s3:GetObject"], object_arns(stores, buckets)),
        allow("DecryptLake", ["kms:Decrypt"], stores.lake.keys),
    ]


def write_lake(*buckets: str) -> Grant:
    """Write and replace objects."""
    return lambda stores: [
        allow(
            "WriteLake",
            ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            object_arns(stores, buckets),
        ),
        allow("EncryptLake", ["kms:Decrypt", "kms:GenerateDataKey"], stores.lake.keys),
    ]


def bucket_arns(stores: Stores, buckets: tuple[str, ...]) -> list[pulumi.Output[str]]:
    """The buckets themselves."""
    return [stores.lake.buckets[bucket].arn for bucket in buckets]


def object_arns(stores: Stores, buckets: tuple[str, ...]) -> list[pulumi.Output[str]]:
    """What is in the buckets."""
    return [pulumi.Output.concat(arn, "/*") for arn in bucket_arns(stores, buckets)]


def query_warehouse(stores: Stores) -> list[Statement]:
    """Run statements through the Data API, with the administrator's secret."""
    return [
        allow(
            "RunStatements",
            ["redshift-data:ExecuteStatement", "redshift-data:BatchExecuteStatement"],
            [stores.warehouse.arn],
        ),
        allow(
            "ReadResults",
            [
                "redshift-data:DescribeStatement",
                "redshift-data:GetStatementResult",
                "redshift-data:CancelStatement",
            ],
            # The Data API has no resource for a statement: only the caller's own can be named.
            ["*"],
            when={"StringEquals": {"redshift-data:statement-owner-iam-userid": "${aws:userid}"}},
        ),
        allow(
            "ReadSecret",
            ["secretsmanager:GetSecretValue"],
            [stores.warehouse.outputs["secret_arn"]],
        ),
        allow("DecryptSecret", ["kms:Decrypt"], [stores.key_arns["secrets"]]),
    ]


def table_arns(stores: Stores) -> list[pulumi.Output[str]]:
    """The online store's tables."""
    return [table.arn for table in stores.online_store.tables.values()]


def read_online_store(stores: Stores) -> list[Statement]:
    """Look up rows by key."""
    actions = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
    return [
        allow("LookUp", [*actions, "dynamodb:DescribeTable"], table_arns(stores)),
        allow("DecryptRows", ["kms:Decrypt"], [stores.key_arns["online_store"]]),
    ]


def write_online_store(stores: Stores) -> list[Statement]:
    """Put and remove rows."""
    actions = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    return [
        allow("WriteRows", [*actions, "dynamodb:BatchWriteItem"], table_arns(stores)),
        allow("EncryptRows", ["kms:GenerateDataKey"], [stores.key_arns["online_store"]]),
    ]


def read_images(stores: Stores) -> list[Statement]:
    """Ask which images there are."""
    return [
        allow(
            "DescribeImages",
            ["ecr:DescribeImages", "ecr:ListImages"],
            [repository.arn for repository in stores.registry.repositories.values()],
        )
    ]


def query_catalog(stores: Stores) -> list[Statement]:
    """Run queries in the workgroup and read the tables they name."""
    if stores.catalog is None:
        return []
    database = [one.arn for one in stores.catalog.databases.values()]
    tables = [
        arn.apply(lambda text: f"{text}/*".replace(":database/", ":table/")) for arn in database
    ]
    catalogue = stores.catalog.names.arn("glue", "catalog")
    queries = ["StartQueryExecution", "GetQueryExecution", "GetQueryResults", "StopQueryExecution"]
    reads = ["GetDatabase", "GetDatabases", "GetTable", "GetTables", "GetPartitions"]
    return [
        allow("Query", [f"athena:{one}" for one in queries], [stores.catalog.workgroup.arn]),
        allow("ReadTables", [f"glue:{one}" for one in reads], [catalogue, *database, *tables]),
    ]


def write_stream(stores: Stores) -> list[Statement]:
    """Publish events."""
    if stores.stream is None:
        return []
    return [
        allow("Publish", ["kinesis:PutRecord", "kinesis:PutRecords"], [stores.stream.stream.arn]),
        allow("EncryptEvents", ["kms:GenerateDataKey"], [stores.key_arns["stream"]]),
    ]


def read_passwords(stores: Stores) -> list[Statement]:
    """Read the database's password, to bring it to the pods that sign in with it."""
    if stores.database is None:
        return []
    return [
        allow(
            "ReadPasswords",
            ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            [stores.database.secret_arn],
        ),
        allow("DecryptPasswords", ["kms:Decrypt"], [stores.key_arns["secrets"]]),
    ]


def scale_nodes(stores: Stores) -> list[Statement]:
    """See which nodes there could be, and size this cluster's groups."""
    cluster = stores.cluster
    sizes = ["SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup"]
    owned = f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster.name}"
    return [
        allow(
            "SeeNodes",
            [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeScalingActivities",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions",
            ],
            # These actions know no resource.
            ["*"],
            when={"StringEquals": {"aws:RequestedRegion": cluster.names.region}},
        ),
        allow(
            "SeeGroups",
            ["eks:DescribeNodegroup"],
            [group.arn for group in cluster.node_groups.values()],
        ),
        allow(
            "SizeGroups",
            [f"autoscaling:{action}" for action in sizes],
            [cluster.names.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/*")],
            when={"StringEquals": {owned: "owned"}},
        ),
    ]


def always(environment: Environment) -> bool:
    """Every environment has it."""
    return True


def has_passwords(environment: Environment) -> bool:
    """Something in the cluster signs in to the database."""
    return environment.on_cluster.enabled and environment.database.enabled


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A workload: its rights, and the service account whose pods have them."""

    grants: tuple[Grant, ...]
    namespace: str
    service_account: str
    wanted: Callable[[Environment], bool] = always
    """Which environments have it."""


WORKLOADS: Final[dict[str, Workload]] = {
    "pipelines": Workload(
        grants=(
            read_lake("raw", "curated", "artifacts"),
            write_lake("curated", "artifacts"),
            query_warehouse,
            query_catalog,
        ),
        namespace="kubeflow",
        service_account="pipeline-runner",
    ),
    "training": Workload(
        grants=(read_lake("curated", "artifacts"), write_lake("artifacts"), query_warehouse),
        namespace="training",
        service_account="training",
    ),
    "serving": Workload(
        grants=(read_lake("artifacts"), write_stream),
        namespace="serving",
        service_account="serving",
    ),
    "feature_server": Workload(
        grants=(read_online_store, write_online_store),
        namespace="features",
        service_account="feature-server",
    ),
    "operator": Workload(
        grants=(read_lake("artifacts"), read_images),
        namespace="millwright",
        service_account="millwright-operator",
    ),
    "mlflow": Workload(
        grants=(read_lake("artifacts"), write_lake("artifacts")),
        namespace="mlflow",
        service_account="mlflow",
    ),
    "spark": Workload(
        grants=(read_lake("raw", "curated"), write_lake("curated"), query_catalog),
        namespace="spark",
        service_account="spark",
    ),
    "autoscaler": Workload(
        grants=(scale_nodes,), namespace="kube-system", service_account="cluster-autoscaler"
    ),
    "secrets": Workload(
        grants=(read_passwords,),
        namespace="external-secrets",
        service_account="external-secrets",
        wanted=has_passwords,
    ),
}
"""Every workload of the platform."""


class Identity(Concern):
    """The roles by workload, and the service accounts that have them."""

    def __init__(
        self,
        environment: Environment,
        *,
        stores: Stores,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("identity", environment, opts)
        self.stores = stores
        workloads = {name: one for name, one in WORKLOADS.items() if one.wanted(environment)}
        self.roles = {name: self._role(name, facts) for name, facts in workloads.items()}
        if environment.cluster.pod_identity:
            for name, facts in workloads.items():
                self._associate(name, facts)
        self.register_outputs({})

    def _role(self, name: str, workload: Workload) -> Role:
        return role(
            self,
            name,
            service=POD_IDENTITY,
            description=f"What the {name.replace('_', ' ')} may do",
            full_name=self.names.name(name),
            actions=POD_ACTIONS,
            when={
                "StringEquals": {"aws:SourceAccount": self.environment.account},
                "ArnEquals": {"aws:SourceArn": self.stores.cluster.cluster.arn},
            },
            statements=[made for grant in workload.grants for made in grant(self.stores)],
        )

    def _associate(self, name: str, workload: Workload) -> None:
        eks.PodIdentityAssociation(
            name,
            cluster_name=self.stores.cluster.cluster.name,
            namespace=workload.namespace,
            service_account=workload.service_account,
            role_arn=self.roles[name].arn,
            tags=self.tags(self.names.name(name)),
            opts=self.child(after=self.roles[name].ready),
        )
