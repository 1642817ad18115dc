"""Object storage: the raw, curated and artifacts buckets, and one for access logs.

Every bucket is the same in what matters (versioned, encrypted with the lake's key, closed to the
public, TLS only, owned by the account whoever writes) and differs in one table: how its objects
age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import s3

from contracts.environment import Environment, Lifecycle
from infra.concern import Concern, days
from infra.policies import deny, document


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What sets one bucket apart."""

    ages: bool = False
    """Whether its objects move to cheaper storage."""


BUCKETS: Final[dict[str, Purpose]] = {
    "raw": Purpose(ages=True),
    "curated": Purpose(),
    "artifacts": Purpose(),
}
MINIMUM_TLS: Final = "1.2"


class Lake(Concern):
    """The buckets by purpose."""

    def __init__(
        self,
        environment: Environment,
        *,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("lake", environment, opts)
        self.key_arn = key_arn
        self.buckets = {purpose: self._bucket(purpose, BUCKETS[purpose]) for purpose in BUCKETS}
        self.register_outputs({})

    def _bucket(self, purpose: str, facts: Purpose) -> s3.Bucket:
        name = self.names.bucket(purpose)
        bucket = s3.Bucket(
            purpose,
            bucket=name,
            force_destroy=self.environment.retention.empty_buckets,
            tags=self.tags(name),
            opts=self.child(holds_data=True),
        )
        part = pulumi.ResourceOptions(parent=bucket)
        closed = s3.BucketPublicAccessBlock(
            purpose,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=part,
        )
        s3.BucketOwnershipControls(
            purpose,
            bucket=bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=part,
        )
        versioning = s3.BucketVersioning(
            purpose,
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=part,
        )
        self._encrypt(purpose, bucket, part)
        s3.BucketPolicy(
            purpose,
            bucket=bucket.id,
            policy=self._policy(bucket),
            # S3 refuses two changes of one bucket's access at the same time.
            opts=pulumi.ResourceOptions(parent=bucket, depends_on=[closed]),
        )
        s3.BucketLifecycleConfiguration(
            purpose,
            bucket=bucket.id,
            rules=lifecycle_rules(self.environment.lake.lifecycle, facts),
            # Without versions there are none to expire.
            opts=pulumi.ResourceOptions(parent=bucket, depends_on=[versioning]),
        )
        return bucket

    def _encrypt(self, purpose: str, bucket: s3.Bucket, part: pulumi.ResourceOptions) -> None:
        s3.BucketServerSideEncryptionConfiguration(
            purpose,
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": self.key_arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=part,
        )

    def _policy(self, bucket: s3.Bucket) -> pulumi.Output[str]:
        """TLS only, and no key but the lake's."""
        objects = pulumi.Output.concat(bucket.arn, "/*")
        both = [bucket.arn, objects]
        return document(
            deny("TlsOnly", ["s3:*"], both, when={"Bool": {"aws:SecureTransport": "false"}}),
            deny(
                "ModernTlsOnly",
                ["s3:*"],
                both,
                when={"NumericLessThan": {"s3:TlsVersion": MINIMUM_TLS}},
            ),
            deny(
                "OwnKeyOnly",
                ["s3:PutObject"],
                [objects],
                when={
                    "Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"},
                    "StringNotEquals": {
                        "s3:x-amz-server-side-encryption-aws-kms-key-id": self.key_arn
                    },
                },
            ),
        )


def lifecycle_rules(
    lifecycle: Lifecycle, facts: Purpose
) -> list[s3.BucketLifecycleConfigurationRuleArgsDict]:
    """How a bucket's objects age."""
    rules: list[s3.BucketLifecycleConfigurationRuleArgsDict] = [
        {
            "id": "tidy",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": days(lifecycle.versions)},
            "abort_incomplete_multipart_upload": {"days_after_initiation": days(lifecycle.uploads)},
        }
    ]
    if facts.ages:
        rules.append(
            {
                "id": "age",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "transitions": [
                    {"days": days(lifecycle.infrequent_after), "storage_class": "STANDARD_IA"},
                    {"days": days(lifecycle.archive_after), "storage_class": "GLACIER_IR"},
                ],
            }
        )
    return rules
