"""The whole environment: which concern needs what of which other, and what users are told."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws

from contracts.environment import Environment
from contracts.errors import InfrastructureError
from infra.budget import Budget
from infra.cache import PORT as CACHE_PORT
from infra.cache import Cache
from infra.catalog import Catalog
from infra.cluster import Cluster
from infra.database import Database
from infra.file_system import FileSystem
from infra.identity import Identity, Stores
from infra.keys import Keys
from infra.lake import Lake
from infra.naming import common_tags
from infra.network import Network
from infra.observability import (
    Alarm,
    Observability,
    cache_alarms,
    cluster_alarms,
    database_alarms,
    file_system_alarms,
    stream_alarms,
    table_alarms,
    warehouse_alarms,
)
from infra.online_store import OnlineStore
from infra.registry import Registry
from infra.stream import Stream
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


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The concerns of one environment; those that it does without are None."""

    environment: Environment
    keys: Keys
    network: Network
    lake: Lake
    registry: Registry
    warehouse: Warehouse
    online_store: OnlineStore
    cache: Cache
    cluster: Cluster
    catalog: Catalog | None
    file_system: FileSystem | None
    stream: Stream | None
    database: Database | None
    identity: Identity
    observability: Observability | None


def build(environment: Environment) -> Platform:
    """Declare everything."""
    opts = pulumi.ResourceOptions(provider=provider(environment))
    keys = Keys(environment, opts)
    arns = keys.arns
    network = Network(environment, logs_key_arn=arns["logs"], opts=opts)
    lake = Lake(environment, key_arn=arns["lake"], opts=opts)
    registry = Registry(environment, key_arn=arns["images"], opts=opts)
    warehouse = Warehouse(environment, network=network, lake=lake, key_arns=arns, opts=opts)
    online_store = OnlineStore(environment, key_arn=arns["online_store"], opts=opts)
    cache = Cache(environment, network=network, key_arn=arns["cache"], opts=opts)
    cluster = Cluster(environment, network=network, key_arns=arns, opts=opts)
    catalog = file_system = stream = database = observability = None
    if environment.lake.catalog.enabled:
        catalog = Catalog(environment, lake=lake, opts=opts)
    if environment.file_system.enabled:
        file_system = FileSystem(environment, network=network, key_arn=arns["files"], opts=opts)
    if environment.stream.enabled:
        stream = Stream(environment, lake=lake, key_arns=arns, opts=opts)
    if environment.database.enabled:
        database = Database(environment, network=network, key_arns=arns, opts=opts)
    stores = Stores(
        lake=lake,
        warehouse=warehouse,
        online_store=online_store,
        cache=cache,
        registry=registry,
        cluster=cluster,
        catalog=catalog,
        stream=stream,
        database=database,
        key_arns=arns,
    )
    identity = Identity(environment, stores=stores, opts=opts)
    if environment.observability.enabled:
        watched = alarms_of(warehouse, online_store, cache, cluster, file_system, stream, database)
        observability = Observability(
            environment, alarms=watched, key_arn=arns["alarms"], opts=opts
        )
    if environment.budget.enabled:
        topic = observability.topic.arn if observability else None
        Budget(environment, topic_arn=topic, opts=opts)
    if environment.on_cluster.enabled:
        install_on(environment, network, cluster, lake, database, registry)
    return Platform(
        environment=environment,
        keys=keys,
        network=network,
        lake=lake,
        registry=registry,
        warehouse=warehouse,
        online_store=online_store,
        cache=cache,
        cluster=cluster,
        catalog=catalog,
        file_system=file_system,
        stream=stream,
        database=database,
        identity=identity,
        observability=observability,
    )


def install_on(
    environment: Environment,
    network: Network,
    cluster: Cluster,
    lake: Lake,
    database: Database | None,
    registry: Registry,
) -> None:
    """Declare what runs in the cluster.

    Imported here, because Kubernetes' types take a second to import and the laptop needs none.
    """
    from infra.on_cluster import install
    from infra.on_cluster.part import Site

    site = Site(
        environment=environment, network=network, cluster=cluster, lake=lake, database=database
    )
    install(site, registry=registry)


def alarms_of(
    warehouse: Warehouse,
    online_store: OnlineStore,
    cache: Cache,
    cluster: Cluster,
    file_system: FileSystem | None,
    stream: Stream | None,
    database: Database | None,
) -> list[Alarm]:
    """The alarms of every store there is, and of the cluster."""
    alarms = [
        *cache_alarms(cache.group.replication_group_id),
        *cluster_alarms(cluster.cluster.name),
    ]
    for purpose, table in online_store.tables.items():
        alarms += table_alarms(purpose, table.name)
    if warehouse.cluster:
        alarms += warehouse_alarms(warehouse.cluster.cluster_identifier)
    if file_system:
        alarms += file_system_alarms(file_system.files.id)
    if stream:
        alarms += stream_alarms(stream.stream.name)
    if database:
        alarms += database_alarms(database.instance.identifier)
    return alarms


def outputs(platform: Platform) -> dict[str, pulumi.Input[object]]:
    """What the environment gives its users: the fields of ``PlatformOutputs``."""
    environment, lake = platform.environment, platform.lake
    return {
        "environment": environment.name,
        "region": environment.region,
        "account_id": environment.account,
        "network": {
            "vpc_id": platform.network.vpc_id,
            "public_subnet_ids": platform.network.subnet_ids("public"),
            "private_subnet_ids": platform.network.subnet_ids("private"),
            "database_subnet_ids": platform.network.subnet_ids("database"),
        },
        "lake": {
            **{purpose: lake.buckets[purpose].bucket for purpose in PURPOSES},
            "key_arn": lake.key_arn,
        },
        "warehouse": dict(platform.warehouse.outputs),
        "online_store": {
            "tables": {name: table.name for name, table in platform.online_store.tables.items()}
        },
        "cache": {
            "host": platform.cache.group.primary_endpoint_address,
            "port": platform.cache.group.port.apply(lambda port: port or CACHE_PORT),
            "tls": environment.cache.tls,
        },
        "cluster": {
            "name": platform.cluster.cluster.name,
            "endpoint": platform.cluster.cluster.endpoint,
            "oidc_issuer": platform.cluster.issuer,
        },
        "registries": {
            image: repository.repository_url
            for image, repository in platform.registry.repositories.items()
        },
        "roles": {name: role.arn for name, role in platform.identity.roles.items()},
        "key_arns": dict(platform.keys.arns),
        **optional_outputs(platform),
    }


def optional_outputs(platform: Platform) -> dict[str, pulumi.Input[object]]:
    """The outputs of the concerns that not every environment has."""
    found: dict[str, pulumi.Input[object]] = {}
    if platform.catalog:
        found["catalog"] = {
            "databases": {name: one.name for name, one in platform.catalog.databases.items()},
            "workgroup": platform.catalog.workgroup.name,
        }
    if platform.file_system:
        found["file_system"] = {
            "id": platform.file_system.files.id,
            "access_points": {
                name: point.id for name, point in platform.file_system.access_points.items()
            },
        }
    if platform.stream:
        found["stream"] = {
            "name": platform.stream.stream.name,
            "arn": platform.stream.stream.arn,
        }
    if platform.database:
        found["database"] = {
            "host": platform.database.instance.address,
            "port": platform.database.instance.port,
            "user": platform.database.instance.username,
            "secret_arn": platform.database.secret_arn,
        }
    if platform.observability:
        found["alarms_topic_arn"] = platform.observability.topic.arn
    return found
