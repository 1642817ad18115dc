"""The whole environment: which concern needs what of which other, and what users are told."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws

from contracts.environment import Environment
from contracts.errors import InfrastructureError
from infra.cache import PORT as CACHE_PORT
from infra.cache import Cache
from infra.cluster import Cluster
from infra.identity import Identity, Stores
from infra.keys import Keys
from infra.lake import Lake
from infra.naming import common_tags
from infra.network import Network
from infra.online_store import OnlineStore
from infra.registry import Registry
from infra.warehouse import Warehouse

PURPOSES = ("raw", "curated", "artifacts")
"""The buckets that users are told of."""


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


def build(environment: Environment) -> Mapping[str, pulumi.Input[object]]:
    """Declare everything; the fields of ``PlatformOutputs``."""
    aws = pulumi.ResourceOptions(provider=provider(environment))
    keys = Keys(environment, aws)
    network = Network(environment, aws)
    lake = Lake(environment, key_arn=keys.arns["lake"], opts=aws)
    registry = Registry(environment, key_arn=keys.arns["images"], opts=aws)
    warehouse = Warehouse(environment, network=network, lake=lake, key_arns=keys.arns, opts=aws)
    online_store = OnlineStore(environment, key_arn=keys.arns["online_store"], opts=aws)
    cache = Cache(environment, network=network, key_arn=keys.arns["cache"], opts=aws)
    cluster = Cluster(environment, network=network, key_arns=keys.arns, opts=aws)
    stores = Stores(
        lake=lake,
        warehouse=warehouse,
        online_store=online_store,
        cache=cache,
        registry=registry,
        cluster=cluster,
        key_arns=keys.arns,
    )
    identity = Identity(environment, stores=stores, opts=aws)
    return {
        "environment": environment.name,
        "region": environment.region,
        "account_id": environment.account,
        "network": {
            "vpc_id": network.vpc_id,
            "public_subnet_ids": network.subnet_ids("public"),
            "private_subnet_ids": network.subnet_ids("private"),
            "database_subnet_ids": network.subnet_ids("database"),
        },
        "lake": {
            **{
                purpose: lake.buckets[purpose].bucket for purpose in ("raw", "curated", "artifacts")
            },
            "key_arn": lake.key_arn,
        },
        "warehouse": {
            "cluster_identifier": warehouse.cluster.cluster_identifier,
            "database": warehouse.cluster.database_name,
            "user": warehouse.cluster.master_username,
            "secret_arn": warehouse.secret_arn,
            "role_arn": warehouse.role.arn,
            "endpoint": warehouse.cluster.endpoint,
        },
        "online_store": {
            "tables": {purpose: table.name for purpose, table in online_store.tables.items()}
        },
        "cache": {
            "host": cache.group.primary_endpoint_address,
            "port": cache.group.port.apply(lambda port: port or CACHE_PORT),
            "tls": environment.cache.tls,
        },
        "cluster": {
            "name": cluster.cluster.name,
            "endpoint": cluster.cluster.endpoint,
            "oidc_issuer": cluster.issuer,
        },
        "registries": {
            image: repository.repository_url for image, repository in registry.repositories.items()
        },
        "roles": {workload: role.arn for workload, role in identity.roles.items()},
        "key_arns": dict(keys.arns),
    }
