"""KMS keys: one for each class of data, so that a right to one class is no right to another.

A key's policy names who: the account administers (actions listed, and IAM decides which of its
people); data is encrypted and decrypted only through the AWS service that keeps it.
"""

from __future__ import annotations

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
}
"""Classes of data, and the services through which each may be used (none: any)."""

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


class Keys(Concern):
    """The keys and their aliases (``alias/millwright/dev/lake``)."""

    def __init__(
        self, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("keys", environment, opts)
        self.arns: dict[str, pulumi.Output[str]] = {}
        """ARNs by class of data."""
        for data in CLASSES:
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
        via: Condition = {}
        if services := [
            f"{service}.{self.names.region}.amazonaws.com" for service in CLASSES[data]
        ]:
            via = {"StringEquals": {"kms:ViaService": services}}
        return [
            administer,
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
