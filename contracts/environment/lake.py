"""The lake: buckets by purpose, how their objects age, and their files as tables of SQL."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contracts.document import Document, Duration
from contracts.environment.fields import DAY, Identifier, Section, days_between, matching

BucketName = Annotated[
    str,
    AfterValidator(
        matching(
            r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*\.\.)(?!(\d+\.){3}\d+$)"
            r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
            r"(?<!-s3alias)(?<!--ol-s3)(?<!\.mrap)(?<!--x-s3)(?<!--table-s3)",
            "a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens",
        )
    ),
]
KeyArn = Annotated[
    str,
    AfterValidator(
        matching(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[0-9a-f-]+", "the ARN of a KMS key")
    ),
]


class Lifecycle(Document):
    """When objects move to cheaper storage, and when they go."""

    infrequent_after: Annotated[
        Duration, AfterValidator(days_between(30, 3650, "S3 moves to infrequent access after"))
    ] = 90 * DAY
    """When raw objects move to infrequent access."""
    archive_after: Annotated[
        Duration, AfterValidator(days_between(60, 3650, "S3 archives after"))
    ] = 365 * DAY
    """When raw objects move to instant-retrieval archive."""
    versions: Annotated[
        Duration, AfterValidator(days_between(1, 3650, "S3 keeps replaced versions"))
    ] = 30 * DAY
    """How long replaced and deleted versions can be brought back."""
    uploads: Annotated[
        Duration, AfterValidator(days_between(1, 3650, "S3 keeps abandoned uploads"))
    ] = 7 * DAY
    """When abandoned multipart uploads are removed."""

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """S3 wants thirty days in infrequent access before the archive."""
        if self.archive_after < self.infrequent_after + 30 * DAY:
            raise ValueError(
                "archive_after must be at least 30d after infrequent_after: "
                "S3 bills that long for infrequent access anyway"
            )
        return self


class LakeColumn(Document):
    """A column of a table of the lake."""

    name: Identifier
    """Its name."""
    type: Literal[
        "string", "boolean", "int", "bigint", "float", "double", "timestamp", "date", "binary"
    ]
    """What Athena reads it as."""


class LakeTable(Document):
    """A dataset of the lake as queries see it: Parquet files under one prefix."""

    bucket: Literal["raw", "curated"]
    """The bucket that holds it."""
    columns: tuple[LakeColumn, ...] = Field(min_length=1)
    """What each file holds."""
    partitions: tuple[LakeColumn, ...] = ()
    """What the folders' names hold, from the outermost inwards."""

    @model_validator(mode="after")
    def named_once(self) -> Self:
        """Glue takes a column that is also a partition, and every query of it then fails."""
        names = [column.name for column in (*self.columns, *self.partitions)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}")
        return self


class CatalogSettings(Document):
    """Glue and Athena: the lake's files as tables that SQL reads."""

    enabled: bool = True
    """Whether there is any of it."""
    tables: dict[Identifier, LakeTable] = Field(default_factory=dict)
    """Tables by name; a table's files lie under the prefix of its name."""
    scan_limit: int = Field(default=100, ge=1, le=100_000)
    """The most that one query may read, in GiB."""


class LakeSettings(Section):
    """Object storage: raw, curated and artifacts buckets, and the logs of who read them."""

    existing: dict[Literal["raw", "curated", "artifacts"], BucketName] = Field(default_factory=dict)
    """Buckets that are there already, by purpose: used as they are, never changed or deleted."""
    existing_keys: tuple[KeyArn, ...] = ()
    """KMS keys that the existing buckets are encrypted with."""
    lifecycle: Lifecycle = Lifecycle()
    access_logs: bool = True
    """Whether a fourth bucket keeps who read and wrote what."""
    intelligent_tiering: bool = False
    """Whether curated data and artifacts move to the storage that their use deserves."""
    catalog: CatalogSettings = CatalogSettings()

    @model_validator(mode="after")
    def one_purpose_each(self) -> Self:
        """What ages and expires differs by purpose, so each has a bucket of its own."""
        if len(set(self.existing.values())) < len(self.existing):
            raise ValueError("existing: a bucket is named for two purposes")
        if self.existing_keys and not self.existing:
            raise ValueError("existing_keys belong to existing buckets, and there are none")
        return self


class LakeOutputs(Document):
    """Object storage: bucket names."""

    raw: str
    curated: str
    artifacts: str
    key_arn: str


class CatalogOutputs(Document):
    """Glue and Athena: SQL over the lake."""

    databases: dict[str, str]
    """Glue databases by bucket."""
    workgroup: str
