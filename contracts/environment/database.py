"""RDS Postgres: what MLflow and Kubeflow Pipelines know."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, Field, model_validator

from contracts.document import Document
from contracts.environment.fields import Section, TierDefaults, matching, one_of

RDS_CLASSES: Final = tuple(
    f"db.{family}.{size}"
    for family, sizes in {
        "t4g": ("micro", "small", "medium", "large"),
        "m7g": ("large", "xlarge", "2xlarge", "4xlarge"),
        "r7g": ("large", "xlarge", "2xlarge", "4xlarge"),
    }.items()
    for size in sizes
)


class DatabaseSettings(Section):
    """RDS Postgres, for the metadata of MLflow and Kubeflow Pipelines."""

    tiers: ClassVar[TierDefaults] = {
        "local": {"multi_az": False, "instance": "db.t4g.micro"},
        "dev": {"multi_az": False, "instance": "db.t4g.small"},
        "prod": {"instance": "db.m7g.large"},
    }

    enabled: bool = True
    """Whether there is one."""
    instance: Annotated[str, AfterValidator(one_of(RDS_CLASSES, "database instance class"))] = (
        "db.t4g.medium"
    )
    """What machine it is."""
    version: Annotated[str, AfterValidator(matching(r"1[4-8]", "a Postgres version, 14 to 18"))] = (
        "17"
    )
    """Postgres's version."""
    storage: int = Field(default=50, ge=20, le=16_384)
    """Disk to start with, in GiB."""
    max_storage: int = Field(default=500, ge=22, le=65_536)
    """What the disk may grow to, in GiB."""
    multi_az: bool = True
    """Whether a standby in another zone takes over."""

    @model_validator(mode="after")
    def may_grow(self) -> Self:
        """RDS wants room for at least a tenth."""
        if self.max_storage < self.storage * 1.1:
            raise ValueError(
                f"max_storage {self.max_storage} leaves {self.storage} GiB no tenth to grow"
            )
        return self


class DatabaseOutputs(Document):
    """Postgres; its administrator's password is in the secret."""

    host: str
    port: int
    user: str
    secret_arn: str
