"""A role for each workload, with exactly the actions and the resources it needs.

Pods take their role through EKS Pod Identity: the trust names this cluster of this account, so
that a pod of another cluster cannot take it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import iam

from contracts.environment import Environment
from infra.cache import Cache
from infra.cluster import Cluster
from infra.concern import Concern
from infra.lake import Lake
from infra.online_store import OnlineStore
from infra.policies import Statement, allow, document, trust
from infra.registry import Registry
from infra.warehouse import Warehouse

POD_IDENTITY: Final = "pods.eks.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Stores:
    """What workloads may be given rights to."""

    lake: Lake
    warehouse: Warehouse
    online_store: OnlineStore
    cache: Cache
    registry: Registry
    cluster: Cluster
    key_arns: Mapping[str, pulumi.Output[str]]


Grant = Callable[[Stores], list[Statement]]
"""Rights to a store, as statements."""


def read_lake(*buckets: str) -> Grant:
    """List and read buckets, and decrypt what is in them."""
    return lambda stores: [
        allow("ListLake", ["s3:ListBucket", "s3:GetBucketLocation"], bucket_arns(stores, buckets)),
        allow("ReadLake", ["s3:GetObject"], object_arns(stores, buckets)),
        allow("DecryptLake", ["kms:Decrypt"], [stores.key_arns["lake"]]),
    ]


def write_lake(*buckets: str) -> Grant:
    """Write and replace objects."""
    return lambda stores: [
        allow(
            "WriteLake",
            ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            object_arns(stores, buckets),
        ),
        allow("EncryptLake", ["kms:Decrypt", "kms:GenerateDataKey"], [stores.key_arns["lake"]]),
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
            [stores.warehouse.cluster.arn],
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
        allow("ReadSecret", ["secretsmanager:GetSecretValue"], [stores.warehouse.secret_arn]),
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


WORKLOADS: Final[dict[str, tuple[Grant, ...]]] = {
    "pipelines": (
        read_lake("raw", "curated", "artifacts"),
        write_lake("curated", "artifacts"),
        query_warehouse,
    ),
    "training": (read_lake("curated", "artifacts"), write_lake("artifacts"), query_warehouse),
    "serving": (read_lake("artifacts"),),
    "feature_server": (read_online_store, write_online_store),
    "operator": (read_lake("artifacts"), read_images),
    "mlflow": (read_lake("artifacts"), write_lake("artifacts")),
}
"""Which workload has which rights."""


class Identity(Concern):
    """The roles by workload."""

    def __init__(
        self,
        environment: Environment,
        *,
        stores: Stores,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("identity", environment, opts)
        self.roles = {
            workload: self._role(workload, grants, stores) for workload, grants in WORKLOADS.items()
        }
        self.register_outputs({})

    def _role(self, workload: str, grants: tuple[Grant, ...], stores: Stores) -> iam.Role:
        name = self.names.name(workload)
        role = iam.Role(
            workload,
            name=name,
            description=f"What the {workload.replace('_', ' ')} may do",
            assume_role_policy=trust(
                POD_IDENTITY,
                actions=["sts:AssumeRole", "sts:TagSession"],
                when={
                    "StringEquals": {"aws:SourceAccount": self.environment.account},
                    "ArnEquals": {"aws:SourceArn": stores.cluster.cluster.arn},
                },
            ),
            permissions_boundary=self.environment.identity.boundary,
            tags=self.tags(name),
            opts=self.child(),
        )
        statements = [statement for grant in grants for statement in grant(stores)]
        iam.RolePolicy(
            workload,
            name=name,
            role=role.name,
            policy=document(*statements),
            opts=pulumi.ResourceOptions(parent=role),
        )
        return role
