"""The AWS account of an environment: credentials that are its own, and clients in its region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.environment import Environment
from contracts.errors import UsageError

if TYPE_CHECKING:
    import boto3


def client(session: boto3.Session, service: str, environment: Environment) -> Any:
    """A client that gives up soon: who is asked about an account is not to keep people waiting."""
    from botocore.config import Config

    return session.client(
        service,
        region_name=environment.region,
        config=Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2}),
    )


def reason(error: Exception) -> str:
    """An error of AWS in a line."""
    return str(error).splitlines()[0][:120]


def caller(session: boto3.Session, environment: Environment) -> str:
    """The ARN of whose credentials these are.

    Raises:
        UsageError: there are none, or they are another account's, in which everything would be
            done in the wrong place.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    where = f"Pulumi.{environment.name}.yaml"
    try:
        identity = client(session, "sts", environment).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise UsageError(
            reason(error),
            where=where,
            fix=f"Sign in to the account {environment.account} (`aws sso login`, or AWS_PROFILE).",
        ) from None
    if identity["Account"] != environment.account:
        raise UsageError(
            f"{identity['Arn']}, of the account {identity['Account']}",
            where=where,
            fix=f"{environment.name} belongs to {environment.account}: sign in there.",
        )
    return str(identity["Arn"])
