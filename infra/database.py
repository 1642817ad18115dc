"""RDS Postgres: where MLflow and Kubeflow Pipelines keep what they know.

TLS is forced, the administrator's password is AWS's to make, keep and change, and users sign in
with their IAM role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pulumi_aws import rds

from contracts.environment import Environment
from infra.alarm import BELOW, Alarm
from infra.concern import AwsConcern, DataClass, Outputs, Platform, days
from infra.keys import Keys
from infra.log_groups import log_group
from infra.network import Network
from infra.policies import Statement, allow
from infra.roles import role

PORT: Final = 5432
USER: Final = "millwright"
PARAMETERS: Final = {
    "rds.force_ssl": "1",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_min_duration_statement": "1000",
}
LOGS: Final = ("postgresql", "upgrade")
INSIGHTS_DAYS: Final = 7
MONITORING_SECONDS: Final = 60
MIB: Final = 1 << 20


class Database(AwsConcern):
    """The instance, in the database subnets."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("database", platform)
        self.settings = platform.environment.database
        self.name = self.names.name("metadata")
        self.key_arns = platform[Keys].arns
        self.instance = self._instance(platform[Network])
        self.secret_arn = self.instance.master_user_secrets[0].secret_arn
        self.register_outputs({})

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """By setting."""
        return environment.database.enabled

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """Runs, models and pipelines."""
        return {"database": DataClass(services=("rds",))}

    def alarms(self) -> list[Alarm]:
        """A database that is overworked or short of disk."""
        at = {"DBInstanceIdentifier": self.instance.identifier}
        return [
            Alarm(
                name="database-busy",
                description="Postgres has no processor time left",
                namespace="AWS/RDS",
                metric="CPUUtilization",
                dimensions=at,
                threshold=90,
            ),
            Alarm(
                name="database-full",
                description="Postgres has less than 4 GiB of disk left",
                namespace="AWS/RDS",
                metric="FreeStorageSpace",
                dimensions=at,
                threshold=4096 * MIB,
                comparison=BELOW,
            ),
        ]

    def grants(self) -> dict[str, Sequence[Statement]]:
        """Read the password, to bring it to the pods that sign in with it."""
        read = [
            allow(
                "ReadPasswords",
                ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
                [self.secret_arn],
            ),
            allow("DecryptPasswords", ["kms:Decrypt"], [self.key_arns["secrets"]]),
        ]
        return {"secrets": read}

    def outputs(self) -> Outputs:
        """Where clients connect, and where the password is kept."""
        return {
            "database": {
                "host": self.instance.address,
                "port": self.instance.port,
                "user": self.instance.username,
                "secret_arn": self.secret_arn,
            }
        }

    def _parameters(self) -> rds.ParameterGroup:
        return rds.ParameterGroup(
            "parameters",
            name=f"{self.name}-{self.settings.version}",
            description="TLS forced, connections and slow statements logged",
            family=f"postgres{self.settings.version}",
            parameters=[{"name": key, "value": value} for key, value in PARAMETERS.items()],
            tags=self.tags(self.name),
            opts=self.child(),
        )

    def _instance(self, network: Network) -> rds.Instance:
        retention = self.environment.retention
        group = network.security_group(self, "metadata", "Postgres", PORT)
        subnets = rds.SubnetGroup(
            "subnets",
            name=self.name,
            description="Database subnets",
            subnet_ids=network.subnet_ids("database"),
            tags=self.tags(self.name),
            opts=self.child(),
        )
        monitoring = role(
            self,
            "monitoring",
            service="monitoring.rds.amazonaws.com",
            description="Metrics of the database's machine",
            full_name=self.names.name("metadata", "monitoring"),
            managed=["service-role/AmazonRDSEnhancedMonitoringRole"],
        )
        logs = [
            log_group(self, log, f"/aws/rds/instance/{self.name}/{log}", self.key_arns["logs"])
            for log in LOGS
        ]
        return rds.Instance(
            "metadata",
            identifier=self.name,
            engine="postgres",
            engine_version=self.settings.version,
            instance_class=self.settings.instance,
            allocated_storage=self.settings.storage,
            max_allocated_storage=self.settings.max_storage,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=self.key_arns["database"],
            username=USER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=self.key_arns["secrets"],
            iam_database_authentication_enabled=True,
            port=PORT,
            multi_az=self.settings.multi_az,
            publicly_accessible=False,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            parameter_group_name=self._parameters().name,
            auto_minor_version_upgrade=True,
            backup_retention_period=days(retention.backups),
            copy_tags_to_snapshot=True,
            delete_automated_backups=not retention.protect,
            deletion_protection=retention.protect,
            skip_final_snapshot=not retention.final_snapshots,
            final_snapshot_identifier=f"{self.name}-final" if retention.final_snapshots else None,
            enabled_cloudwatch_logs_exports=list(LOGS),
            monitoring_interval=MONITORING_SECONDS,
            monitoring_role_arn=monitoring.arn,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=self.key_arns["database"],
            performance_insights_retention_period=INSIGHTS_DAYS,
            tags=self.tags(self.name),
            opts=self.child(holds_data=True, after=[*logs, *monitoring.ready]),
        )
