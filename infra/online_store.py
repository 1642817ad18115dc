"""DynamoDB: features and predictions by key, encrypted, restorable to any second."""

from __future__ import annotations

import pulumi
from pulumi_aws import dynamodb

from contracts.environment import Environment, Table
from infra.concern import Concern


class OnlineStore(Concern):
    """The tables by purpose."""

    def __init__(
        self,
        environment: Environment,
        *,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("online-store", environment, opts)
        self.key_arn = key_arn
        self.tables = {
            purpose: self._table(purpose, table)
            for purpose, table in environment.online_store.tables.items()
        }
        self.register_outputs({})

    def _table(self, purpose: str, table: Table) -> dynamodb.Table:
        name = self.names.name(purpose)
        return dynamodb.Table(
            purpose,
            name=name,
            billing_mode="PAY_PER_REQUEST",
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
            opts=self.child(holds_data=True),
        )
