"""KMS keys: one for each class of data, so that a right to one class is no right to another.

A key's policy names who: the account administers (actions listed, and IAM decides which of its
people); data is encrypted and decrypted only through the AWS service that keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_aws import kms

from contracts.environment import Environment
from infra.concern import AwsConcern, DataClass, Outputs, Platform, days
from infra.naming import Names
from infra.policies import Condition, Statement, allow, document

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


def by_logs(names: Names) -> list[Statement]:
    """CloudWatch uses the key itself, for log groups of this account only."""
    return [
        allow(
            "UseByLogs",
            USE,
            ["*"],
            to={"Service": f"logs.{names.region}.amazonaws.com"},
            when={
                "ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}
            },
        )
    ]


class Keys(AwsConcern):
    """The keys and their aliases (``alias/millwright/dev/lake``)."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("keys", platform)
        self.arns = {
            name: self._key(name, data_class) for name, data_class in platform.data().items()
        }
        """ARNs by class of data."""
        self.register_outputs({})

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """What belongs to no concern alone: passwords, and what services log."""
        return {
            "secrets": DataClass(services=("secretsmanager",)),
            "logs": DataClass(statements=by_logs, by_account=False),
        }

    def outputs(self) -> Outputs:
        """The keys."""
        return {"key_arns": dict(self.arns)}

    def _key(self, data: str, data_class: DataClass) -> pulumi.Output[str]:
        name = self.names.name(data)
        key = kms.Key(
            data,
            description=f"Millwright {self.environment.name}: {data.replace('_', ' ')}",
            policy=document(*self._statements(data_class)),
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

    def _statements(self, data: DataClass) -> list[Statement]:
        account = {"AWS": self.names.arn("iam", "root", regional=False)}
        statements = [allow("Administer", ADMINISTER, ["*"], to=account)]
        if data.statements:
            statements += data.statements(self.names)
        if not data.by_account:
            return statements
        via: Condition = {}
        if data.services:
            region = self.names.region
            services = [f"{service}.{region}.amazonaws.com" for service in data.services]
            via = {"StringEquals": {"kms:ViaService": services}}
        grant = {**via, "Bool": {"kms:GrantIsForAWSResource": "true"}}
        return [
            *statements,
            allow("Use", USE, ["*"], to=account, when=via),
            allow("GrantToServices", GRANT, ["*"], to=account, when=grant),
        ]
