"""KMS keys: one for each class of data, so that a right to one class is no right to another.

A key's policy names who: the account administers (actions listed, and IAM decides which of its
people); data is encrypted and decrypted only through the AWS service that keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pulumi
from pulumi_aws import kms

from contracts.environment import Environment
from infra.concern import Concern, days
from infra.policies import Condition, Statement, allow, document

CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "lake": ("s3",),
    "warehouse": ("redshift",),
    "online_store": ("dynamodb",),
    "cache": ("elasticache",),
    "secrets": ("secretsmanager",),
    "images": ("ecr",),
    "cluster": (),
    "logs": (),
    "files": ("elasticfilesystem",),
    "stream": ("kinesis",),
    "database": ("rds",),
    "alarms": ("sns",),
    "disks": ("ec2",),
}
"""Classes of data, and the services through which each may be used (none: any)."""

WANTED: Final[dict[str, Callable[[Environment], bool]]] = {
    "files": lambda environment: environment.file_system.enabled,
    "stream": lambda environment: environment.stream.enabled,
    "database": lambda environment: environment.database.enabled,
    "alarms": lambda environment: environment.observability.enabled,
    "disks": lambda environment: environment.cluster.hardened_nodes,
}
"""Classes that only some environments have."""

ADMINISTER: Final = tuple(
    f"kms:{action}"
    for action in (
        *("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListKeyPolicies"),
        *("ListResourceTags", "ListKeyRotations", "PutKeyPolicy", "UpdateKeyDescription"),
        *(
            "EnableKey",
            "DisableKey",
            "EnableKeyRotation",
            "DisableKeyRotation",
            "RotateKeyOnDemand",
        ),
        *("TagResource", "UntagResource", "CreateAlias", "UpdateAlias", "DeleteAlias"),
        *("ScheduleKeyDeletion", "CancelKeyDeletion", "RevokeGrant"),
    )
)
USE: Final = tuple(
    f"kms:{action}"
    for action in (
        *("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "DescribeKey"),
        *("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    )
)
GRANT: Final = ("kms:CreateGrant",)


def always(environment: Environment) -> bool:
    """Every environment has it."""
    return True


class Keys(Concern):
    """The keys and their aliases (``alias/millwright/dev/lake``)."""

    def __init__(
        self, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("keys", environment, opts)
        self.arns: dict[str, pulumi.Output[str]] = {}
        """ARNs by class of data."""
        for data in CLASSES:
            if WANTED.get(data, always)(environment):
                self.arns[data] = self._key(data)
        self.register_outputs({})

    def _key(self, data: str) -> pulumi.Output[str]:
        name = self.names.name(data)
        key = kms.Key(
            data,
            description=f"Millwright {self.environment.name}: {data.replace('_', ' ')}",
            policy=document(*self._statements(data)),
            enable_key_rotation=True,
            rotation_period_in_days=days(self.environment.keys.rotation),
            deletion_window_in_days=days(self.environment.retention.keys),
            tags=self.tags(name),
            opts=self.child(holds_data=True),
        )
        kms.Alias(
            data,
            name=f"alias/{self.names.path(data)}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=key),
        )
        return key.arn

    def _statements(self, data: str) -> list[Statement]:
        account = {"AWS": self.names.arn("iam", "root", regional=False)}
        administer = allow("Administer", ADMINISTER, ["*"], to=account)
        if data == "logs":
            return [administer, *self._by_logs()]
        if data == "alarms":
            return [administer, *self._by_publishers()]
        via: Condition = {}
        if services := [
            f"{service}.{self.names.region}.amazonaws.com" for service in CLASSES[data]
        ]:
            via = {"StringEquals": {"kms:ViaService": services}}
        return [
            administer,
            *(self._by_autoscaling() if data == "disks" else []),
            allow("Use", USE, ["*"], to=account, when=via),
            allow(
                "GrantToServices",
                GRANT,
                ["*"],
                to=account,
                when={**via, "Bool": {"kms:GrantIsForAWSResource": "true"}},
            ),
        ]

    def _by_logs(self) -> list[Statement]:
        """CloudWatch uses the key itself, for log groups of this account only."""
        return [
            allow(
                "UseByLogs",
                USE,
                ["*"],
                to={"Service": f"logs.{self.names.region}.amazonaws.com"},
                when={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": self.names.arn("logs", "log-group:*")
                    }
                },
            )
        ]

    def _by_publishers(self) -> list[Statement]:
        """CloudWatch and Budgets publish alarms to the encrypted topic."""
        return [
            allow(
                "UseByPublishers",
                ["kms:Decrypt", "kms:GenerateDataKey"],
                ["*"],
                to={"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]},
                when={"StringEquals": {"aws:SourceAccount": self.environment.account}},
            )
        ]

    def _by_autoscaling(self) -> list[Statement]:
        """Autoscaling starts the nodes, with a role that AWS made once for the account."""
        service = "autoscaling.amazonaws.com"
        role = f"role/aws-service-role/{service}/AWSServiceRoleForAutoScaling"
        principal = {"AWS": self.names.arn("iam", role, regional=False)}
        grant: Condition = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        return [
            allow("UseByAutoscaling", USE, ["*"], to=principal),
            allow("GrantByAutoscaling", GRANT, ["*"], to=principal, when=grant),
        ]
