"""Redshift: encrypted, in the database subnets, TLS only, its password known to nobody.

AWS makes the administrator's password, keeps it in Secrets Manager and changes it; people and
programs use the Data API, which reads the secret for them. COPY and UNLOAD reach the lake with
the warehouse's own role.
"""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_aws import iam, redshift

from contracts.environment import Environment
from infra.concern import Concern, days
from infra.lake import Lake
from infra.network import Network
from infra.policies import allow, document, trust

PORT: Final = 5439
PARAMETERS: Final = {"require_ssl": "true", "enable_user_activity_logging": "true"}
READ_FROM: Final = ("raw", "curated")
WRITE_TO: Final = ("curated",)


class Warehouse(Concern):
    """The Redshift cluster and the role with which it reaches the lake."""

    def __init__(
        self,
        environment: Environment,
        *,
        network: Network,
        lake: Lake,
        key_arns: dict[str, pulumi.Output[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("warehouse", environment, opts)
        self.settings = environment.warehouse
        self.name = self.names.name("warehouse")
        self.role = self._role(lake, key_arns["lake"])
        self.cluster = self._cluster(network, key_arns)
        self.secret_arn = self.cluster.master_password_secret_arn
        self.register_outputs({})

    def _role(self, lake: Lake, lake_key_arn: pulumi.Output[str]) -> iam.Role:
        role = iam.Role(
            "lake",
            name=self.names.name("warehouse", "lake"),
            description="COPY from and UNLOAD to the lake",
            assume_role_policy=trust(
                "redshift.amazonaws.com",
                when={"StringEquals": {"aws:SourceAccount": self.environment.account}},
            ),
            permissions_boundary=self.environment.identity.boundary,
            tags=self.tags(self.names.name("warehouse", "lake")),
            opts=self.child(),
        )
        read = [lake.buckets[purpose].arn for purpose in READ_FROM]
        write = [lake.buckets[purpose].arn for purpose in WRITE_TO]
        iam.RolePolicy(
            "lake",
            name="lake",
            role=role.name,
            policy=document(
                allow("List", ["s3:ListBucket", "s3:GetBucketLocation"], read),
                allow("Copy", ["s3:GetObject"], [pulumi.Output.concat(arn, "/*") for arn in read]),
                allow(
                    "Unload",
                    ["s3:PutObject", "s3:AbortMultipartUpload"],
                    [pulumi.Output.concat(arn, "/*") for arn in write],
                ),
                allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [lake_key_arn]),
            ),
            opts=self.child(),
        )
        return role

    def _cluster(
        self, network: Network, key_arns: dict[str, pulumi.Output[str]]
    ) -> redshift.Cluster:
        group = network.security_group(self, "warehouse", "Redshift", PORT)
        subnets = redshift.SubnetGroup(
            "subnets",
            name=self.name,
            description="Database subnets",
            subnet_ids=network.subnet_ids("database"),
            tags=self.tags(self.name),
            opts=self.child(),
        )
        parameters = redshift.ParameterGroup(
            "parameters",
            name=self.name,
            description="TLS only, statements logged",
            family="redshift-1.0",
            parameters=[{"name": name, "value": value} for name, value in PARAMETERS.items()],
            tags=self.tags(self.name),
            opts=self.child(),
        )
        retention = self.environment.retention
        several = self.settings.nodes > 1
        return redshift.Cluster(
            "cluster",
            cluster_identifier=self.name,
            node_type=self.settings.node_type,
            cluster_type="multi-node" if several else "single-node",
            number_of_nodes=self.settings.nodes,
            database_name=self.settings.database,
            master_username=self.settings.user,
            manage_master_password=True,
            master_password_secret_kms_key_id=key_arns["secrets"],
            encrypted="true",
            kms_key_id=key_arns["warehouse"],
            port=PORT,
            publicly_accessible=False,
            enhanced_vpc_routing=True,
            cluster_subnet_group_name=subnets.name,
            cluster_parameter_group_name=parameters.name,
            vpc_security_group_ids=[group.id],
            iam_roles=[self.role.arn],
            allow_version_upgrade=True,
            automated_snapshot_retention_period=days(retention.backups),
            skip_final_snapshot=not retention.final_snapshots,
            final_snapshot_identifier=f"{self.name}-final" if retention.final_snapshots else None,
            tags=self.tags(self.name),
            opts=self.child(holds_data=True),
        )
