"""Object storage: the raw, curated and artifacts buckets, and one for access logs.

Every bucket is the same in what matters (versioned, encrypted with the lake's key, closed to the
public, TLS only, owned by the account whoever writes) and differs in one table: how its objects
age.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import s3

from contracts.environment import Environment
from contracts.environment.lake import Lifecycle
from infra.concern import AwsConcern, DataClass, Outputs, Platform, days
from infra.keys import Keys
from infra.policies import Statement, allow, deny, document


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What sets one bucket apart."""

    ages: bool = False
    """Whether its objects move to cheaper storage with time."""
    tiers: bool = False
    """Whether they may move to the storage that their use deserves."""
    is_log: bool = False
    """Whether it holds the others' access logs, which S3 encrypts with a key of its own only."""
    expires: str = ""
    """A prefix under which nothing outlives the replaced versions."""


BUCKETS: Final[dict[str, Purpose]] = {
    "raw": Purpose(ages=True),
    "curated": Purpose(tiers=True, expires="athena/"),
    "artifacts": Purpose(tiers=True),
    "logs": Purpose(is_log=True),
}
READERS: Final[dict[str, tuple[str, ...]]] = {
    "pipelines": ("raw", "curated", "artifacts"),
    "training": ("curated", "artifacts"),
    "serving": ("artifacts",),
    "operator": ("artifacts",),
    "mlflow": ("artifacts",),
    "spark": ("raw", "curated"),
}
WRITERS: Final[dict[str, tuple[str, ...]]] = {
    "pipelines": ("curated", "artifacts"),
    "training": ("artifacts",),
    "mlflow": ("artifacts",),
    "spark": ("curated",),
}
"""Which workloads write which buckets; each of them reads some, too."""
MINIMUM_TLS: Final = "1.2"
ARCHIVE_DAYS: Final = 180


@dataclass(frozen=True, kw_only=True)
class Place:
    """A bucket as its users know it."""

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]

    @classmethod
    def of(cls, bucket: s3.Bucket) -> Place:
        """One of the lake's own."""
        return cls(bucket=bucket.bucket, arn=bucket.arn)


class Lake(AwsConcern):
    """The buckets by purpose, those that are the environment's and those that were there before."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("lake", platform)
        self.key_arn = platform[Keys].arns["lake"]
        self.policies: dict[str, s3.BucketPolicy] = {}
        settings = platform.environment.lake
        self.made = {
            purpose: self._bucket(purpose, facts)
            for purpose, facts in BUCKETS.items()
            if purpose not in settings.existing and (settings.access_logs or not facts.is_log)
        }
        self.buckets = {purpose: Place.of(bucket) for purpose, bucket in self.made.items()}
        for purpose, name in settings.existing.items():
            self.buckets[purpose] = self._there(name)
        self.keys: list[pulumi.Input[str]] = [self.key_arn, *settings.existing_keys]
        """Every key that something in the lake may be encrypted with."""
        if settings.access_logs:
            self._log_access(self.made["logs"])
        if settings.intelligent_tiering:
            self._tier()
        self.register_outputs({})

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """Everything in the buckets."""
        return {"lake": DataClass(services=("s3",))}

    def grants(self) -> dict[str, list[Statement]]:
        """Each workload reads and writes the buckets of its rows."""
        return {
            workload: [
                *self._reading(buckets),
                *(self._writing(WRITERS[workload]) if workload in WRITERS else []),
            ]
            for workload, buckets in READERS.items()
        }

    def outputs(self) -> Outputs:
        """The buckets of data; who reads the access logs has rights of their own."""
        data = (purpose for purpose, facts in BUCKETS.items() if not facts.is_log)
        names = {purpose: self.buckets[purpose].bucket for purpose in data}
        return {"lake": {**names, "key_arn": self.key_arn}}

    def _reading(self, buckets: tuple[str, ...]) -> list[Statement]:
        """List and read buckets, and decrypt what is in them."""
        arns = [self.buckets[bucket].arn for bucket in buckets]
        return [
            allow("ListLake", ["s3:ListBucket", "s3:GetBucketLocation"], arns),
            allow("ReadLake", ["s3:GetObject"], objects_in(arns)),
            allow("DecryptLake", ["kms:Decrypt"], self.keys),
        ]

    def _writing(self, buckets: tuple[str, ...]) -> list[Statement]:
        """Write and replace objects."""
        arns = [self.buckets[bucket].arn for bucket in buckets]
        actions = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        return [
            allow("WriteLake", actions, objects_in(arns)),
            allow("EncryptLake", ["kms:Decrypt", "kms:GenerateDataKey"], self.keys),
        ]

    def _there(self, name: str) -> Place:
        """A bucket of somebody else's: its name is all that is needed of it."""
        arn = f"arn:{self.names.partition}:s3:::{name}"
        return Place(bucket=pulumi.Output.from_input(name), arn=pulumi.Output.from_input(arn))

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
        self._encrypt(purpose, bucket, facts, part)
        self.policies[purpose] = s3.BucketPolicy(
            purpose,
            bucket=bucket.id,
            policy=self._policy(bucket, facts),
            # S3 refuses two changes of one bucket's access at the same time.
            opts=pulumi.ResourceOptions(parent=bucket, depends_on=[closed]),
        )
        s3.BucketLifecycleConfiguration(
            purpose,
            bucket=bucket.id,
            rules=self._rules(facts),
            # Without versions there are none to expire.
            opts=pulumi.ResourceOptions(parent=bucket, depends_on=[versioning]),
        )
        return bucket

    def _rules(self, facts: Purpose) -> list[s3.BucketLifecycleConfigurationRuleArgsDict]:
        logs = days(self.environment.retention.logs) if facts.is_log else None
        return lifecycle_rules(self.environment.lake.lifecycle, facts, logs)

    def _log_access(self, logs: s3.Bucket) -> None:
        """Every other bucket's access log, in the logs bucket, by the bucket's purpose."""
        for purpose, facts in BUCKETS.items():
            if purpose in self.made and not facts.is_log:
                bucket = self.made[purpose]
                s3.BucketLogging(
                    purpose,
                    bucket=bucket.id,
                    target_bucket=logs.id,
                    target_prefix=f"access/{purpose}/",
                    # S3 asks whether the logs' policy lets it deliver.
                    opts=pulumi.ResourceOptions(parent=bucket, depends_on=[self.policies["logs"]]),
                )

    def _tier(self) -> None:
        for purpose, facts in BUCKETS.items():
            if purpose in self.made and facts.tiers:
                bucket = self.made[purpose]
                s3.BucketIntelligentTieringConfiguration(
                    purpose,
                    bucket=bucket.id,
                    name="by-use",
                    status="Enabled",
                    tierings=[{"access_tier": "ARCHIVE_ACCESS", "days": ARCHIVE_DAYS}],
                    opts=pulumi.ResourceOptions(parent=bucket),
                )

    def _encrypt(
        self, purpose: str, bucket: s3.Bucket, facts: Purpose, part: pulumi.ResourceOptions
    ) -> None:
        s3.BucketServerSideEncryptionConfiguration(
            purpose,
            bucket=bucket.id,
            rules=[
                {
                    # S3 delivers access logs to no bucket whose default is a customer's key.
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "AES256" if facts.is_log else "aws:kms",
                        "kms_master_key_id": None if facts.is_log else self.key_arn,
                    },
                    "bucket_key_enabled": not facts.is_log,
                }
            ],
            opts=part,
        )

    def _policy(self, bucket: s3.Bucket, facts: Purpose) -> pulumi.Output[str]:
        """TLS only, and no key but the lake's; into the logs, S3's own deliveries."""
        objects = pulumi.Output.concat(bucket.arn, "/*")
        both = [bucket.arn, objects]
        tls = [
            deny("TlsOnly", ["s3:*"], both, when={"Bool": {"aws:SecureTransport": "false"}}),
            deny(
                "ModernTlsOnly",
                ["s3:*"],
                both,
                when={"NumericLessThan": {"s3:TlsVersion": MINIMUM_TLS}},
            ),
        ]
        if facts.is_log:
            return document(
                *tls,
                allow(
                    "Deliver",
                    ["s3:PutObject"],
                    [pulumi.Output.concat(bucket.arn, "/*")],
                    to={"Service": "logging.s3.amazonaws.com"},
                    when={"StringEquals": {"aws:SourceAccount": self.environment.account}},
                ),
            )
        return document(
            *tls,
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


def objects_in(buckets: list[pulumi.Output[str]]) -> list[pulumi.Output[str]]:
    """The ARNs of what is in buckets."""
    return [pulumi.Output.concat(arn, "/*") for arn in buckets]


def lifecycle_rules(
    lifecycle: Lifecycle, facts: Purpose, log_days: int | None = None
) -> list[s3.BucketLifecycleConfigurationRuleArgsDict]:
    """How a bucket's objects age; logs go after ``log_days``."""
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
    gone = {"": log_days, facts.expires: days(lifecycle.versions) if facts.expires else None}
    for prefix, after in gone.items():
        if after:
            rules.append(
                {
                    "id": f"expire-{prefix.strip('/') or 'all'}",
                    "status": "Enabled",
                    "filter": {"prefix": prefix},
                    "expiration": {"days": after},
                }
            )
    return rules
