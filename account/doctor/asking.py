"""How the doctor asks AWS: of the environment's region, and not for long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts.environment import Environment

if TYPE_CHECKING:
    import boto3


def client(session: boto3.Session, service: str, environment: Environment) -> Any:
    """A client that gives up soon: a doctor who keeps people waiting is not asked."""
    from botocore.config import Config

    return session.client(
        service,
        region_name=environment.region,
        config=Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2}),
    )


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


def reason(error: Exception) -> str:
    """An error of AWS in a line."""
    return str(error).splitlines()[0][:120]
