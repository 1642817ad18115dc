"""How the doctor asks AWS: of the environment's region, and not for long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts.environment import Environment
from project.aws import client, reason

if TYPE_CHECKING:
    import boto3

__all__ = ["InRegion", "client", "reason"]


@dataclass(frozen=True)
class InRegion:
    """A session whose clients speak to an environment's region, and give up soon."""

    session: boto3.Session
    environment: Environment

    @property
    def region_name(self) -> str:
        """The region."""
        return self.environment.region

    def client(self, service: str) -> Any:
        """A client of a service."""
        return client(self.session, service, self.environment)
