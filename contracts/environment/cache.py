"""ElastiCache: the in-memory store."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contracts.document import Document
from contracts.environment.fields import NAME, Section, TierDefaults, matching, one_of
from contracts.environment.limits import distinct

CACHE_SIZES: Final = {
    "cache.t4g": ("micro", "small", "medium"),
    "cache.t3": ("micro", "small", "medium"),
    "cache.m7g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
    "cache.r7g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
    "cache.m6g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
    "cache.r6g": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
}
CACHE_NODES: Final = tuple(
    f"{family}.{size}" for family, sizes in CACHE_SIZES.items() for size in sizes
)


class CacheSettings(Section):
    """ElastiCache: the in-memory store."""

    tiers: ClassVar[TierDefaults] = {
        "local": {"replicas": 0, "tls": False, "node_type": "cache.t4g.micro"},
        "dev": {"replicas": 0},
        "prod": {"replicas": 2, "node_type": "cache.r7g.large"},
    }

    engine: Literal["valkey", "redis"] = "valkey"
    """Which server it is."""
    version: Annotated[str, AfterValidator(matching(r"\d\.\d", "a version such as 8.0"))] = "8.0"
    """The engine's version."""
    node_type: Annotated[str, AfterValidator(one_of(CACHE_NODES, "cache node type"))] = (
        "cache.t4g.small"
    )
    """What each node is."""
    replicas: int = Field(default=1, ge=0, le=5)
    """Read replicas beside the primary; with one or more, a lost zone is survived."""
    tls: bool = True
    """Whether clients speak TLS; off only where the server is on the same machine."""
    users: tuple[Annotated[str, AfterValidator(NAME)], ...] = ()
    """Users who sign in with their IAM role; none: whoever reaches the port is let in."""

    @model_validator(mode="after")
    def version_of_engine(self) -> Self:
        """The two engines count their versions differently."""
        known = {"valkey": ("7.2", "8.0", "8.1"), "redis": ("6.2", "7.0", "7.1")}[self.engine]
        if self.version not in known:
            raise ValueError(
                f"{self.engine} {self.version} is not offered; one of {', '.join(known)} is"
            )
        distinct((*self.users, "default"), "the user")
        if self.users and not self.tls:
            raise ValueError("users sign in over TLS only; set tls, or name no users")
        return self


class CacheOutputs(Document):
    """The in-memory store."""

    host: str
    port: int
    tls: bool
