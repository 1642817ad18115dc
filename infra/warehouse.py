"""Redshift: encrypted, in the database subnets, TLS only, its password known to nobody.

AWS makes the administrator's password, keeps it in Secrets Manager and changes it; people and
programs use the Data API, which reads the secret for them. COPY, UNLOAD and Spectrum reach the
lake with the warehouse's own role. Nodes that always run and capacity by the second are one
setting apart, and the same to whoever uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypedDict

import pulumi
from pulumi_aws import redshift, redshiftserverless

from contracts.environment import Environment
from infra.alarm import BELOW, Alarm
from infra.concern import AwsConcern, DataClass, Grants, Outputs, Platform, days
from infra.keys import Keys
from infra.lake import Lake
from infra.network import Network
from infra.policies import Statement, allow
from infra.roles import own_account, role

PORT: Final = 5439
PARAMETERS: Final = {"require_ssl": "true", "enable_user_activity_logging": "true"}
AUDIT_LOGS: Final = ("connectionlog", "userlog", "useractivitylog")
READ_FROM: Final = ("raw", "curated")
WRITE_TO: Final = ("curated",)
QUERIED_BY: Final = ("pipelines", "training")
"""Workloads that run statements."""


class WarehouseFacts(TypedDict):
    """What users of the warehouse are told (``contracts.outputs.WarehouseOutputs``)."""

    cluster_identifier: pulumi.Input[str]
    workgroup: pulumi.Input[str]
    database: pulumi.Input[str]
    user: pulumi.Input[str]
    secret_arn: pulumi.Input[str]
    role_arn: pulumi.Input[str]
    endpoint: pulumi.Input[str]


class Warehouse(AwsConcern):
    """The Redshift cluster, or its serverless namespace, and the role that reaches the lake."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("warehouse", platform)
        lake, network = platform[Lake], platform[Network]
        self.settings = platform.environment.warehouse
        self.name = self.names.name("warehouse")
        self.key_arns = platform[Keys].arns
        self.role = role(
            self,
            "lake",
            service="redshift.amazonaws.com",
            description="COPY, UNLOAD and Spectrum",
            full_name=self.names.name("warehouse", "lake"),
            when=own_account(self),
            statements=[*self._lake_rights(lake), *self._catalog_rights()],
        )
        self.group = network.security_group(self, "warehouse", "Redshift", PORT)
        self.cluster: redshift.Cluster | None = None
        if self.settings.kind == "serverless":
            self.arn, self.facts = self._serverless(network)
        else:
            self.arn, self.facts = self._provisioned(network)
        self.register_outputs({})

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """Tables and snapshots."""
        return {"warehouse": DataClass(services=("redshift",))}

    def alarms(self) -> list[Alarm]:
        """Nodes that are down or full; capacity by the second has neither."""
        if self.cluster is None:
            return []
        at = {"ClusterIdentifier": self.cluster.cluster_identifier}
        return [
            Alarm(
                name="warehouse-down",
                description="Redshift does not answer",
                namespace="AWS/Redshift",
                metric="HealthStatus",
                dimensions=at,
                threshold=1,
                comparison=BELOW,
                statistic="Minimum",
            ),
            Alarm(
                name="warehouse-full",
                description="Redshift's disks are nearly full",
                namespace="AWS/Redshift",
                metric="PercentageDiskSpaceUsed",
                dimensions=at,
                threshold=85,
            ),
        ]

    def grants(self) -> Grants:
        """Run statements through the Data API, with the administrator's secret."""
        run = ("ExecuteStatement", "BatchExecuteStatement")
        results = ("DescribeStatement", "GetStatementResult", "CancelStatement")
        own = "redshift-data:statement-owner-iam-userid"
        query = [
            allow("RunStatements", [f"redshift-data:{action}" for action in run], [self.arn]),
            allow(
                "ReadResults",
                [f"redshift-data:{action}" for action in results],
                # The Data API has no resource for a statement: only the caller's own can be named.
                ["*"],
                when={"StringEquals": {own: "${aws:userid}"}},
            ),
            allow("ReadSecret", ["secretsmanager:GetSecretValue"], [self.facts["secret_arn"]]),
            allow("DecryptSecret", ["kms:Decrypt"], [self.key_arns["secrets"]]),
        ]
        return dict.fromkeys(QUERIED_BY, query)

    def outputs(self) -> Outputs:
        """Where statements run, and where the password is kept."""
        return {"warehouse": dict(self.facts)}

    def _lake_rights(self, lake: Lake) -> list[Statement]:
        """COPY and UNLOAD: read raw and curated data, write curated."""
        read = [lake.buckets[purpose].arn for purpose in READ_FROM]
        write = [lake.buckets[purpose].arn for purpose in WRITE_TO]
        return [
            allow("List", ["s3:ListBucket", "s3:GetBucketLocation"], read),
            allow("Copy", ["s3:GetObject"], [pulumi.Output.concat(arn, "/*") for arn in read]),
            allow(
                "Unload",
                ["s3:PutObject", "s3:AbortMultipartUpload"],
                [pulumi.Output.concat(arn, "/*") for arn in write],
            ),
            allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], lake.keys),
        ]

    def _catalog_rights(self) -> list[Statement]:
        """Spectrum: read the catalogue's databases and tables, and no other environment's."""
        if not self.environment.lake.catalog.enabled:
            return []
        prefix = self.names.name("").replace("-", "_")
        things = ["catalog", f"database/{prefix}*", f"table/{prefix}*/*"]
        actions = ["GetDatabase", "GetDatabases", "GetTable", "GetTables", "GetPartitions"]
        return [
            allow(
                "Spectrum",
                [f"glue:{action}" for action in actions],
                [self.names.arn("glue", thing) for thing in things],
            )
        ]

    def _provisioned(self, network: Network) -> tuple[pulumi.Output[str], WarehouseFacts]:
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
        cluster = self._cluster(subnets, parameters)
        if self.settings.audit_logs:
            redshift.Logging(
                "audit",
                cluster_identifier=cluster.cluster_identifier,
                log_destination_type="cloudwatch",
                log_exports=list(AUDIT_LOGS),
                opts=self.child(),
            )
        self.cluster = cluster
        return cluster.arn, {
            "cluster_identifier": cluster.cluster_identifier,
            "workgroup": "",
            "database": cluster.database_name,
            "user": self.settings.user,
            "secret_arn": cluster.master_password_secret_arn,
            "role_arn": self.role.arn,
            "endpoint": cluster.endpoint,
        }

    def _cluster(
        self, subnets: redshift.SubnetGroup, parameters: redshift.ParameterGroup
    ) -> redshift.Cluster:
        retention = self.environment.retention
        return redshift.Cluster(
            "cluster",
            cluster_identifier=self.name,
            node_type=self.settings.node_type,
            cluster_type="multi-node" if self.settings.nodes > 1 else "single-node",
            number_of_nodes=self.settings.nodes,
            database_name=self.settings.database,
            master_username=self.settings.user,
            manage_master_password=True,
            master_password_secret_kms_key_id=self.key_arns["secrets"],
            encrypted="true",
            kms_key_id=self.key_arns["warehouse"],
            port=PORT,
            publicly_accessible=False,
            enhanced_vpc_routing=True,
            cluster_subnet_group_name=subnets.name,
            cluster_parameter_group_name=parameters.name,
            vpc_security_group_ids=[self.group.id],
            iam_roles=[self.role.arn],
            allow_version_upgrade=True,
            automated_snapshot_retention_period=days(retention.backups),
            skip_final_snapshot=not retention.final_snapshots,
            final_snapshot_identifier=f"{self.name}-final" if retention.final_snapshots else None,
            tags=self.tags(self.name),
            opts=self.child(holds_data=True, after=self.role.ready),
        )

    def _serverless(self, network: Network) -> tuple[pulumi.Output[str], WarehouseFacts]:
        namespace = redshiftserverless.Namespace(
            "namespace",
            namespace_name=self.name,
            db_name=self.settings.database,
            admin_username=self.settings.user,
            manage_admin_password=True,
            admin_password_secret_kms_key_id=self.key_arns["secrets"],
            kms_key_id=self.key_arns["warehouse"],
            iam_roles=[self.role.arn],
            log_exports=list(AUDIT_LOGS) if self.settings.audit_logs else None,
            tags=self.tags(self.name),
            opts=self.child(holds_data=True, after=self.role.ready),
        )
        workgroup = redshiftserverless.Workgroup(
            "workgroup",
            workgroup_name=self.name,
            namespace_name=namespace.namespace_name,
            base_capacity=self.settings.capacity,
            max_capacity=self.settings.max_capacity,
            port=PORT,
            publicly_accessible=False,
            enhanced_vpc_routing=True,
            subnet_ids=network.subnet_ids("database"),
            security_group_ids=[self.group.id],
            config_parameters=[
                {"parameter_key": key, "parameter_value": value}
                for key, value in PARAMETERS.items()
            ],
            tags=self.tags(self.name),
            opts=self.child(),
        )
        return workgroup.arn, {
            "cluster_identifier": "",
            "workgroup": workgroup.workgroup_name,
            "database": self.settings.database,
            "user": self.settings.user,
            "secret_arn": namespace.admin_password_secret_arn,
            "role_arn": self.role.arn,
            "endpoint": workgroup.endpoints[0].address,
        }
