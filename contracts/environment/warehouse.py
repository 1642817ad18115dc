"""Redshift: nodes that always run, or capacity by the second."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from contracts.document import Document
from contracts.environment.fields import Identifier, Section, TierDefaults, one_of
from contracts.environment.limits import REDSHIFT_DATABASES, REDSHIFT_USERS, REDSHIFT_WORDS

REDSHIFT_NODES: Final = ("ra3.large", "ra3.xlplus", "ra3.4xlarge", "ra3.16xlarge")
SINGLE_NODE: Final = ("ra3.large", "ra3.xlplus")
"""Redshift node types that may stand alone."""


class WarehouseSettings(Section):
    """Redshift, reached through its Data API; its administrator's password is managed by AWS."""

    tiers: ClassVar[TierDefaults] = {
        "local": {"nodes": 1},
        "dev": {"nodes": 1},
        "prod": {"node_type": "ra3.xlplus"},
    }

    kind: Literal["provisioned", "serverless"] = "provisioned"
    """Nodes that always run, or capacity billed by the second of use."""
    node_type: Annotated[str, AfterValidator(one_of(REDSHIFT_NODES, "Redshift node type"))] = (
        "ra3.large"
    )
    """What each node is."""
    nodes: int = Field(default=2, ge=1, le=100)
    """How many nodes."""
    capacity: int = Field(default=8, ge=4, le=512)
    """Serverless: the Redshift processing units to start from."""
    max_capacity: int = Field(default=64, ge=4, le=1024)
    """Serverless: the most of them."""
    audit_logs: bool = True
    """Whether connections, users and statements are logged to CloudWatch."""
    database: Identifier = "millwright"
    """The first database's name."""
    user: Identifier = "millwright"
    """The administrator's name."""

    @field_validator("database")
    @classmethod
    def not_reserved(cls, value: str) -> str:
        """Redshift keeps some names for itself."""
        if value in REDSHIFT_DATABASES or value in REDSHIFT_WORDS:
            raise ValueError(f"{value!r} is a name that Redshift keeps for itself")
        return value

    @field_validator("user")
    @classmethod
    def free_user(cls, value: str) -> str:
        """Redshift has some users already, and keeps its words."""
        if value in REDSHIFT_USERS or value in REDSHIFT_WORDS:
            raise ValueError(f"{value!r} is a name that Redshift keeps for itself")
        return value

    @model_validator(mode="after")
    def may_stand_alone(self) -> Self:
        """Only the small node types run as a single node; capacity comes in steps."""
        if self.nodes == 1 and self.node_type not in SINGLE_NODE:
            raise ValueError(
                f"one {self.node_type} node cannot stand alone; "
                f"take two, or one of {', '.join(SINGLE_NODE)}"
            )
        if self.capacity != 4 and self.capacity % 8:
            raise ValueError(f"capacity comes as 4 or in steps of 8, not {self.capacity}")
        if self.capacity > self.max_capacity:
            raise ValueError(f"capacity {self.capacity} is more than max_capacity")
        return self


class WarehouseOutputs(Document):
    """Redshift, reached through its Data API."""

    cluster_identifier: str = ""
    """The provisioned cluster; empty where the warehouse is serverless."""
    workgroup: str = ""
    """The serverless workgroup; empty where the warehouse is provisioned."""
    database: str
    user: str
    secret_arn: str
    """The Secrets Manager secret with the administrator's password."""
    role_arn: str
    """The role with which COPY and UNLOAD reach the lake."""
    endpoint: str = ""
