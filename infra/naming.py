"""Names and tags, from one place.

A name is how people, policies and bills find a resource; two rules for it in two files drift
apart. What is named here is named for good: a changed rule would replace every database (a test
keeps the names).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.environment import Environment

PROJECT: Final = "millwright"

PARTITIONS: Final = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
"""AWS partitions by the regions' prefix; everything else is ``aws``."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one environment's resources."""

    environment: str
    account: str
    region: str

    @classmethod
    def of(cls, environment: Environment) -> Names:
        """The names of an environment."""
        return cls(
            environment=environment.name, account=environment.account, region=environment.region
        )

    def name(self, *parts: str) -> str:
        """``millwright-dev-warehouse``: unique within the account and region."""
        return "-".join([PROJECT, self.environment, *parts]).replace("_", "-")

    def path(self, *parts: str) -> str:
        """``millwright/dev/runtime``: where the service has folders."""
        return "/".join([PROJECT, self.environment, *parts])

    def bucket(self, purpose: str) -> str:
        """``millwright-dev-raw-123456789012``: bucket names are shared by the whole world."""
        return self.name(purpose, self.account)

    def zone(self, letter: str) -> str:
        """``eu-central-1a``."""
        return f"{self.region}{letter}"

    @property
    def partition(self) -> str:
        """The part of AWS the region belongs to."""
        names = (name for prefix, name in PARTITIONS.items() if self.region.startswith(prefix))
        return next(names, "aws")

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """The ARN of something whose name is settled before it is made."""
        region = self.region if regional else ""
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{resource}"

    def managed_policy(self, name: str) -> str:
        """The ARN of a policy that AWS keeps."""
        return f"arn:{self.partition}:iam::aws:policy/{name}"


def common_tags(environment: Environment) -> dict[str, str]:
    """What the provider puts on everything: the environment's own tags, and what finds it all."""
    return {
        **environment.tags,
        "millwright:environment": environment.name,
        "millwright:tier": environment.tier,
    }


def own_tags(concern: str, name: str) -> dict[str, str]:
    """What a resource says of itself beside the common tags."""
    return {"millwright:concern": concern, "Name": name}
