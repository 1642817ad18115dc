"""DynamoDB: features and predictions by key, encrypted, restorable to any second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_aws import appautoscaling, dynamodb

from contracts.environment import Environment
from contracts.environment.online_store import Capacity, Table
from infra.alarm import Alarm
from infra.concern import AwsConcern, DataClass, Grants, Outputs, Platform
from infra.keys import Keys
from infra.policies import allow
from infra.standing import THROUGHPUT, is_provisioned

READS: Final = ("GetItem", "BatchGetItem", "Query", "DescribeTable")
WRITES: Final = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")


class OnlineStore(AwsConcern):
    """The tables by purpose."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("online-store", platform)
        self.key_arn = platform[Keys].arns["online_store"]
        self.tables = {
            purpose: self._table(purpose, table)
            for purpose, table in platform.environment.online_store.tables.items()
        }
        self.register_outputs({})

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """Every row."""
        return {"online_store": DataClass(services=("dynamodb",))}

    def alarms(self) -> list[Alarm]:
        """Tables that refuse requests."""
        return [
            Alarm(
                name=f"{purpose}-{kind}-throttled",
                description=f"DynamoDB: {kind}s are throttled in {purpose}",
                namespace="AWS/DynamoDB",
                metric=f"{kind.capitalize()}ThrottleEvents",
                dimensions={"TableName": table.name},
                threshold=0,
                statistic="Sum",
            )
            for purpose, table in self.tables.items()
            for kind in ("read", "write")
        ]

    def grants(self) -> Grants:
        """Look up, put and remove rows."""
        if not self.tables:
            return {}
        arns = [table.arn for table in self.tables.values()]
        statements = [
            allow("LookUp", [f"dynamodb:{action}" for action in READS], arns),
            allow("DecryptRows", ["kms:Decrypt"], [self.key_arn]),
            allow("WriteRows", [f"dynamodb:{action}" for action in WRITES], arns),
            allow("EncryptRows", ["kms:GenerateDataKey"], [self.key_arn]),
        ]
        return {"feature_server": statements}

    def outputs(self) -> Outputs:
        """The tables' names."""
        tables = {purpose: table.name for purpose, table in self.tables.items()}
        return {"online_store": {"tables": tables}}

    def _table(self, purpose: str, table: Table) -> dynamodb.Table:
        name = self.names.name(purpose)
        capacity = table.capacity
        # What scales itself must not be set back by the next deployment.
        moved = capacity is not None and is_provisioned(self, name)
        made = dynamodb.Table(
            purpose,
            name=name,
            billing_mode="PROVISIONED" if capacity else "PAY_PER_REQUEST",
            read_capacity=capacity.min if capacity else None,
            write_capacity=capacity.min if capacity else None,
            hash_key=table.key,
            range_key=table.sort,
            attributes=[
                {"name": attribute, "type": "S"}
                for attribute in (table.key, table.sort)
                if attribute
            ],
            ttl={"attribute_name": table.ttl, "enabled": True} if table.ttl else None,
            server_side_encryption={"enabled": True, "kms_key_arn": self.key_arn},
            point_in_time_recovery={"enabled": self.environment.online_store.recovery},
            deletion_protection_enabled=self.environment.retention.protect,
            tags=self.tags(name),
            opts=pulumi.ResourceOptions.merge(
                self.child(holds_data=True),
                pulumi.ResourceOptions(ignore_changes=list(THROUGHPUT) if moved else None),
            ),
        )
        if capacity:
            for dimension in ("Read", "Write"):
                self._scale(purpose, made, capacity, dimension)
        return made

    def _scale(
        self, purpose: str, table: dynamodb.Table, capacity: Capacity, dimension: str
    ) -> None:
        """Hold the use of the capacity to the target."""
        name = f"{purpose}-{dimension.lower()}"
        part = pulumi.ResourceOptions(parent=table)
        target = appautoscaling.Target(
            name,
            service_namespace="dynamodb",
            resource_id=pulumi.Output.concat("table/", table.name),
            scalable_dimension=f"dynamodb:table:{dimension}CapacityUnits",
            min_capacity=capacity.min,
            max_capacity=capacity.max,
            opts=part,
        )
        appautoscaling.Policy(
            name,
            name=self.names.name(name),
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            resource_id=target.resource_id,
            scalable_dimension=target.scalable_dimension,
            target_tracking_scaling_policy_configuration={
                "predefined_metric_specification": {
                    "predefined_metric_type": f"DynamoDB{dimension}CapacityUtilization"
                },
                "target_value": capacity.target,
            },
            opts=part,
        )
