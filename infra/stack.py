"""The whole environment: an ordered list of concerns, each of which says for itself what it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pulumi
import pulumi_aws

from contracts.environment import Environment
from contracts.errors import InfrastructureError
from contracts.images import PushedImages
from infra.budget import Budget
from infra.cache import Cache
from infra.catalog import Catalog
from infra.cluster import Cluster
from infra.concern import Concern, Platform
from infra.database import Database
from infra.file_system import FileSystem
from infra.identity import Identity
from infra.keys import Keys
from infra.lake import Lake
from infra.naming import common_tags
from infra.network import Network
from infra.observability import Observability
from infra.on_cluster import OnCluster
from infra.online_store import OnlineStore
from infra.registry import Registry
from infra.standing import refuse_impossible
from infra.stream import Stream
from infra.warehouse import Warehouse

CONCERNS: Final[tuple[type[Concern], ...]] = (
    Keys,
    Network,
    Lake,
    Registry,
    Cache,
    Cluster,
    OnlineStore,
    Warehouse,
    Catalog,
    FileSystem,
    Stream,
    Database,
    # These gather what those above tell of themselves.
    Identity,
    Observability,
    Budget,
    OnCluster,
)
"""Every concern; each uses only those before it."""


def read_environment() -> Environment:
    """The environment of the stack that is being deployed.

    Raises:
        DocumentError: the document is wrong.
        InfrastructureError: it is another environment's.
    """
    stack = pulumi.get_stack()
    where = f"Pulumi.{stack}.yaml: millwright:environment"
    value = pulumi.Config("millwright").get_object("environment")
    if value is None:
        raise InfrastructureError("the stack has no environment", where=where)
    environment = Environment.parse(value, where=where)
    if environment.name != stack:
        raise InfrastructureError(
            f"the environment is named {environment.name!r}, the stack {stack!r}",
            where=f"{where}.name",
            fix="Name both the same, or one's settings would change the other's resources.",
        )
    return environment


def read_images(environment: Environment) -> PushedImages | None:
    """What was pushed to the environment's registry, from the file beside the stack's.

    Raises:
        DocumentError: the file is wrong, or another environment's.
    """
    return PushedImages.read(Path(pulumi.get_root_directory()), environment.name)


def provider(environment: Environment) -> pulumi_aws.Provider:
    """AWS in the environment's region; any account but the environment's is refused.

    How AWS is reached is the stack's configuration (``aws:profile``, say) or the process's
    environment, never the program's business.
    """
    config = pulumi.Config("aws")
    return pulumi_aws.Provider(
        "aws",
        region=environment.region,
        allowed_account_ids=[environment.account],
        default_tags={"tags": common_tags(environment)},
        profile=config.get("profile"),
        skip_credentials_validation=config.get_bool("skipCredentialsValidation"),
        skip_metadata_api_check=config.get_bool("skipMetadataApiCheck"),
        skip_requesting_account_id=config.get_bool("skipRequestingAccountId"),
        s3_use_path_style=config.get_bool("s3UsePathStyle"),
        endpoints=config.get_object("endpoints"),
    )


def build(
    environment: Environment,
    pushed: PushedImages | None = None,
    *,
    concerns: Sequence[type[Concern]] = CONCERNS,
) -> Platform:
    """Declare everything, if AWS can make it of what stands.

    Args:
        environment: the document.
        pushed: the images in the environment's registry, where that is known.
        concerns: what there may be, in order.

    Raises:
        InfrastructureError: a setting cannot follow what stands.
    """
    aws = provider(environment)
    refuse_impossible(environment, aws)
    return Platform(environment, concerns, pulumi.ResourceOptions(provider=aws), pushed)
